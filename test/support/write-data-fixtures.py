"""Writes fixtures/data with the libraries people write their data with. Usage: write-data-fixtures.py FOLDER PART...

Parts: numpy, safetensors, pyarrow, onnx, tokenizers, images (needs pillow and transformers).
Elements are formulas of their position, so that tests need no second copy: ids count up, x is position / 4 - 1.
"""
import json
import os
import sys


def ids(rows=3, length=4):
    import numpy as np

    return np.arange(rows * length, dtype=np.int64).reshape(rows, length)


def floats(rows=3):
    import numpy as np

    return (np.arange(rows * 2, dtype=np.float32) / 4 - 1).reshape(rows, 2)


def write_numpy(folder):
    import numpy as np

    labels = np.zeros(3, np.int64)
    np.savez(f"{folder}/arrays.npz", ids=ids(), x=floats(), labels=labels)
    np.savez_compressed(f"{folder}/arrays-deflated.npz", ids=ids(), x=floats(), labels=labels)
    np.savez(f"{folder}/orders.npz", ids=np.asfortranarray(ids()), x=floats().astype(">f4"))
    np.savez(f"{folder}/objects.npz", ids=np.array([[1], [1, 2]], dtype=object), x=floats(2))
    os.makedirs(f"{folder}/npy", exist_ok=True)
    np.save(f"{folder}/npy/ids.npy", ids())
    np.save(f"{folder}/npy/x.npy", floats())


def write_safetensors(folder):
    from safetensors.numpy import save_file

    save_file({"ids": ids(), "x": floats()}, f"{folder}/arrays.safetensors", metadata={"format": "np"})


def write_pyarrow(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"ids": list(ids()), "x": list(floats()), "label": ["a", "b", "c"]})
    pq.write_table(table, f"{folder}/rows.parquet", row_group_size=2, compression="snappy")
    pq.write_table(table, f"{folder}/rows-zstd.parquet", compression="zstd")
    pq.write_table(pa.table({"text": ["the cat", "a dog sat"]}), f"{folder}/texts.parquet")


def write_onnx(folder):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def save(name, tensor):
        path = f"{folder}/sets/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        onnx.save_tensor(tensor, path)

    # Without names and in typed fields, then named, in another order and another length.
    save("test_data_set_0/input_0.pb", helper.make_tensor("", TensorProto.INT64, (1, 4), ids(1).ravel().tolist()))
    save("test_data_set_0/input_1.pb", helper.make_tensor("", TensorProto.FLOAT, (1, 2), floats(1).ravel().tolist()))
    save("test_data_set_0/output_0.pb", numpy_helper.from_array(floats(1), "y"))
    save("test_data_set_1/input_0.pb", numpy_helper.from_array(floats(2)[1:], "x"))
    save("test_data_set_1/input_1.pb", numpy_helper.from_array(ids(1, 6), "ids"))


words = "[PAD] [UNK] [CLS] [SEP] [MASK] the a cat dog sat mat on un ##able ##s play ##ing , . ! ' é 猫".split()
texts = [
    ["The cat sat on the mat.", None],
    ["Playing DOGS, unable!", None],
    ["猫 é zebra", None],
    ["the the the the the the the the the the", None],
    ["", None],
    ["a cat", "the dogs"],
    ["the cat sat on the mat", "a dog"],
    ["a dog", "the cat sat on the mat"],
    ["the cat sat on the mat", "the dog sat on the mat"],
]


def write_tokenizers(folder):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocab = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    tokenizer.add_special_tokens(words[:5])
    tokenizer.enable_truncation(9)
    tokenizer.enable_padding(length=9)
    tokenizer.save(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    encoded = [tokenizer.encode(text, pair) for text, pair in texts]
    expected = [
        {"text": text, "text_pair": pair, "ids": e.ids, "types": e.type_ids} for (text, pair), e in zip(texts, encoded)
    ]
    with open(f"{folder}/tokens.json", "w") as file:
        json.dump(expected, file, ensure_ascii=False, indent=1)


def write_images(folder):
    import numpy as np
    from PIL import Image
    from transformers import CLIPImageProcessor

    os.makedirs(f"{folder}/images", exist_ok=True)
    y, x = np.mgrid[0:23, 0:31]
    wave = np.stack([128 + 90 * np.sin(x / 4 + y / 7), 255 * x / 30, 255 * y / 22], -1).round().astype(np.uint8)
    Image.fromarray(wave).save(f"{folder}/images/wave.png")
    Image.fromarray(wave[:, :, 0]).save(f"{folder}/images/gray.png")
    processor = CLIPImageProcessor(
        size={"shortest_edge": 12},
        crop_size={"height": 10, "width": 10},
        image_mean=[0.48, 0.45, 0.4],
        image_std=[0.27, 0.26, 0.28],
    )
    processor.save_pretrained(f"{folder}/images")
    pixels = {}
    for name in ("gray", "wave"):
        image = Image.open(f"{folder}/images/{name}.png").convert("RGB")
        pixels[name] = np.asarray(processor(image, return_tensors="np")["pixel_values"], np.float32)
    np.savez_compressed(f"{folder}/pixels.npz", **pixels)


if __name__ == "__main__":
    for part in sys.argv[2:]:
        globals()[f"write_{part}"](sys.argv[1])
