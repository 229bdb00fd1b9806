#include "call.hpp"

#include <algorithm>

namespace outeffhop::tensorrt {

namespace {

using nvinfer1::Dims;

/** Strides of a dense tensor of any rank up to 4, read as one of rank 4; 0 where a size is 1 and another is wanted. */
bool broadcast_strides(const Dims& dims, const int64_t (&wanted)[4], int64_t (&strides)[4]) {
  if (dims.nbDims > 4) return false;
  int64_t step = 1;
  for (int axis = 3, own = dims.nbDims - 1; axis >= 0; axis--, own--) {
    const int64_t size = own < 0 ? 1 : dims.d[own];
    if (size != wanted[axis] && size != 1) return false;
    strides[axis] = size == 1 ? 0 : step;
    step *= size;
  }
  return true;
}

}  // namespace

bool type_of(nvinfer1::DataType type, outeffhop_type& found) {
  switch (type) {
    case nvinfer1::DataType::kFLOAT: found = OUTEFFHOP_FLOAT32; return true;
    case nvinfer1::DataType::kHALF: found = OUTEFFHOP_FLOAT16; return true;
    case nvinfer1::DataType::kBF16: found = OUTEFFHOP_BFLOAT16; return true;
    default: return false;
  }
}

const char* describe_call(const nvinfer1::PluginTensorDesc* inputs, float scale, outeffhop_attention& call) {
  const Dims &q = inputs[kQueries].dims, &k = inputs[kKeys].dims, &v = inputs[kValues].dims;
  if (q.nbDims != 4 || k.nbDims != 4 || v.nbDims != 4) return "queries, keys and values have to be of rank 4";
  if (k.d[1] != v.d[1] || k.d[2] != v.d[2]) return "keys and values have to be as many, in as many heads";
  if (q.d[3] != k.d[3]) return "queries and keys have to be of one size";
  call = {};
  call.version = OUTEFFHOP_ATTENTION_VERSION;
  if (!type_of(inputs[kQueries].type, call.type)) return "queries have to be float32, float16 or bfloat16";
  if (!type_of(inputs[kMask].type, call.bias_type)) return "the mask has to be float32, float16 or bfloat16";
  const Dims& mask = inputs[kMask].dims;
  const int64_t mask_batch = mask.nbDims == 4 ? mask.d[0] : 1;
  call.batch = std::max({int64_t(q.d[0]), int64_t(k.d[0]), int64_t(v.d[0]), mask_batch});
  call.heads = q.d[1], call.kv_heads = k.d[1], call.queries = q.d[2], call.keys = k.d[2];
  call.head_size = q.d[3], call.value_size = v.d[3];
  call.scale = scale;
  const int64_t as_queries[4] = {call.batch, call.heads, call.queries, call.head_size};
  const int64_t as_keys[4] = {call.batch, call.kv_heads, call.keys, call.head_size};
  const int64_t as_values[4] = {call.batch, call.kv_heads, call.keys, call.value_size};
  const int64_t as_scores[4] = {call.batch, call.heads, call.queries, call.keys};
  const int64_t as_output[4] = {call.batch, call.heads, call.queries, call.value_size};
  if (!broadcast_strides(q, as_queries, call.q_strides) || !broadcast_strides(k, as_keys, call.k_strides) ||
      !broadcast_strides(v, as_values, call.v_strides))
    return "queries, keys and values have to be of one batch size, or of 1";
  if (!broadcast_strides(mask, as_scores, call.bias_strides)) return "the mask does not broadcast to [B, H, S, T]";
  int64_t step = 1;
  for (int axis = 3; axis >= 0; axis--) {
    call.out_strides[axis] = step;
    step *= as_output[axis];
  }
  const int64_t logits = logits_of(inputs[kSink]);
  if (logits != 1 && logits != call.heads) return "the sink has to be one logit, or one a head";
  return nullptr;
}

int64_t logits_of(const nvinfer1::PluginTensorDesc& sink) {
  int64_t count = 1;
  for (int axis = 0; axis < sink.dims.nbDims; axis++) count *= sink.dims.d[axis];
  return count;
}

bool reads_sink_in_place(const nvinfer1::PluginTensorDesc& sink, int64_t heads) {
  return sink.type == nvinfer1::DataType::kFLOAT && logits_of(sink) == heads;
}

}  // namespace outeffhop::tensorrt
