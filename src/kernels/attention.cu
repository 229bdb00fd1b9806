// The CUDA entry point: picks a kernel and queues it.
#include <cuda_runtime.h>

#include "dispatch.hpp"

namespace outeffhop {
namespace {

outeffhop_status check_device(outeffhop_type type) {
  int device = 0, major = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return OUTEFFHOP_NO_DEVICE;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess) return OUTEFFHOP_NO_DEVICE;
  return major < 8 && type != OUTEFFHOP_FLOAT32 ? OUTEFFHOP_OLD_DEVICE : OUTEFFHOP_OK;
}

outeffhop_status queue(const Launch& launch, const Problem& problem, int64_t batch, cudaStream_t stream) {
  const void* kernel = reinterpret_cast<const void*>(launch.kernel);
  const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, launch.shared_bytes);
  if (allowed == cudaErrorNoKernelImageForDevice || allowed == cudaErrorInvalidDeviceFunction) return OUTEFFHOP_NOT_BUILT;
  if (allowed != cudaSuccess) return OUTEFFHOP_LAUNCH_FAILED;
  launch.kernel<<<unsigned(blocks_of(launch, problem, batch)), launch.threads, launch.shared_bytes, stream>>>(problem);
  return cudaGetLastError() == cudaSuccess ? OUTEFFHOP_OK : OUTEFFHOP_LAUNCH_FAILED;
}

}  // namespace
}  // namespace outeffhop

outeffhop_status outeffhop_attention_cuda(const outeffhop_attention* call, void* stream) {
  const outeffhop_status checked = outeffhop_attention_check(call);
  if (checked != OUTEFFHOP_OK) return checked;
  if (call->batch == 0 || call->heads == 0 || call->queries == 0) return OUTEFFHOP_OK;
  const outeffhop_status device = outeffhop::check_device(call->type);
  if (device != OUTEFFHOP_OK) return device;
  const outeffhop::Launch launch = outeffhop::choose(*call);
  if (!launch.kernel) return OUTEFFHOP_NOT_BUILT;
  return outeffhop::queue(launch, outeffhop::problem_of(*call), call->batch, static_cast<cudaStream_t>(stream));
}
