// What TensorRT looks for in a library it loads: trtexec --dynamicPlugins, IPluginRegistry::loadLibrary.
#include "outeffhop_attention.h"
#include "plugin.hpp"

namespace {

nvinfer1::ILoggerFinder* finder = nullptr;

nvinfer1::ILogger* found_logger() { return finder ? finder->findLogger() : nullptr; }

}  // namespace

extern "C" OUTEFFHOP_API nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&outeffhop::tensorrt::creator()};
  count = 1;
  return creators;
}

extern "C" OUTEFFHOP_API void setLoggerFinder(nvinfer1::ILoggerFinder* given) {
  finder = given;
  outeffhop::tensorrt::set_logger(found_logger);
}
