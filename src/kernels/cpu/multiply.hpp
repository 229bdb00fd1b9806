// The one product both halves of attention are made of: a tile of rows, summed in registers.
#pragma once
#include "vector.hpp"

namespace outeffhop::cpu::OUTEFFHOP_KERNEL {

/**
 * c[kR, kVectors] = a[kR, depth] b[depth, kVectors], or + c. The element (row, k) of `a` is at `row * kRow + k * kColumn`,
 * both constants: one register addresses all rows.
 */
template <int kR, int kVectors, int kRow, int kColumn>
OUTEFFHOP_INLINE void multiply_tile(const float* a, const float* b, int64_t b_row, int64_t depth, float* c, int64_t c_row,
                                    bool add) {
  Floats sums[kR][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = Floats{};
  for (int64_t k = 0; k < depth; ++k, a += kColumn, b += b_row) {
    Floats right[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) right[v] = load(b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
      const Floats factor = all(a[r * kRow]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] += factor * right[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* to = c + r * c_row + v * kLanes;
      store(to, add ? sums[r][v] + load(to) : sums[r][v]);
    }
}

}  // namespace outeffhop::cpu::OUTEFFHOP_KERNEL
