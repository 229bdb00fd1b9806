// Sinks of any element type, one or one a head, as the kernel reads them.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "call.hpp"

namespace outeffhop::tensorrt {

namespace {

constexpr int kThreads = 128;

template <typename Element>
__global__ void spread(const Element* logits, int64_t count, float* out, int64_t heads) {
  const int64_t head = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (head < heads) out[head] = float(logits[count == 1 ? 0 : head]);
}

template <typename Element>
outeffhop_status launch(const void* logits, int64_t count, float* out, int64_t heads, cudaStream_t stream) {
  const unsigned blocks = unsigned((heads + kThreads - 1) / kThreads);
  if (blocks > 0) spread<<<blocks, kThreads, 0, stream>>>(static_cast<const Element*>(logits), count, out, heads);
  return cudaGetLastError() == cudaSuccess ? OUTEFFHOP_OK : OUTEFFHOP_LAUNCH_FAILED;
}

}  // namespace

outeffhop_status spread_sink(const void* logits, outeffhop_type type, int64_t count, float* out, int64_t heads, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  switch (type) {
    case OUTEFFHOP_FLOAT32: return launch<float>(logits, count, out, heads, queue);
    case OUTEFFHOP_FLOAT16: return launch<__half>(logits, count, out, heads, queue);
    case OUTEFFHOP_BFLOAT16: return launch<__nv_bfloat16>(logits, count, out, heads, queue);
    default: return OUTEFFHOP_BAD_TYPE;
  }
}

}  // namespace outeffhop::tensorrt
