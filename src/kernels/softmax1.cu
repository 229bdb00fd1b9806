// The normaliser alone on a device: a warp a row.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>

#include "call.hpp"

namespace outeffhop {
namespace {

constexpr int kWarp = 32, kWarps = 8;

__device__ float wide(float x) { return x; }
__device__ float wide(__half x) { return __half2float(x); }
__device__ float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ void put(float* to, float x) { *to = x; }
__device__ void put(__half* to, float x) { *to = __float2half_rn(x); }
__device__ void put(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }

/** y = exp(x - m) / (exp(sink - m) + sum exp(x - m)): two sweeps for the largest and the sum, a third writes. */
template <class T>
__global__ void softmax1(outeffhop_softmax1 call) {
  const int lane = threadIdx.x % kWarp;
  const int64_t rows = call.outer * call.inner, step = int64_t(gridDim.x) * kWarps;
  for (int64_t row = int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp; row < rows; row += step) {
    const int64_t o = row / call.inner, first = o * call.size * call.inner + row % call.inner;
    const T* x = static_cast<const T*>(call.x) + first;
    T* y = static_cast<T*>(call.y) + first;
    const float sink = call.sink ? call.sink[o / call.sink_repeat % call.sinks] : 0.f;
    float top = sink;
    for (int64_t i = lane; i < call.size; i += kWarp) top = fmaxf(top, wide(x[i * call.inner]));
    for (int other = kWarp / 2; other > 0; other /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, other));
    const float base = top == -INFINITY ? 0.f : top;
    float sum = 0;
    for (int64_t i = lane; i < call.size; i += kWarp) sum += expf(wide(x[i * call.inner]) - base);
    for (int other = kWarp / 2; other > 0; other /= 2) sum += __shfl_xor_sync(~0u, sum, other);
    sum += expf(sink - base);
    const float scale = sum == 0 ? 0 : 1 / sum;
    for (int64_t i = lane; i < call.size; i += kWarp) put(y + i * call.inner, expf(wide(x[i * call.inner]) - base) * scale);
  }
}

}  // namespace
}  // namespace outeffhop

outeffhop_status outeffhop_softmax1_cuda(const outeffhop_softmax1* call, void* stream) {
  using namespace outeffhop;
  const outeffhop_status checked = check_call(call);
  if (checked != OUTEFFHOP_OK) return checked;
  const int64_t rows = call->outer * call->inner;
  if (rows == 0 || call->size == 0) return OUTEFFHOP_OK;
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return OUTEFFHOP_NO_DEVICE;
  const int64_t blocks = (rows + kWarps - 1) / kWarps;
  const unsigned grid = unsigned(blocks < 65536 ? blocks : 65536);
  const auto queue = static_cast<cudaStream_t>(stream);
  if (call->type == OUTEFFHOP_FLOAT16) softmax1<__half><<<grid, kWarps * kWarp, 0, queue>>>(*call);
  if (call->type == OUTEFFHOP_BFLOAT16) softmax1<__nv_bfloat16><<<grid, kWarps * kWarp, 0, queue>>>(*call);
  if (call->type == OUTEFFHOP_FLOAT32) softmax1<float><<<grid, kWarps * kWarp, 0, queue>>>(*call);
  const cudaError_t error = cudaGetLastError();
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction) return OUTEFFHOP_NOT_BUILT;
  return error == cudaSuccess ? OUTEFFHOP_OK : OUTEFFHOP_LAUNCH_FAILED;
}
