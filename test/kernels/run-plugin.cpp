// Plays TensorRT to the plugin, on host memory. On stdin: the scale; then for each of five inputs its type (f32, f16, bf16), its rank,
// its sizes and its numbers. On stdout: the output's rank, its sizes and its numbers, or `refused` and what was logged.
#include <cmath>
#include <cstring>
#include <deque>
#include <iostream>
#include <memory>
#include <vector>

#include "tensorrt/call.hpp"
#include "tensorrt/plugin.hpp"

using namespace nvinfer1;
using outeffhop::tensorrt::kInputs;

namespace {

std::string logged;

struct Log final : ILogger {
  void log(Severity, const char* message) noexcept override { logged += std::string(message) + "\n"; }
} log_to_string;

ILogger* the_logger() { return &log_to_string; }

struct Size final : IDimensionExpr, apiv::VDimensionExpr {
  int64_t size;
  explicit Size(int64_t given) : size(given) { mImpl = this; }
  bool isConstant() const override { return true; }
  int64_t getConstantValue() const override { return size; }
  bool isSizeTensor() const override { return false; }
};

struct Sizes final : IExprBuilder, apiv::VExprBuilder {
  std::deque<Size> made;
  Sizes() { mImpl = this; }
  const IDimensionExpr* constant(int64_t value) override { return &made.emplace_back(value); }
  const IDimensionExpr* operation(DimensionOperation, const IDimensionExpr& a, const IDimensionExpr& b) override {
    return constant(std::max(a.getConstantValue(), b.getConstantValue()));
  }
  const IDimensionExpr* declareSizeTensor(int32_t, const IDimensionExpr&, const IDimensionExpr&) override {
    return nullptr;
  }
};

struct Array {
  PluginTensorDesc desc{};
  std::vector<unsigned char> bytes;
  size_t width() const { return desc.type == DataType::kFLOAT ? 4 : 2; }
  size_t count() const {
    size_t product = 1;
    for (int i = 0; i < desc.dims.nbDims; i++) product *= size_t(desc.dims.d[i]);
    return product;
  }
  void set(size_t i, float value) {
    if (desc.type == DataType::kFLOAT) std::memcpy(&bytes[4 * i], &value, 4);
    const _Float16 half = _Float16(value);
    if (desc.type == DataType::kHALF) std::memcpy(&bytes[2 * i], &half, 2);
    if (desc.type == DataType::kBF16) std::memcpy(&bytes[2 * i], reinterpret_cast<char*>(&value) + 2, 2);
  }
  float get(size_t i) const {
    float value = 0;
    _Float16 half;
    if (desc.type == DataType::kFLOAT) std::memcpy(&value, &bytes[4 * i], 4);
    if (desc.type == DataType::kBF16) std::memcpy(reinterpret_cast<char*>(&value) + 2, &bytes[2 * i], 2);
    if (desc.type == DataType::kHALF) std::memcpy(&half, &bytes[2 * i], 2), value = float(half);
    return value;
  }
};

float read_number() {
  std::string word;
  if (!(std::cin >> word)) std::exit(3);
  return std::stof(word);
}

Array read_array() {
  Array array;
  std::string type;
  std::cin >> type >> array.desc.dims.nbDims;
  array.desc.type = type == "f16" ? DataType::kHALF : type == "bf16" ? DataType::kBF16 : DataType::kFLOAT;
  array.desc.format = TensorFormat::kLINEAR;
  for (int i = 0; i < array.desc.dims.nbDims; i++) std::cin >> array.desc.dims.d[i];
  array.bytes.resize(array.count() * array.width());
  for (size_t i = 0; i < array.count(); i++) array.set(i, read_number());
  return array;
}

int refused() {
  std::cout << "refused\n" << logged;
  return 0;
}

template <typename Capability>
Capability* role(IPluginV3* plugin, PluginCapabilityType type) {
  return static_cast<Capability*>(plugin->getCapabilityInterface(type));
}

DynamicPluginTensorDesc fixed(const PluginTensorDesc& desc) { return {desc, desc.dims, desc.dims, desc.dims}; }

}  // namespace

