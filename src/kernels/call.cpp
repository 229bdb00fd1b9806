// What a call must satisfy before anybody reads its pointers, and the sentence for each status.
#include "call.hpp"

#include <cmath>

namespace outeffhop {
namespace {

constexpr int64_t kMost = INT32_MAX;

bool fits(int64_t size) { return size >= 0 && size <= kMost; }

bool is_element(outeffhop_type type) {
  return type == OUTEFFHOP_FLOAT32 || type == OUTEFFHOP_FLOAT16 || type == OUTEFFHOP_BFLOAT16;
}

bool unaligned(const void* data, outeffhop_type type) {
  const uintptr_t size = type == OUTEFFHOP_FLOAT32 ? 4 : type == OUTEFFHOP_BOOL ? 1 : 2;
  return reinterpret_cast<uintptr_t>(data) % size != 0;
}

outeffhop_status check_sizes(const outeffhop_attention& call, int64_t most_head_size) {
  if (!fits(call.batch) || !fits(call.heads) || !fits(call.queries) || !fits(call.keys)) return OUTEFFHOP_BAD_SIZE;
  if (!std::isfinite(call.scale)) return OUTEFFHOP_BAD_SIZE;
  if (call.head_size < 1 || call.head_size > most_head_size) return OUTEFFHOP_BAD_HEAD_SIZE;
  if (call.value_size < 1 || call.value_size > most_head_size) return OUTEFFHOP_BAD_HEAD_SIZE;
  if (call.kv_heads < 1 || call.heads % call.kv_heads != 0) return OUTEFFHOP_BAD_HEADS;
  const double blocks = double(call.batch) * double(call.heads) * double(call.queries / 16 + 1);
  return blocks <= double(kMost) ? OUTEFFHOP_OK : OUTEFFHOP_BAD_SIZE;
}

outeffhop_status check_tensors(const outeffhop_attention& call) {
  const bool empty = call.batch == 0 || call.heads == 0 || call.queries == 0;
  if (empty) return OUTEFFHOP_OK;
  if (!call.q || !call.out || (call.keys > 0 && (!call.k || !call.v))) return OUTEFFHOP_MISSING_TENSOR;
  const void* const tensors[] = {call.q, call.k, call.v, call.out};
  for (const void* tensor : tensors)
    if (unaligned(tensor, call.type)) return OUTEFFHOP_UNALIGNED;
  if (unaligned(call.bias, call.bias_type) || unaligned(call.sink, OUTEFFHOP_FLOAT32)) return OUTEFFHOP_UNALIGNED;
  return OUTEFFHOP_OK;
}

}  // namespace

outeffhop_status check_call(const outeffhop_attention* call, int64_t most_head_size) {
  if (!call || call->version != OUTEFFHOP_ATTENTION_VERSION) return OUTEFFHOP_BAD_VERSION;
  if (!is_element(call->type)) return OUTEFFHOP_BAD_TYPE;
  const bool bias_type_known =
      call->bias_type == call->type || call->bias_type == OUTEFFHOP_FLOAT32 || call->bias_type == OUTEFFHOP_BOOL;
  if (call->bias && !bias_type_known) return OUTEFFHOP_BAD_TYPE;
  const outeffhop_status sizes = check_sizes(*call, most_head_size);
  return sizes == OUTEFFHOP_OK ? check_tensors(*call) : sizes;
}

outeffhop_status check_call(const outeffhop_softmax1* call) {
  if (!call || call->version != OUTEFFHOP_ATTENTION_VERSION) return OUTEFFHOP_BAD_VERSION;
  if (!is_element(call->type)) return OUTEFFHOP_BAD_TYPE;
  if (!fits(call->size) || call->outer < 0 || call->inner < 0) return OUTEFFHOP_BAD_SIZE;
  if (call->sink && (call->sinks < 1 || call->sink_repeat < 1)) return OUTEFFHOP_BAD_SIZE;
  if (call->outer == 0 || call->size == 0 || call->inner == 0) return OUTEFFHOP_OK;
  if (!call->x || !call->y) return OUTEFFHOP_MISSING_TENSOR;
  const bool wrong = unaligned(call->x, call->type) || unaligned(call->y, call->type);
  return wrong ? OUTEFFHOP_UNALIGNED : OUTEFFHOP_OK;
}

}  // namespace outeffhop

outeffhop_status outeffhop_attention_check(const outeffhop_attention* call) {
  return outeffhop::check_call(call, outeffhop::kMostHeadSize);
}

const char* outeffhop_status_text(outeffhop_status status) {
  switch (status) {
    case OUTEFFHOP_OK: return "Done.";
    case OUTEFFHOP_BAD_VERSION: return "The call was built with another version of outeffhop_attention.h.";
    case OUTEFFHOP_BAD_TYPE: return "q, k, v and out are float32, float16 or bfloat16; a bias is that, float32 or bool.";
    case OUTEFFHOP_BAD_SIZE: return "A size is negative or too large, or the scale is not finite.";
    case OUTEFFHOP_BAD_HEADS: return "The number of heads is no multiple of the number of key heads.";
    case OUTEFFHOP_BAD_HEAD_SIZE: return "Head and value sizes from 1 to 256 are supported.";
    case OUTEFFHOP_MISSING_TENSOR: return "A tensor that is not empty has no data.";
    case OUTEFFHOP_UNALIGNED: return "The data of a tensor is not aligned to its elements.";
    case OUTEFFHOP_NO_DEVICE: return "No CUDA device can be used: none is there, or its driver is too old.";
    case OUTEFFHOP_OLD_DEVICE: return "float16 and bfloat16 need a device of compute capability 8.0 or newer.";
    case OUTEFFHOP_NOT_BUILT: return "This build has no kernel for the head size or for the architecture of the device.";
    case OUTEFFHOP_LAUNCH_FAILED: return "CUDA refused the launch.";
  }
  return "Unknown status.";
}
