// The normaliser alone, some rows of it. Included once for each instruction set.
#include "../include/outeffhop_softmax1.h"
#include "pack.hpp"

namespace outeffhop::cpu::OUTEFFHOP_KERNEL {

/** A row of scores, padded with -infinity to whole vectors, becomes weights. */
OUTEFFHOP_INLINE void normalise(float* row, int64_t whole, float sink) {
  Floats most = all(sink);
  for (int64_t i = 0; i < whole; i += kLanes) most = larger(most, load(row + i));
  const float top = largest(most), base = top == -__builtin_inff() ? 0.f : top;
  Floats sum{};
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Floats weights = exponential(load(row + i) - base);
    store(row + i, weights);
    sum += weights;
  }
  const float all_of_it = total(sum) + __builtin_expf(sink - base);
  const float scale = all_of_it == 0.f ? 0.f : 1.f / all_of_it;
  for (int64_t i = 0; i < whole; i += kLanes) store(row + i, load(row + i) * scale);
}

/** The row `at` of outer * inner; `line` has room for `size`, rounded up to vectors. */
void softmax1(const outeffhop_softmax1& call, int64_t at, float* line) {
  const int64_t o = at / call.inner, first = o * call.size * call.inner + at % call.inner;
  const int64_t whole = (call.size + kLanes - 1) / kLanes * kLanes;
  read_row({call.x, call.type, 1, call.inner}, first, 0, call.size, line);
  for (int64_t i = call.size; i < whole; ++i) line[i] = -__builtin_inff();
  normalise(line, whole, call.sink ? call.sink[o / call.sink_repeat % call.sinks] : 0.f);
  for (int64_t i = 0; i < call.size; ++i) write(call.y, call.type, first + i * call.inner, line[i]);
}

}  // namespace outeffhop::cpu::OUTEFFHOP_KERNEL
