// Device memory for the programs that check and measure.
#pragma once
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

namespace outeffhop::check {

inline void expect(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(2);
}

/** Bytes on the device, freed with it. */
class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes) : bytes_(bytes) {
    if (bytes) expect(cudaMalloc(&data_, bytes), "cannot allocate device memory");
  }
  DeviceMemory(const void* host, size_t bytes) : DeviceMemory(bytes) {
    if (bytes) expect(cudaMemcpy(data_, host, bytes, cudaMemcpyHostToDevice), "cannot copy to the device");
  }
  DeviceMemory(DeviceMemory&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { cudaFree(data_); }

  unsigned char* data() const { return static_cast<unsigned char*>(data_); }
  void read(void* host) const {
    if (bytes_) expect(cudaMemcpy(host, data_, bytes_, cudaMemcpyDeviceToHost), "cannot copy from the device");
  }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

}  // namespace outeffhop::check
