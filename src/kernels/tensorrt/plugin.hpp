// HopfieldAttention for TensorRT: what a node of that name asks for, as the form `plugin` writes it.
#pragma once
#include <NvInferRuntime.h>

namespace outeffhop::tensorrt {

constexpr char kName[] = "HopfieldAttention";
constexpr char kVersion[] = "1";
constexpr char kNamespace[] = "outeffhop";

/** The one creator; it has no state. */
nvinfer1::IPluginCreatorV3One& creator();

/** Where messages go; until it is called, nowhere. */
void set_logger(nvinfer1::ILogger* (*find)());

}  // namespace outeffhop::tensorrt
