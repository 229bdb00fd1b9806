// A node's tensors, as TensorRT describes them, as one call of the kernel.
#pragma once
#include <NvInferRuntime.h>

#include "outeffhop_attention.h"

namespace outeffhop::tensorrt {

enum Input { kQueries, kKeys, kValues, kMask, kSink, kInputs };

/** The element type of the interface; false for one it does not have. */
bool type_of(nvinfer1::DataType type, outeffhop_type& found);

/**
 * Fills sizes, strides and types of a call on dense tensors; pointers stay null. Says what is wrong with the shapes, or gives null.
 *
 * q [B, H, S, D], k [B, Hkv, T, D], v [B, Hkv, T, Dv], the mask anything that broadcasts to [B, H, S, T], the sink one logit or
 * one a head. A batch of 1 broadcasts.
 */
const char* describe_call(const nvinfer1::PluginTensorDesc* inputs, float scale, outeffhop_attention& call);

/** Elements of the sink. */
int64_t logits_of(const nvinfer1::PluginTensorDesc& sink);

/** Whether the kernel reads the sink where it is: a float32 a head. */
bool reads_sink_in_place(const nvinfer1::PluginTensorDesc& sink, int64_t heads);

/** `out[h] = logits[h or 0]` for every head, as float32, in device memory. */
outeffhop_status spread_sink(const void* logits, outeffhop_type type, int64_t count, float* out, int64_t heads, void* stream);

}  // namespace outeffhop::tensorrt
