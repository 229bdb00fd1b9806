#include "op.hpp"

namespace outeffhop::ort {
namespace {

const Op& op_of(const OrtCustomOp* op) { return *static_cast<const Op*>(op); }

ONNXTensorElementDataType element_type(const OrtCustomOp* op, size_t) {
  switch (op_of(op).type) {
    case OUTEFFHOP_FLOAT16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    case OUTEFFHOP_BFLOAT16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
    default: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
}

OrtCustomOpInputOutputCharacteristic characteristic(const OrtCustomOp* op, size_t index) {
  return index < op_of(op).definition.required ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
}

OrtMemType memory_type(const OrtCustomOp* op, size_t index) {
  return op_of(op).on_device && index == op_of(op).definition.on_host ? OrtMemTypeCPUInput : OrtMemTypeDefault;
}

OrtStatus* create(const OrtCustomOp* op, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
  return guarded([=] { *kernel = op_of(op).definition.make(op_of(op), info).release(); });
}

OrtStatus* compute(void* kernel, OrtKernelContext* context) {
  return guarded([=] { static_cast<const Kernel*>(kernel)->compute(context); });
}

}  // namespace

Op::Op(const Definition& definition, outeffhop_type type, bool on_device)
    : OrtCustomOp{}, definition(definition), type(type), on_device(on_device) {
  // The version of the fields that are filled here, and not that of the header: a runtime reads no others.
  version = kApi;
  GetName = [](const OrtCustomOp* op) { return op_of(op).definition.name; };
  GetExecutionProviderType = [](const OrtCustomOp* op) {
    return op_of(op).on_device ? "CUDAExecutionProvider" : "CPUExecutionProvider";
  };
  GetInputTypeCount = [](const OrtCustomOp* op) { return op_of(op).definition.inputs; };
  GetInputType = element_type;
  GetInputCharacteristic = characteristic;
  GetInputMemoryType = memory_type;
  GetOutputTypeCount = [](const OrtCustomOp*) { return size_t(1); };
  GetOutputType = element_type;
  GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  CreateKernelV2 = create;
  KernelComputeV2 = compute;
  KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
}

bool float_attribute(const OrtKernelInfo* info, const char* name, float& value) {
  OrtStatus* status = api->KernelInfoGetAttribute_float(info, name, &value);
  if (!status) return true;
  api->ReleaseStatus(status);
  return false;
}

bool int_attribute(const OrtKernelInfo* info, const char* name, int64_t& value) {
  OrtStatus* status = api->KernelInfoGetAttribute_int64(info, name, &value);
  if (!status) return true;
  api->ReleaseStatus(status);
  return false;
}

}  // namespace outeffhop::ort
