"""Builds ONNX files with TensorRT-RTX, which needs no GPU for that: on stdin a JSON list of paths, or of objects with a path, three
sizes for dynamic axes and a compute capability; on stdout for each what was built, and which nodes are in a fused attention kernel.

The first argument is the compute capability of those that have none of their own, SM80 where there is none.
"""
import json
import re
import sys

import tensorrt_rtx_bindings as trt

logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
default = sys.argv[1] if len(sys.argv) > 1 else "SM80"


def build(given):
    given = given if isinstance(given, dict) else {"path": given}
    path, sizes = given["path"], given.get("sizes", (1, 8, 16))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(path):
        return {"parsed": False, "why": parser.get_error(0).desc()}
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, given.get("capability", default)), 0)
    # The layers then have the names of the nodes they are made of.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    profile, dynamic = builder.create_optimization_profile(), False
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        shapes = [tuple(n if d == -1 else d for d in tensor.shape) for n in sizes]
        dynamic = dynamic or -1 in tuple(tensor.shape)
        profile.set_shape(tensor.name, *shapes)
    if dynamic:
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if not engine:
        return {"parsed": True, "built": False}
    layers = re.findall(rb'name=_gem[mv]_mha\w* fqn=[^\n]*? layers="([^"]*)"', bytes(engine))
    nodes = {name.decode() for text in layers for name in re.findall(rb"\[ONNX Layer: ([^\]]*)\]", text)}
    kernels = re.findall(rb"_gem[mv]_mha_v\d_0x[0-9a-f]+", bytes(engine))
    return {"parsed": True, "built": True, "fused": len(set(kernels)), "mentions": len(kernels), "nodes": sorted(nodes)}


print(json.dumps([build(given) for given in json.load(sys.stdin)]))