int main() {
  outeffhop::tensorrt::set_logger(the_logger);
  float scale = read_number();
  std::vector<Array> arrays;
  for (int i = 0; i < kInputs; i++) arrays.push_back(read_array());

  const PluginField field("scale", &scale, PluginFieldType::kFLOAT32, 1);
  const PluginFieldCollection fields{1, &field};
  auto& creator = outeffhop::tensorrt::creator();
  const std::unique_ptr<IPluginV3> built(creator.createPlugin("built", &fields, TensorRTPhase::kBUILD));
  if (!built) return refused();
  auto* build = role<IPluginV3OneBuild>(built.get(), PluginCapabilityType::kBUILD);

  // The output: its shape by expressions, its type by those of the inputs.
  Sizes sizes;
  DimsExprs shapes[kInputs], out_shape{};
  DataType types[kInputs];
  for (int i = 0; i < kInputs; i++) {
    shapes[i].nbDims = arrays[i].desc.dims.nbDims;
    for (int axis = 0; axis < shapes[i].nbDims; axis++) shapes[i].d[axis] = static_cast<IExprBuilder&>(sizes).constant(arrays[i].desc.dims.d[axis]);
    types[i] = arrays[i].desc.type;
  }
  Array out;
  if (build->getOutputDataTypes(&out.desc.type, 1, types, kInputs)) return refused();
  if (build->getOutputShapes(shapes, kInputs, nullptr, 0, &out_shape, 1, sizes)) return refused();
  out.desc.dims.nbDims = out_shape.nbDims;
  for (int axis = 0; axis < out_shape.nbDims; axis++) out.desc.dims.d[axis] = out_shape.d[axis]->getConstantValue();
  out.desc.format = TensorFormat::kLINEAR;
  // What is not written stays NaN.
  out.bytes.resize(out.count() * out.width());
  for (size_t i = 0; i < out.count(); i++) out.set(i, NAN);

  std::vector<PluginTensorDesc> descs;
  std::vector<DynamicPluginTensorDesc> ranges;
  for (const Array& array : arrays) descs.push_back(array.desc), ranges.push_back(fixed(array.desc));
  ranges.push_back(fixed(out.desc));
  for (int i = 0; i <= kInputs; i++)
    if (!build->supportsFormatCombination(i, ranges.data(), kInputs, 1)) return logged += "format\n", refused();
  if (build->configurePlugin(ranges.data(), kInputs, &ranges[kInputs], 1)) return refused();
  std::vector<float> workspace(build->getWorkspaceSize(ranges.data(), kInputs, &ranges[kInputs], 1) / sizeof(float));

  // As from an engine: of the fields that were serialized, attached to a context.
  const auto* saved = role<IPluginV3OneRuntime>(built.get(), PluginCapabilityType::kRUNTIME)->getFieldsToSerialize();
  const std::unique_ptr<IPluginV3> loaded(creator.createPlugin("loaded", saved, TensorRTPhase::kRUNTIME));
  if (!loaded) return refused();
  auto* prototype = role<IPluginV3OneRuntime>(loaded.get(), PluginCapabilityType::kRUNTIME);
  const std::unique_ptr<IPluginV3> attached(prototype->attachToContext(nullptr));
  auto* runtime = role<IPluginV3OneRuntime>(attached.get(), PluginCapabilityType::kRUNTIME);
  if (runtime->onShapeChange(descs.data(), kInputs, &out.desc, 1)) return refused();
  const void* inputs[kInputs];
  for (int i = 0; i < kInputs; i++) inputs[i] = arrays[i].bytes.data();
  void* outputs[] = {out.bytes.data()};
  if (runtime->enqueue(descs.data(), &out.desc, inputs, outputs, workspace.data(), nullptr)) return refused();

  std::cout << out.desc.dims.nbDims;
  for (int axis = 0; axis < out.desc.dims.nbDims; axis++) std::cout << " " << out.desc.dims.d[axis];
  std::cout.precision(9);
  for (size_t i = 0; i < out.count(); i++) std::cout << "\n" << out.get(i);
  std::cout << std::endl;
  return 0;
}
