// outeffhop::HopfieldSoftmax1(x, sink?) -> y, attribute axis (-1): the normaliser alone.
//
// The sink is one number, or [H, 1, ..] where it broadcasts against x reduced over the axis, H being an axis in front of that.
#include "op.hpp"
#include "place.hpp"
#include "tensor.hpp"

namespace outeffhop::ort {
namespace {

struct Softmax1Kernel final : Kernel {
  Softmax1Kernel(const Op& op, const OrtKernelInfo* info) : type(op.type), on_device(op.on_device) {
    int_attribute(info, "axis", axis);
  }
  void compute(OrtKernelContext* context) const override;

  outeffhop_type type;
  bool on_device;
  int64_t axis = -1;
};

int64_t product(const std::vector<int64_t>& dims, size_t first, size_t end) {
  int64_t size = 1;
  for (size_t i = first; i < end; ++i) size *= dims[i];
  return size;
}

/** Where in front of the axis the one dimension of the sink lies that is not 1. */
void place_sink(const Tensor& sink, const std::vector<int64_t>& dims, size_t axis, outeffhop_softmax1& call) {
  call.sinks = sink.size();
  call.sink_repeat = call.outer > 0 ? call.outer : 1;
  if (call.sinks == 1) return;
  const size_t behind = dims.size() - sink.dims.size();
  for (size_t i = 0; i < sink.dims.size() && sink.dims.size() <= dims.size(); ++i) {
    const size_t at = behind + i;
    if (sink.dims[i] != call.sinks || at >= axis || dims[at] != call.sinks) continue;
    call.sink_repeat = product(dims, at + 1, axis);
    return;
  }
  throw Failure("the sink " + text_of(sink.dims) + " is neither one number nor one along an axis in front of the normalised one of " +
                text_of(dims));
}

void Softmax1Kernel::compute(OrtKernelContext* context) const {
  const Tensor x = input(context, 0), sink = input(context, 1);
  const int64_t rank = int64_t(x.dims.size()), own = axis < 0 ? axis + rank : axis;
  if (own < 0 || own >= rank) throw Failure("axis " + std::to_string(axis) + " is none of " + text_of(x.dims));
  const size_t at = size_t(own);
  outeffhop_softmax1 call{};
  call.version = OUTEFFHOP_ATTENTION_VERSION;
  call.type = type;
  call.outer = product(x.dims, 0, at);
  call.size = x.dims[at];
  call.inner = product(x.dims, at + 1, x.dims.size());
  call.x = x.data;
  call.y = output(context, 0, x.dims);
  std::vector<float> logits;
  if (sink.is_given()) {
    place_sink(sink, x.dims, at, call);
    for (int64_t i = 0; i < call.sinks; ++i) logits.push_back(element(sink.data, type, i));
  }
  require(on_device ? on_stream(context, logits, [&](const float* sinks, void* stream) {
                        call.sink = sinks;
                        return outeffhop_softmax1_cuda(&call, stream);
                      })
                    : on_threads(context, [&](const outeffhop_pool* pool) {
                        call.sink = logits.empty() ? nullptr : logits.data();
                        return outeffhop_softmax1_cpu(&call, pool);
                      }));
}

}  // namespace

std::unique_ptr<Kernel> softmax1_kernel(const Op& op, const OrtKernelInfo* info) {
  return std::make_unique<Softmax1Kernel>(op, info);
}

}  // namespace outeffhop::ort
