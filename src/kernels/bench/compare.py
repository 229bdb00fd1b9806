"""Times attention of others beside ours on one CUDA device, as comma-separated rows.

    cmake -S src/kernels -B build -DBUILD_SHARED_LIBS=ON && cmake --build build
    python src/kernels/bench/compare.py build/libouteffhop_attention.so

Needs torch with CUDA. FlashAttention (flash_attn) and cuDNN with a sink (nvidia-cudnn-frontend) get rows where they are installed.
Every row is first held against float64 on a small call: a fast wrong answer is not a row.
"""

import ctypes
import sys

import torch


class Call(ctypes.Structure):
    """`outeffhop_attention` of outeffhop_attention.h, field by field."""

    _fields_ = (
        [("version", ctypes.c_int32), ("type", ctypes.c_int)]
        + [(name, ctypes.c_int64) for name in ("batch", "heads", "kv_heads", "queries", "keys", "head_size", "value_size")]
        + [(name, ctypes.c_void_p) for name in ("q", "k", "v", "out")]
        + [(name + "_strides", ctypes.c_int64 * 4) for name in ("q", "k", "v", "out")]
        + [("scale", ctypes.c_float), ("causal", ctypes.c_int32), ("no_sink", ctypes.c_int32)]
        + [("sink", ctypes.c_void_p), ("bias", ctypes.c_void_p), ("bias_type", ctypes.c_int)]
        + [("bias_strides", ctypes.c_int64 * 4), ("key_lengths", ctypes.c_void_p)]
    )


TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


def ours(library, entry, no_sink):
    library.outeffhop_status_text.restype = ctypes.c_char_p

    def attend(q, k, v, causal):
        out = torch.empty_like(q)
        call = Call(version=1, type=TYPES[q.dtype], batch=q.shape[0], heads=q.shape[1], kv_heads=k.shape[1])
        call.queries, call.keys, call.head_size, call.value_size = q.shape[2], k.shape[2], q.shape[3], v.shape[3]
        for name, tensor in (("q", q), ("k", k), ("v", v), ("out", out)):
            setattr(call, name, tensor.data_ptr())
            setattr(call, name + "_strides", (ctypes.c_int64 * 4)(*tensor.stride()))
        call.scale, call.causal, call.no_sink = q.shape[3] ** -0.5, causal, no_sink
        stream = [torch.cuda.current_stream().cuda_stream] if entry == "outeffhop_attention_cuda" else []
        status = getattr(library, entry)(ctypes.byref(call), *map(ctypes.c_void_p, stream))
        if status:
            raise RuntimeError(library.outeffhop_status_text(status).decode())
        return out

    return attend


def torch_attention(backend):
    from torch.nn.attention import sdpa_kernel

    def attend(q, k, v, causal):
        with sdpa_kernel(backend):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    return attend


def flash_attention():
    from flash_attn import flash_attn_func

    return lambda q, k, v, causal: flash_attn_func(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), causal=causal
    ).transpose(1, 2)


def flash_attention_with_zero_row():
    """Softmax1 without a kernel of its own: a zero key and value in front; causal stays right, being aligned to the end."""
    plain = flash_attention()

    def attend(q, k, v, causal):
        front = (0, 0, 1, 0)
        return plain(q, torch.nn.functional.pad(k, front), torch.nn.functional.pad(v, front), causal)

    return attend


def cudnn_with_sink():
    import cudnn

    plans = {}

    def build(q, k, v, causal):
        types = {torch.float16: cudnn.data_type.HALF, torch.bfloat16: cudnn.data_type.BFLOAT16}
        graph = cudnn.pygraph(
            io_data_type=types[q.dtype],
            intermediate_data_type=cudnn.data_type.FLOAT,
            compute_data_type=cudnn.data_type.FLOAT,
        )
        sink = torch.zeros(1, q.shape[1], 1, 1, device=q.device)
        inputs = [graph.tensor_like(tensor) for tensor in (q, k, v, sink)]
        options = {"use_causal_mask": True} if causal else {}
        out, _ = graph.sdpa(
            q=inputs[0], k=inputs[1], v=inputs[2], sink_token=inputs[3], is_inference=True,
            attn_scale=q.shape[3] ** -0.5, **options,
        )  # fmt: skip
        out.set_output(True).set_dim(list(q.shape)).set_stride(list(q.stride()))
        graph.build([cudnn.heur_mode.A])
        workspace = torch.empty(graph.get_workspace_size(), device=q.device, dtype=torch.uint8)
        return graph, inputs, out, sink, workspace

    def attend(q, k, v, causal):
        key = (q.shape, q.dtype, causal)
        if key not in plans:
            plans[key] = build(q, k, v, causal)
        graph, inputs, out, sink, workspace = plans[key]
        result = torch.empty_like(q)
        graph.execute(dict(zip([*inputs, out], [q, k, v, sink, result])), workspace)
        return result

    return attend


