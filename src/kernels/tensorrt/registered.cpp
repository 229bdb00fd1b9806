// Registers the plugin as soon as the library is loaded: trtexec --staticPlugins, and programs that link it.
#include <cstdio>

#include "plugin.hpp"

namespace {

nvinfer1::ILogger* the_logger() { return getLogger(); }

/** The functions of the registry have other places in each major version: calling them with headers of another one would crash. */
bool register_creator() {
  const int headers = NV_TENSORRT_MAJOR, library = getInferLibMajorVersion();
  if (headers != library) {
    std::fprintf(stderr, "HopfieldAttention is not registered: built for TensorRT %d, loaded beside %d.\n", headers, library);
    return false;
  }
  outeffhop::tensorrt::set_logger(the_logger);
  // The macro of TensorRT registers under no namespace, where the parser would not look.
  return getPluginRegistry()->registerCreator(outeffhop::tensorrt::creator(), outeffhop::tensorrt::kNamespace);
}

[[maybe_unused]] const bool registered = register_creator();

}  // namespace
