// A few numbers in device memory while the work that reads them is queued.
#pragma once
#include <vector>

namespace outeffhop::ort {

class DeviceFloats {
 public:
  /** Copies on the stream; nothing where there are no values. */
  DeviceFloats(const std::vector<float>& values, void* stream);
  /** Frees on the stream, behind what was queued meanwhile. */
  ~DeviceFloats();
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;

  /** Null where there are no values. */
  const float* data() const { return data_; }

 private:
  float* data_ = nullptr;
  void* stream_;
};

}  // namespace outeffhop::ort
