"""Loads a plugin library into TensorRT's lean runtime, which needs no GPU for that: a path, and whether the library registers itself,
as arguments; what was seen on stdout as JSON."""
import ctypes
import json
import sys

import numpy
import tensorrt_lean_bindings as trt

path, registers_itself = sys.argv[1], len(sys.argv) > 2
registry = trt.get_plugin_registry()
before = len(registry.all_creators)
library = ctypes.CDLL(path) if registers_itself else registry.load_library(path)
creator = registry.get_creator("HopfieldAttention", "1", "outeffhop")


def field(name, values, dtype, kind):
    return trt.PluginField(name, numpy.array(values, dtype=dtype), kind)


scale = field("scale", [0.125], numpy.float32, trt.PluginFieldType.FLOAT32)
given = {
    "a scale": [scale],
    "nothing": [],
    "two numbers": [field("scale", [1, 2], numpy.float32, trt.PluginFieldType.FLOAT32)],
    "a double": [field("scale", [1], numpy.float64, trt.PluginFieldType.FLOAT64)],
    "no number": [field("scale", [numpy.nan], numpy.float32, trt.PluginFieldType.FLOAT32)],
    "a field more": [scale, field("axis", [1], numpy.int32, trt.PluginFieldType.INT32)],
}


def describe(plugin):
    core = plugin.get_capability_interface(trt.PluginCapabilityType.CORE)
    build = plugin.get_capability_interface(trt.PluginCapabilityType.BUILD)
    runtime = plugin.get_capability_interface(trt.PluginCapabilityType.RUNTIME)
    names = [core.plugin_name, core.plugin_version, core.plugin_namespace]
    return {"names": names, "outputs": build.num_outputs, "runs": runtime is not None}


def made(fields, phase):
    plugin = creator.create_plugin("attention", trt.PluginFieldCollection(fields), phase)
    return plugin and describe(plugin)


phases = {"build": trt.TensorRTPhase.BUILD, "runtime": trt.TensorRTPhase.RUNTIME}
seen = {"major": int(trt.__version__.split(".")[0]), "added": len(registry.all_creators) - before}
if creator:
    seen["names"] = [creator.name, creator.plugin_version, creator.plugin_namespace]
    seen["fields"] = [[f.name, str(f.type).split(".")[-1]] for f in creator.field_names]
    seen["made"] = {word: {name: made(f, phase) for name, f in given.items()} for word, phase in phases.items()}
print(json.dumps(seen))
