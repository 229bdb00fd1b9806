// A build without CUDA registers no operator that would need device memory.
#include "device_floats.hpp"
#include "status.hpp"

namespace outeffhop::ort {

DeviceFloats::DeviceFloats(const std::vector<float>&, void* stream) : stream_(stream) {
  throw Failure("this library was built without CUDA");
}

DeviceFloats::~DeviceFloats() = default;

}  // namespace outeffhop::ort
