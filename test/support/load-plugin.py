"""Loads a plugin library into TensorRT's lean runtime, which needs no GPU for that: a path as the argument, results on stdout as JSON."""
import ctypes
import json
import sys

import numpy
import tensorrt_lean_bindings as trt

path, registered = sys.argv[1], len(sys.argv) > 2
messages = []


class Logger(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)

    def log(self, severity, message):
        messages.append(message)


logger = Logger()
registry = trt.get_plugin_registry()
before = len(registry.all_creators)
# A library that registers itself needs no more than to be loaded.
library = ctypes.CDLL(path) if registered else registry.load_library(path)
creator = registry.get_creator("HopfieldAttention", "1", "outeffhop")


def made(fields, phase=trt.TensorRTPhase.BUILD):
    try:
        return creator.create_plugin("attention", trt.PluginFieldCollection(fields), phase)
    except Exception as error:
        messages.append(str(error))
        return None


def field(name, values, dtype, kind):
    return trt.PluginField(name, numpy.array(values, dtype=dtype), kind)


scale = field("scale", [0.125], numpy.float32, trt.PluginFieldType.FLOAT32)
refused = {
    "nothing": [],
    "two numbers": [field("scale", [1, 2], numpy.float32, trt.PluginFieldType.FLOAT32)],
    "a double": [field("scale", [1], numpy.float64, trt.PluginFieldType.FLOAT64)],
    "no number": [field("scale", [numpy.nan], numpy.float32, trt.PluginFieldType.FLOAT32)],
    "an unknown field": [scale, field("axis", [1], numpy.int32, trt.PluginFieldType.INT32)],
}
result = {
    "version": trt.__version__,
    "added": len(registry.all_creators) - before,
    "creator": creator and [creator.name, creator.plugin_version, creator.plugin_namespace],
    "fields": creator and [[f.name, str(f.type).split(".")[-1]] for f in creator.field_names],
    "refused": {name: made(fields) is None for name, fields in refused.items()} if creator else None,
}
for phase in (trt.TensorRTPhase.BUILD, trt.TensorRTPhase.RUNTIME):
    plugin = made([scale], phase)
    core = plugin.get_capability_interface(trt.PluginCapabilityType.CORE)
    build = plugin.get_capability_interface(trt.PluginCapabilityType.BUILD)
    runtime = plugin.get_capability_interface(trt.PluginCapabilityType.RUNTIME)
    print(type(plugin), dir(plugin), type(core), dir(core), dir(build), dir(runtime), file=sys.stderr)
result["messages"] = messages
print(json.dumps(result))
