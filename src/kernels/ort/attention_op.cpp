// outeffhop::HopfieldAttention(q, k, v, mask?, sink?) -> y, attribute scale: the node that the form `function` writes.
//
// q [B, H, S, D], k [B, H, T, D], v [B, H, T, Dv], whose batch and heads may be 1; mask broadcasts against [B, H, S, T]; sink is
// [H, 1, 1] or one number. The same definition as the model-local function that models have under this name.
#include <cmath>

#include "op.hpp"
#include "place.hpp"
#include "tensor.hpp"

namespace outeffhop::ort {
namespace {

struct AttentionKernel final : Kernel {
  AttentionKernel(const Op& op, const OrtKernelInfo* info) : type(op.type), on_device(op.on_device) {
    scaled = float_attribute(info, "scale", scale);
  }
  void compute(OrtKernelContext* context) const override;

  outeffhop_type type;
  bool on_device, scaled = false;
  float scale = 0;
};

int64_t broadcast(int64_t a, int64_t b, const char* what) {
  if (a == b || b == 1) return a;
  if (a == 1) return b;
  throw Failure(std::string(what) + " do not fit: " + std::to_string(a) + " and " + std::to_string(b));
}

void require_rank_4(const Tensor& tensor, const char* name) {
  if (tensor.dims.size() != 4) throw Failure(std::string(name) + " is " + text_of(tensor.dims) + ", not of 4 dimensions");
}

/** Keys of one head, or of as many as there are queries, or of a number that divides it. */
int64_t key_heads(int64_t k, int64_t v, int64_t heads) {
  const int64_t count = broadcast(k, v, "the heads of k and v");
  if (count < 1 || heads % count != 0) throw Failure("the heads of q, " + std::to_string(heads) + ", are no multiple of those of k");
  return count;
}

void check_mask(const Tensor& mask, const outeffhop_attention& call) {
  const int64_t scores[4] = {call.batch, call.heads, call.queries, call.keys};
  const std::vector<int64_t> dims = four(mask.dims);
  for (size_t i = 0; i < 4; ++i)
    if (dims[i] != 1 && dims[i] != scores[i])
      throw Failure("the mask " + text_of(mask.dims) + " does not broadcast against scores [" + std::to_string(scores[0]) + ", " +
                    std::to_string(scores[1]) + ", " + std::to_string(scores[2]) + ", " + std::to_string(scores[3]) + "]");
}

/** A logit a head, or nothing where all are 0; the runtime keeps the sink in host memory. */
std::vector<float> sink_logits(const Tensor& sink, outeffhop_type type, int64_t heads) {
  if (!sink.is_given()) return {};
  const int64_t size = sink.size();
  const size_t rank = sink.dims.size();
  const bool per_head = rank >= 3 && sink.dims[rank - 3] == heads;
  if (size != 1 && !(per_head && size == heads))
    throw Failure("the sink " + text_of(sink.dims) + " is neither one number nor [heads, 1, 1]");
  std::vector<float> logits;
  bool zero = true;
  for (int64_t h = 0; h < heads; ++h) {
    logits.push_back(element(sink.data, type, size == 1 ? 0 : h));
    zero = zero && logits.back() == 0;
  }
  return zero ? std::vector<float>() : logits;
}

outeffhop_attention call_of(const AttentionKernel& kernel, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask) {
  require_rank_4(q, "q");
  require_rank_4(k, "k");
  require_rank_4(v, "v");
  if (q.dims[3] != k.dims[3]) throw Failure("q " + text_of(q.dims) + " and k " + text_of(k.dims) + " differ in their last dimension");
  if (k.dims[2] != v.dims[2]) throw Failure("k " + text_of(k.dims) + " and v " + text_of(v.dims) + " differ in their length");
  outeffhop_attention call{};
  call.version = OUTEFFHOP_ATTENTION_VERSION;
  call.type = kernel.type;
  call.batch = broadcast(q.dims[0], broadcast(k.dims[0], v.dims[0], "the batches of k and v"), "the batches of q and k");
  call.kv_heads = q.dims[1] == 1 ? broadcast(k.dims[1], v.dims[1], "the heads of k and v") : key_heads(k.dims[1], v.dims[1], q.dims[1]);
  call.heads = q.dims[1] == 1 ? call.kv_heads : q.dims[1];
  call.queries = q.dims[2];
  call.keys = k.dims[2];
  call.head_size = q.dims[3];
  call.value_size = v.dims[3];
  call.q = q.data;
  call.k = k.data;
  call.v = v.data;
  strides_of(q.dims, call.q_strides);
  strides_of(k.dims, call.k_strides);
  strides_of(v.dims, call.v_strides);
  call.scale = kernel.scaled ? kernel.scale : float(1 / std::sqrt(double(call.head_size)));
  if (!mask.is_given()) return call;
  check_mask(mask, call);
  // One zero is how a mask that is missing is written.
  if (mask.size() == 1 && !kernel.on_device && element(mask.data, kernel.type, 0) == 0) return call;
  call.bias = mask.data;
  call.bias_type = kernel.type;
  strides_of(mask.dims, call.bias_strides);
  return call;
}

void AttentionKernel::compute(OrtKernelContext* context) const {
  const Tensor q = input(context, 0), k = input(context, 1), v = input(context, 2);
  const Tensor mask = input(context, 3), sink = input(context, 4);
  outeffhop_attention call = call_of(*this, q, k, v, mask);
  const std::vector<int64_t> dims = {call.batch, call.heads, call.queries, call.value_size};
  call.out = output(context, 0, dims);
  strides_of(dims, call.out_strides);
  const std::vector<float> logits = sink_logits(sink, type, call.heads);
  require(on_device ? on_stream(context, logits, [&](const float* sinks, void* stream) {
                        call.sink = sinks;
                        return outeffhop_attention_cuda(&call, stream);
                      })
                    : on_threads(context, [&](const outeffhop_pool* pool) {
                        call.sink = logits.empty() ? nullptr : logits.data();
                        return outeffhop_attention_cpu(&call, pool);
                      }));
}

}  // namespace

std::unique_ptr<Kernel> attention_kernel(const Op& op, const OrtKernelInfo* info) {
  return std::make_unique<AttentionKernel>(op, info);
}

}  // namespace outeffhop::ort
