// What happens to one row of scores: which keys it sees, the bias, the running softmax in base 2, and the sink at the end.
#pragma once
#include <cfloat>
#include <cmath>

#include "device.hpp"
#include "problem.hpp"

namespace outeffhop {

constexpr float kLog2E = 1.4426950408889634f;

/** How many keys of this batch row there are. */
OUTEFFHOP_DEVICE int key_length(const Problem& p, int b) {
  const int length = p.key_lengths ? p.key_lengths[b] : p.keys;
  return length < 0 ? 0 : length < p.keys ? length : p.keys;
}

/** The first key a query does not see. */
OUTEFFHOP_DEVICE int key_end(const Problem& p, int length, int query) {
  const int causal_end = query + length - p.queries + 1;
  return p.causal && causal_end < length ? causal_end : length;
}

/** A finite bias stays finite in base 2: the lowest float is a mask that a row of nothing else undoes. */
OUTEFFHOP_DEVICE float bias_in_base_2(float bias) {
  return bias == -INFINITY ? bias : fmaxf(bias * kLog2E, -FLT_MAX);
}

/**
 * The running softmax of a row, in base 2, before the sink: `top` is the largest exponent met, `sum` the weights of this thread
 * relative to it. The top starts at -infinity and not at the sink, so that 16-bit weights of a row far below its sink do not vanish.
 */
struct RunningRow {
  float top, sum;
};

/** The exponent that weights are taken relative to; finite also where all keys so far were masked. */
OUTEFFHOP_DEVICE float base_of(const RunningRow& row) { return row.top == -INFINITY ? 0.f : row.top; }

/** Raises the top; returns what weights and values so far have to be multiplied by. */
OUTEFFHOP_DEVICE float raise_top(RunningRow& row, float exponent) {
  const float before = row.top;
  row.top = fmaxf(before, exponent);
  const float factor = device::exp2_approximate(before - base_of(row));
  row.sum *= factor;
  return factor;
}

/** What turns the weighted sum of values into the output; 0 for a row without a key. The sink is added here, once. */
OUTEFFHOP_DEVICE float inverse_sum(const Problem& p, const RunningRow& row, float sink) {
  if (row.top == -INFINITY) return 0.f;
  const float unattended = p.no_sink ? 0.f : exp2f(sink * kLog2E - row.top);
  return 1.f / (row.sum + unattended);
}

OUTEFFHOP_DEVICE float sink_of(const Problem& p, int head) { return p.sink ? p.sink[head] : 0.f; }

}  // namespace outeffhop