def definition(q, k, v, causal, sink):
    """Softmax with one more logit, in float64."""
    q, k, v = q.double(), k.double(), v.double()
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(hidden, -torch.inf)
    column = torch.full_like(scores[..., :1], sink)
    return torch.softmax(torch.cat([scores, column], -1), -1)[..., :-1] @ v


def check(attend, sink, device, dtype, causal):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 4, 256, 64, device=device, dtype=dtype) for _ in range(3))
    error = (attend(q, k, v, causal).double() - definition(q, k, v, causal, sink)).abs().max().item()
    if not error < (1e-5 if dtype == torch.float32 else 5e-3 if dtype == torch.float16 else 3e-2):
        raise RuntimeError(f"is wrong by {error:.2e}")


def median_ms(run, repeats=30):
    times = []
    for i in range(repeats + 5):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        stop.record()
        stop.synchronize()
        if i >= 5:
            times.append(start.elapsed_time(stop))
    return sorted(times)[len(times) // 2]


def contenders(library):
    """Name, sink, and a function that builds it; building fails where a library is not installed."""
    from torch.nn.attention import SDPBackend

    yield "ours, sink 0", 0.0, lambda: ours(library, "outeffhop_attention_cuda", 0)
    yield "ours, no sink", -torch.inf, lambda: ours(library, "outeffhop_attention_cuda", 1)
    yield "cuDNN, sink token 0", 0.0, cudnn_with_sink
    yield "cuDNN in torch, no sink", -torch.inf, lambda: torch_attention(SDPBackend.CUDNN_ATTENTION)
    yield "FlashAttention in torch, no sink", -torch.inf, lambda: torch_attention(SDPBackend.FLASH_ATTENTION)
    yield "flash_attn, no sink", -torch.inf, flash_attention
    yield "flash_attn, zero row in front", 0.0, flash_attention_with_zero_row


def rows(name, attend, dtype):
    for size in (64, 128):
        for causal in (False, True):
            for length in (512, 1024, 2048, 4096, 8192, 16384):
                batch, heads = max(1, 16384 // length), 16
                q, k, v = (torch.randn(batch, heads, length, size, device="cuda", dtype=dtype) for _ in range(3))
                ms = median_ms(lambda: attend(q, k, v, causal))
                tflops = 4 * batch * heads * length * length * size / (2 if causal else 1) / ms / 1e9
                kind = str(dtype).removeprefix("torch.")
                mask = "causal" if causal else "full"
                print(f"{name.replace(',', ';')},{kind},{batch},{heads},{length},{size},{mask},{ms:.4f},{tflops:.1f}", flush=True)


def main():
    library = ctypes.CDLL(sys.argv[1])
    if not torch.cuda.is_available():
        # Without a device only the way into the library can be tried: its reference, on host memory.
        for sink, no_sink in ((0.0, 0), (-torch.inf, 1)):
            for causal in (False, True):
                check(ours(library, "outeffhop_attention_reference", no_sink), sink, "cpu", torch.float32, causal)
        sys.exit("torch sees no CUDA device; the reference of the library is right on host memory")
    print(f"# {torch.cuda.get_device_name()}, torch {torch.__version__}")
    print("what,type,batch,heads,length,head size,mask,ms,TFLOP/s")
    for name, sink, build in contenders(library):
        for dtype in (torch.float16, torch.bfloat16):
            try:
                attend = build()
                for causal in (False, True):
                    check(attend, sink, "cuda", dtype, causal)
                rows(name, attend, dtype)
            except Exception as reason:  # whatever keeps a contender away, the others are measured
                print(f"# {name}, {dtype}: no rows: {reason}", flush=True)


if __name__ == "__main__":
    main()
