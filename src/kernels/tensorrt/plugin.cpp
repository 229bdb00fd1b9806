// The node as a plugin: one class for the four roles that TensorRT asks of it, and its creator. No symbol of libnvinfer is used.
#include "plugin.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <string>

#include "call.hpp"

namespace outeffhop::tensorrt {

namespace {

using namespace nvinfer1;

constexpr char kScale[] = "scale";
constexpr int kOutput = kInputs;
/** Whoever gets the same call in the same formats is as fast. */
constexpr char kTimingCacheId[] = "outeffhop_hopfield_attention_1";

ILogger* (*find_logger)() = nullptr;

void complain(const std::string& sentence) {
  ILogger* logger = find_logger ? find_logger() : nullptr;
  if (logger) logger->log(ILogger::Severity::kERROR, (std::string("HopfieldAttention: ") + sentence).c_str());
}

class HopfieldAttention final : public IPluginV3,
                                public IPluginV3OneCore,
                                public IPluginV3OneBuild,
                                public IPluginV3OneRuntime {
 public:
  explicit HopfieldAttention(float scale) : scale_(scale) {}

  IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override {
    switch (type) {
      case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
      case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild*>(this);
      case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }
  IPluginV3* clone() noexcept override { return new (std::nothrow) HopfieldAttention(scale_); }

  const AsciiChar* getPluginName() const noexcept override { return kName; }
  const AsciiChar* getPluginVersion() const noexcept override { return kVersion; }
  const AsciiChar* getPluginNamespace() const noexcept override { return kNamespace; }

  int32_t getNbOutputs() const noexcept override { return 1; }

  int32_t getOutputDataTypes(DataType* outputs, int32_t output_count, const DataType* inputs,
                             int32_t input_count) const noexcept override {
    if (!counts_right(input_count, output_count)) return 1;
    outputs[0] = inputs[kQueries];
    return 0;
  }

  /** [B, H, S, Dv]; the batch is the largest of those that may broadcast. */
  int32_t getOutputShapes(const DimsExprs* inputs, int32_t input_count, const DimsExprs*, int32_t, DimsExprs* outputs,
                          int32_t output_count, IExprBuilder& build) noexcept override {
    if (!counts_right(input_count, output_count)) return 1;
    for (const int input : {kQueries, kKeys, kValues})
      if (inputs[input].nbDims != 4) return complain("queries, keys and values have to be of rank 4"), 1;
    const auto larger = [&](const IDimensionExpr* a, const IDimensionExpr* b) {
      return a == b ? a : build.operation(DimensionOperation::kMAX, *a, *b);
    };
    const IDimensionExpr* batch = larger(larger(inputs[kQueries].d[0], inputs[kKeys].d[0]), inputs[kValues].d[0]);
    if (inputs[kMask].nbDims == 4) batch = larger(batch, inputs[kMask].d[0]);
    outputs[0].nbDims = 4;
    outputs[0].d[0] = batch;
    outputs[0].d[1] = inputs[kQueries].d[1];
    outputs[0].d[2] = inputs[kQueries].d[2];
    outputs[0].d[3] = inputs[kValues].d[3];
    return 0;
  }

  /** Dense tensors of one type; the mask and the sink may be float32 beside 16-bit ones. */
  bool supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc* tensors, int32_t input_count,
                                 int32_t output_count) noexcept override {
    if (!counts_right(input_count, output_count) || position < 0 || position > kOutput) return false;
    const PluginTensorDesc& tensor = tensors[position].desc;
    outeffhop_type type;
    if (tensor.format != TensorFormat::kLINEAR || !type_of(tensor.type, type)) return false;
    const bool as_queries = tensor.type == tensors[kQueries].desc.type;
    return as_queries || ((position == kMask || position == kSink) && tensor.type == DataType::kFLOAT);
  }

  int32_t configurePlugin(const DynamicPluginTensorDesc*, int32_t input_count, const DynamicPluginTensorDesc*,
                          int32_t output_count) noexcept override {
    return counts_right(input_count, output_count) ? 0 : 1;
  }

  /** Room for a float32 sink a head. */
  size_t getWorkspaceSize(const DynamicPluginTensorDesc* inputs, int32_t, const DynamicPluginTensorDesc*,
                          int32_t) const noexcept override {
    return size_t(std::max<int64_t>(inputs[kQueries].max.d[1], 0)) * sizeof(float);
  }

  const char* getTimingCacheID() noexcept override { return kTimingCacheId; }

  int32_t onShapeChange(const PluginTensorDesc* inputs, int32_t input_count, const PluginTensorDesc*,
                        int32_t output_count) noexcept override {
    outeffhop_attention call;
    if (!counts_right(input_count, output_count)) return 1;
    if (const char* problem = describe_call(inputs, scale_, call)) return complain(problem), 1;
    // Any address will do: sizes are what is checked.
    alignas(sizeof(float)) char anything[sizeof(float)];
    call.q = call.k = call.v = call.bias = call.out = anything;
    return done(outeffhop_attention_check(&call));
  }

  int32_t enqueue(const PluginTensorDesc* descriptions, const PluginTensorDesc*, const void* const* inputs,
                  void* const* outputs, void* workspace, cudaStream_t stream) noexcept override {
    outeffhop_attention call;
    if (const char* problem = describe_call(descriptions, scale_, call)) return complain(problem), 1;
    call.q = inputs[kQueries], call.k = inputs[kKeys], call.v = inputs[kValues], call.bias = inputs[kMask];
    call.out = outputs[0];
    call.sink = static_cast<const float*>(inputs[kSink]);
    if (!reads_sink_in_place(descriptions[kSink], call.heads)) {
      outeffhop_type type;
      if (!type_of(descriptions[kSink].type, type)) return complain("the sink has to be a float"), 1;
      auto* const spread = static_cast<float*>(workspace);
      const int64_t logits = logits_of(descriptions[kSink]);
      const outeffhop_status status = spread_sink(call.sink, type, logits, spread, call.heads, stream);
      if (status != OUTEFFHOP_OK) return done(status);
      call.sink = spread;
    }
    return done(outeffhop_attention_cuda(&call, stream));
  }

  IPluginV3* attachToContext(IPluginResourceContext*) noexcept override { return clone(); }

  /** What comes back to the creator when an engine is loaded. */
  const PluginFieldCollection* getFieldsToSerialize() noexcept override {
    field_ = PluginField(kScale, &scale_, PluginFieldType::kFLOAT32, 1);
    fields_ = {1, &field_};
    return &fields_;
  }

 private:
  static bool counts_right(int32_t inputs, int32_t outputs) {
    if (inputs == kInputs && outputs == 1) return true;
    complain("it has five inputs, queries, keys, values, mask and sink, and one output");
    return false;
  }

  static int32_t done(outeffhop_status status) {
    if (status != OUTEFFHOP_OK) complain(outeffhop_status_text(status));
    return status;
  }

  float scale_;
  PluginField field_{};
  PluginFieldCollection fields_{};
};

class Creator final : public IPluginCreatorV3One {
 public:
  const AsciiChar* getPluginName() const noexcept override { return kName; }
  const AsciiChar* getPluginVersion() const noexcept override { return kVersion; }
  const AsciiChar* getPluginNamespace() const noexcept override { return kNamespace; }
  const PluginFieldCollection* getFieldNames() noexcept override { return &fields_; }

  IPluginV3* createPlugin(const AsciiChar*, const PluginFieldCollection* given, TensorRTPhase) noexcept override {
    float scale = NAN;
    for (int32_t i = 0; given && i < given->nbFields; i++) {
      const PluginField& field = given->fields[i];
      if (!field.name || std::strcmp(field.name, kScale) != 0)
        return refuse(std::string("it has no field \"") + (field.name ? field.name : "") + "\"");
      if (field.type != PluginFieldType::kFLOAT32 || field.length != 1 || !field.data)
        return refuse("the field \"scale\" has to be one float32");
      std::memcpy(&scale, field.data, sizeof scale);
    }
    if (!std::isfinite(scale)) return refuse("the field \"scale\" has to be there, and finite");
    return new (std::nothrow) HopfieldAttention(scale);
  }

 private:
  static IPluginV3* refuse(const std::string& why) {
    complain(why);
    return nullptr;
  }

  PluginField field_{kScale, nullptr, PluginFieldType::kFLOAT32, 1};
  PluginFieldCollection fields_{1, &field_};
};

}  // namespace

IPluginCreatorV3One& creator() {
  static Creator one;
  return one;
}

void set_logger(ILogger* (*find)()) { find_logger = find; }

}  // namespace outeffhop::tensorrt
