"""The Python half of the benchmark peers.ts: data, ONNX Runtime's static quantization, and the comparison with the float model.

  peers.py data KIND MODELS NAME CALIBRATION JUDGED FOLDER   writes calibration.npz and judged.npz; no text or photo is in both
  peers.py recipes MODEL                                     prints the names of the recipes that make sense for the model
  peers.py quantize MODEL DATA OUT RECIPE                    one recipe of quantize_static, written to OUT
  peers.py judge KIND MODEL OTHER JUDGED                     prints how far OTHER is from MODEL, as JSON
"""
import glob, json, os, random, re, resource, sys, tempfile
import numpy as np
import onnx
import onnxruntime as ort

ort.set_default_logger_severity(3)


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


# Data. Calibration has the even sentences and pictures, the judge the odd ones.


def sentences(part):
    from pydoc_data.topics import topics
    found = []
    for key in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[key]):
            flat = re.sub(r"\s+", " ", paragraph).strip()
            for each in re.split(r'(?<=[.!?])\s+(?=[A-Z"])', flat):
                letters = sum(c.isalpha() or c == " " for c in each)
                if 5 <= len(each.split()) <= 60 and letters > 0.85 * len(each) and each not in found:
                    found.append(each)
    random.Random(7).shuffle(found)
    return found[part::2]


def texts(part, count, tokenizer, names):
    """Calibration texts have one to five sentences, judged ones one, each cut to 128 tokens and padded to 128."""
    from tokenizers import Tokenizer
    pool, choice, lines, at = sentences(part), random.Random(11), [], 0
    while len(lines) < count:
        size = choice.randint(1, 5) if part == 0 else 1
        lines.append(" ".join(pool[(at + i) % len(pool)] for i in range(size)))
        at += size
    made = Tokenizer.from_file(tokenizer)
    made.enable_truncation(128)
    made.enable_padding(length=128)
    encoded = made.encode_batch(lines)
    arrays = {
        "input_ids": [e.ids for e in encoded],
        "attention_mask": [e.attention_mask for e in encoded],
        "token_type_ids": [e.type_ids for e in encoded],
    }
    return {name: np.array(value, np.int64) for name, value in arrays.items() if name in names}


