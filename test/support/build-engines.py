"""Builds ONNX files with TensorRT-RTX, which needs no GPU for that: paths on stdin as JSON, results on stdout.

The first argument is the compute capability to build for, SM80 where there is none.
"""
import json
import re
import sys

import tensorrt_rtx_bindings as trt

logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
capability = getattr(trt.ComputeCapability, sys.argv[1] if len(sys.argv) > 1 else "SM80")


def build(path):
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(path):
        return {"parsed": False, "why": parser.get_error(0).desc()}
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(capability, 0)
    profile, dynamic = builder.create_optimization_profile(), False
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        shapes = [tuple(n if d == -1 else d for d in tensor.shape) for n in (1, 8, 16)]
        dynamic = dynamic or -1 in tuple(tensor.shape)
        profile.set_shape(tensor.name, *shapes)
    if dynamic:
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if not engine:
        return {"parsed": True, "built": False}
    kernels = re.findall(rb"_gem[mv]_mha_v\d_0x[0-9a-f]+", bytes(engine))
    return {"parsed": True, "built": True, "fused": len(set(kernels)), "mentions": len(kernels)}


print(json.dumps([build(path) for path in json.load(sys.stdin)]))
