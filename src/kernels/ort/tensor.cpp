#include "tensor.hpp"

#include "../half.hpp"

namespace outeffhop::ort {
namespace {

std::vector<int64_t> dims_of(const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(api->GetTensorTypeAndShape(value, &info));
  size_t rank = 0;
  OrtStatus* status = api->GetDimensionsCount(info, &rank);
  std::vector<int64_t> dims(rank);
  if (!status) status = api->GetDimensions(info, dims.data(), rank);
  api->ReleaseTensorTypeAndShapeInfo(info);
  check(status);
  return dims;
}

}  // namespace

int64_t Tensor::size() const {
  int64_t size = 1;
  for (const int64_t dim : dims) size *= dim;
  return size;
}

Tensor input(OrtKernelContext* context, size_t index) {
  static const char empty = 0;
  size_t count = 0;
  check(api->KernelContext_GetInputCount(context, &count));
  const OrtValue* value = nullptr;
  if (index < count) check(api->KernelContext_GetInput(context, index, &value));
  if (!value) return {};
  void* data = nullptr;
  check(api->GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  return {data ? data : &empty, dims_of(value)};
}

void* output(OrtKernelContext* context, size_t index, const std::vector<int64_t>& dims) {
  OrtValue* value = nullptr;
  check(api->KernelContext_GetOutput(context, index, dims.data(), dims.size(), &value));
  void* data = nullptr;
  check(api->GetTensorMutableData(value, &data));
  return data;
}

std::vector<int64_t> four(const std::vector<int64_t>& dims) {
  if (dims.size() > 4) throw Failure("a tensor has more than 4 dimensions: " + text_of(dims));
  std::vector<int64_t> all(4 - dims.size(), 1);
  all.insert(all.end(), dims.begin(), dims.end());
  return all;
}

void strides_of(const std::vector<int64_t>& dims, int64_t (&strides)[4]) {
  const std::vector<int64_t> all = four(dims);
  int64_t stride = 1;
  for (int i = 3; i >= 0; --i) {
    strides[i] = all[size_t(i)] == 1 ? 0 : stride;
    stride *= all[size_t(i)];
  }
}

std::string text_of(const std::vector<int64_t>& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

float element(const void* data, outeffhop_type type, int64_t i) {
  if (type == OUTEFFHOP_FLOAT16) return float_of_float16(static_cast<const uint16_t*>(data)[i]);
  if (type == OUTEFFHOP_BFLOAT16) return float_of_bfloat16(static_cast<const uint16_t*>(data)[i]);
  return static_cast<const float*>(data)[i];
}

}  // namespace outeffhop::ort
