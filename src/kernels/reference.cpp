// Softmax1 attention in double, one row after another: what every other implementation is held against.
#include <cmath>
#include <limits>
#include <vector>

#include "half.hpp"
#include "outeffhop_attention.h"

namespace outeffhop {
namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

double load(const void* data, outeffhop_type type, int64_t index) {
  switch (type) {
    case OUTEFFHOP_FLOAT32: return static_cast<const float*>(data)[index];
    case OUTEFFHOP_FLOAT16: return float_of_float16(static_cast<const uint16_t*>(data)[index]);
    case OUTEFFHOP_BFLOAT16: return float_of_bfloat16(static_cast<const uint16_t*>(data)[index]);
    case OUTEFFHOP_BOOL: return static_cast<const uint8_t*>(data)[index] ? 0.0 : kMasked;
  }
  return 0;
}

void store(void* data, outeffhop_type type, int64_t index, double value) {
  const float rounded = static_cast<float>(value);
  if (type == OUTEFFHOP_FLOAT32) static_cast<float*>(data)[index] = rounded;
  if (type == OUTEFFHOP_FLOAT16) static_cast<uint16_t*>(data)[index] = float16_of_float(rounded);
  if (type == OUTEFFHOP_BFLOAT16) static_cast<uint16_t*>(data)[index] = bfloat16_of_float(rounded);
}

int64_t offset(const int64_t (&strides)[4], int64_t b, int64_t h, int64_t row, int64_t column) {
  return b * strides[0] + h * strides[1] + row * strides[2] + column * strides[3];
}

/** The keys this query sees: the first so many of its batch row, and of those none that causality hides. */
int64_t visible_keys(const outeffhop_attention& call, int64_t b, int64_t query) {
  const int64_t length = call.key_lengths ? call.key_lengths[b] : call.keys;
  const int64_t seen = call.causal ? query + length - call.queries + 1 : length;
  return seen < 0 ? 0 : seen < length ? seen : length;
}

void score_row(const outeffhop_attention& call, int64_t b, int64_t h, int64_t query, std::vector<double>& scores) {
  const int64_t kv_head = h / (call.heads / call.kv_heads);
  for (size_t key = 0; key < scores.size(); ++key) {
    double product = 0;
    for (int64_t d = 0; d < call.head_size; ++d)
      product += load(call.q, call.type, offset(call.q_strides, b, h, query, d)) *
                 load(call.k, call.type, offset(call.k_strides, b, kv_head, int64_t(key), d));
    scores[key] = product * call.scale;
    if (call.bias) scores[key] += load(call.bias, call.bias_type, offset(call.bias_strides, b, h, query, int64_t(key)));
  }
}

/** Turns scores into weights; all 0 where every key is masked. */
void normalise(std::vector<double>& scores, double sink) {
  double top = kMasked;
  for (const double score : scores) top = std::fmax(top, score);
  const double shift = std::fmax(top, sink);
  double sum = top == kMasked ? 1.0 : std::exp(sink - shift);
  for (double& score : scores) sum += score = top == kMasked ? 0.0 : std::exp(score - shift);
  for (double& score : scores) score /= sum;
}

void attend(const outeffhop_attention& call, int64_t b, int64_t h, int64_t query) {
  const int64_t kv_head = h / (call.heads / call.kv_heads);
  std::vector<double> weights(size_t(visible_keys(call, b, query)));
  score_row(call, b, h, query, weights);
  normalise(weights, call.no_sink ? kMasked : call.sink ? double(call.sink[h]) : 0.0);
  for (int64_t d = 0; d < call.value_size; ++d) {
    double sum = 0;
    for (size_t key = 0; key < weights.size(); ++key)
      if (weights[key] != 0) sum += weights[key] * load(call.v, call.type, offset(call.v_strides, b, kv_head, int64_t(key), d));
    store(call.out, call.type, offset(call.out_strides, b, h, query, d), sum);
  }
}

}  // namespace
}  // namespace outeffhop

outeffhop_status outeffhop_attention_reference(const outeffhop_attention* call) {
  const outeffhop_status status = outeffhop_attention_check(call);
  if (status != OUTEFFHOP_OK) return status;
  for (int64_t b = 0; b < call->batch; ++b)
    for (int64_t h = 0; h < call->heads; ++h)
      for (int64_t query = 0; query < call->queries; ++query) outeffhop::attend(*call, b, h, query);
  return OUTEFFHOP_OK;
}
