// Stands in for the device: the plugin's calls on host memory, by the reference.
#include <cstring>

#include "tensorrt/call.hpp"

outeffhop_status outeffhop_attention_cuda(const outeffhop_attention* call, void*) {
  return outeffhop_attention_reference(call);
}

namespace outeffhop::tensorrt {

outeffhop_status spread_sink(const void* logits, outeffhop_type type, int64_t count, float* out, int64_t heads, void*) {
  for (int64_t head = 0; head < heads; head++) {
    const int64_t from = count == 1 ? 0 : head;
    if (type == OUTEFFHOP_FLOAT32) {
      out[head] = static_cast<const float*>(logits)[from];
      continue;
    }
    const uint16_t bits = static_cast<const uint16_t*>(logits)[from];
    if (type == OUTEFFHOP_BFLOAT16) {
      const uint32_t wide = uint32_t(bits) << 16;
      std::memcpy(&out[head], &wide, sizeof wide);
    } else {
      _Float16 narrow;
      std::memcpy(&narrow, &bits, sizeof bits);
      out[head] = float(narrow);
    }
  }
  return OUTEFFHOP_OK;
}

}  // namespace outeffhop::tensorrt
