// Registers the plugin as soon as the library is loaded: trtexec --staticPlugins, and programs that link it.
#include "plugin.hpp"

namespace {

// The macro of TensorRT registers under no namespace, where the parser would not look.
[[maybe_unused]] const bool registered = [] {
  outeffhop::tensorrt::set_logger([]() -> nvinfer1::ILogger* { return getLogger(); });
  return getPluginRegistry()->registerCreator(outeffhop::tensorrt::creator(), outeffhop::tensorrt::kNamespace);
}();

}  // namespace