def photos(part, count, folder):
    """Square parts of photos, mirrored or not, 224 x 224, with the mean and deviation of ImageNet."""
    from PIL import Image, ImageOps
    files, choice, made = sorted(glob.glob(f"{folder}/*.png"))[part::2], random.Random(part), []
    for i in range(count):
        picture = Image.open(files[i % len(files)]).convert("RGB")
        side = round(min(picture.size) * choice.uniform(0.4, 1))
        x, y = choice.randint(0, picture.width - side), choice.randint(0, picture.height - side)
        square = picture.crop((x, y, x + side, y + side)).resize((224, 224), Image.Resampling.BICUBIC)
        pixels = np.asarray(ImageOps.mirror(square) if choice.random() < 0.5 else square, np.float32) / 255
        made.append(((pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1))
    return np.array(made, np.float32)


def lines(part, count):
    """One to four words in dark on bright with noise, 48 x 320, from -1 to 1."""
    from PIL import Image, ImageDraw, ImageFont
    fonts = [f for f in sorted(glob.glob("/usr/share/fonts/truetype/dejavu/DejaVu*.ttf")) if "Math" not in f]
    pool, choice, made = sentences(part), random.Random(3 + part), []
    for i in range(count):
        words = choice.choice(pool).split()
        size, length = choice.randint(22, 34), choice.randint(1, 4)
        start = choice.randint(0, max(0, len(words) - length))
        text = " ".join(words[start : start + length])
        font = ImageFont.truetype(choice.choice(fonts), size) if fonts else ImageFont.load_default(size)
        bright, dark = choice.randint(200, 255), choice.randint(0, 80)
        picture = Image.new("RGB", (2000, 48), (bright,) * 3)
        drawing = ImageDraw.Draw(picture)
        drawing.text((6, choice.randint(2, 10)), text, fill=(dark,) * 3, font=font)
        picture = picture.crop((0, 0, int(drawing.textlength(text, font=font)) + 14, 48))
        if picture.width > 320:
            picture = picture.resize((320, 48))
        noise = np.random.default_rng(1000 * part + i).normal(0, 6, (48, picture.width, 1))
        pixels = (np.asarray(picture, np.float32) + noise).clip(0, 255) / 127.5 - 1
        made.append(np.zeros((3, 48, 320)))
        made[-1][:, :, : picture.width] = pixels.transpose(2, 0, 1)
    return np.array(made, np.float32)


def data(kind, models, name, calibration, judged, folder):
    model = f"{models}/{name}/model.onnx"
    names = [x.name for x in session(model).get_inputs()]
    for part, (file, count) in enumerate([("calibration", calibration), ("judged", judged)]):
        if kind == "text":
            arrays = texts(part, int(count), f"{models}/{name}/tokenizer.json", names)
        else:
            arrays = {names[0]: photos(part, int(count), f"{models}/photos") if kind == "photos" else lines(part, int(count))}
        np.savez(f"{folder}/{file}.npz", **arrays)
    for old in glob.glob(f"{folder}/*.float.npz"):
        os.remove(old)


# Recipes. A name is PLACEMENT.METHOD.channel|tensor.asymmetric|symmetric.


def constants(model):
    graph = model.graph
    names = {x.name for x in graph.initializer}
    names |= {n.output[0] for n in graph.node if n.op_type == "Constant"}
    for n in graph.node:
        if n.op_type in ("Identity", "Transpose") and n.input[0] in names:
            names.add(n.output[0])
    return names


def recipes(path):
    """Everything at three placements with min-max, and the two best placements with every method.

    `default` is every type of operator. `best` is products and convolutions only. `expert` leaves out products of two activations
    as well, and does not quantize what a product gives. `products` is `expert` without convolutions, `wide` is `expert` without products
    that make fewer than half as many channels as they read, as the second of a feed-forward layer.
    """
    settings = [f"{a}.{b}" for a in ("channel", "tensor") for b in ("asymmetric", "symmetric")]
    found = [f"{placement}.MinMax.{each}" for placement in ("default", "best", "expert") for each in settings]
    found += [f"expert.Percentile.{each}" for each in settings] + [f"expert.Entropy.{each}" for each in settings[:2]]
    found += ["wide.MinMax.channel.asymmetric", "wide.Percentile.channel.asymmetric"]
    if any(n.op_type == "Conv" for n in onnx.load(path, load_external_data=False).graph.node):
        found += [f"products.{m}.{each}" for m in ("MinMax", "Percentile") for each in settings]
    return found


def raised(path, folder):
    """The model as quantize_static wants it: opset 13 or later, because of channels, and preprocessed."""
    from onnx import version_converter
    from onnxruntime.quantization.shape_inference import quant_pre_process
    model = onnx.load(path)
    if max(x.version for x in model.opset_import if x.domain == "") < 13:
        path = f"{folder}/raised.onnx"
        onnx.save(version_converter.convert_version(model, 13), path)
    for skip in (False, True):
        try:
            quant_pre_process(path, f"{folder}/prepared.onnx", skip_symbolic_shape=skip)
            return f"{folder}/prepared.onnx"
        except Exception as error:
            problem = error
    raise problem


def quantize(path, npz, out, recipe):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    placement, method, channels, symmetry = recipe.split(".")
    resource.setrlimit(resource.RLIMIT_AS, (14 << 30, 14 << 30))

    class Reader(CalibrationDataReader):
        def __init__(self):
            arrays = dict(np.load(npz))
            count = len(next(iter(arrays.values())))
            self.rows = iter([{k: v[i : i + 1] for k, v in arrays.items()} for i in range(count)])

        def get_next(self):
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepared = raised(path, folder)
        model = onnx.load(prepared)
        fixed = constants(model)
        shapes = {x.name: list(x.dims) for x in model.graph.initializer}
        products = [n for n in model.graph.node if n.op_type in ("MatMul", "Gemm")]
        left = [n.name for n in products if not any(x in fixed for x in n.input[:2])]
        extra = {"ActivationSymmetric": symmetry == "symmetric"}
        types = None if placement == "default" else ["MatMul", "Gemm"] + ([] if placement == "products" else ["Conv"])
        if placement in ("default", "best"):
            left = []
        else:
            extra["OpTypesToExcludeOutputQuantization"] = ["MatMul", "Gemm", "Conv"]
        if placement == "wide":
            left += [n.name for n in products if (s := shapes.get(n.input[1])) and s[0] > 2 * s[1]]
        quantize_static(
            prepared, out, Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=types,
            per_channel=channels == "channel", reduce_range=False, nodes_to_exclude=left, extra_options=extra,
            activation_type=QuantType.QInt8 if symmetry == "symmetric" else QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=getattr(CalibrationMethod, method))


# The judge.


def judge(kind, path, other, npz):
    known = f"{npz}.float.npz"
    if not os.path.exists(known):
        np.savez(known, *outputs(kind, path, npz))
    wanted = np.load(known)
    losses, signal, noise, same = [], 0.0, 0.0, 0
    for i, y in enumerate(outputs(kind, other, npz)):
        x = wanted[f"arr_{i}"]
        signal, noise = signal + (x**2).sum(), noise + ((x - y) ** 2).sum()
        if kind == "text":
            a, b = x.mean(0), y.mean(0)
            losses.append(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        elif kind == "photos":
            losses.append(np.abs(x - y).mean() / np.abs(x - x.mean()).mean())
        else:
            losses.append(np.abs(x - y).sum(-1).mean() / 2)
            same += string(x) == string(y)
    result = {"mean": np.mean(losses), "worst": np.max(losses), "sqnrDb": 10 * np.log10(signal / max(noise, 1e-30))}
    if kind == "lines":
        result["sameStrings"] = same / len(losses)
    result["size"] = os.path.getsize(other) / os.path.getsize(path)
    print(json.dumps({k: float(v) for k, v in result.items()}))


def outputs(kind, path, npz):
    """Of each sample alone, without its padding, the first output with an axis of tokens, steps or rows."""
    model, arrays = session(path), dict(np.load(npz))
    for i in range(len(next(iter(arrays.values())))):
        feeds = {k: v[i : i + 1] for k, v in arrays.items()}
        if kind == "text":
            length = int(feeds["attention_mask"].sum())
            feeds = {k: v[:, :length] for k, v in feeds.items()}
        yield next(x for x in model.run(None, feeds) if x.ndim >= 3)[0].astype(np.float64)


def string(steps):
    best = steps.argmax(-1)
    return [int(c) for i, c in enumerate(best) if c and (i == 0 or c != best[i - 1])]


command, *given = sys.argv[1:]
if command == "recipes":
    print(json.dumps(recipes(*given)))
else:
    {"data": data, "quantize": quantize, "judge": judge}[command](*given)
