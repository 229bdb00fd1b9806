#include "device_floats.hpp"

#include <cuda_runtime.h>

#include "status.hpp"

namespace outeffhop::ort {

DeviceFloats::DeviceFloats(const std::vector<float>& values, void* stream) : stream_(stream) {
  if (values.empty()) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  const size_t bytes = values.size() * sizeof(float);
  cudaError_t error = cudaMallocAsync(reinterpret_cast<void**>(&data_), bytes, queue);
  // The values are pageable: they are read before the call returns.
  if (error == cudaSuccess) error = cudaMemcpyAsync(data_, values.data(), bytes, cudaMemcpyHostToDevice, queue);
  if (error == cudaSuccess) return;
  if (data_) cudaFreeAsync(data_, queue);
  throw Failure(std::string("CUDA could not take the sinks: ") + cudaGetErrorString(error));
}

DeviceFloats::~DeviceFloats() {
  if (data_) cudaFreeAsync(data_, static_cast<cudaStream_t>(stream_));
}

}  // namespace outeffhop::ort
