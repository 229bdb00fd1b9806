// Tensors of any type and strides, as the floats a product reads.
#pragma once
#include "../half.hpp"
#include "../include/outeffhop_attention.h"
#include "vector.hpp"

namespace outeffhop::cpu::OUTEFFHOP_KERNEL {

/** A matrix of one head: an element type, and where its rows and columns are. */
struct Matrix {
  const void* data;
  outeffhop_type type;
  int64_t row, column;

  OUTEFFHOP_INLINE Matrix of(const void* data, outeffhop_type type, const int64_t (&strides)[4], int64_t b, int64_t h) {
    const int64_t first = b * strides[0] + h * strides[1];
    const int64_t bytes = type == OUTEFFHOP_FLOAT32 ? 4 : type == OUTEFFHOP_BOOL ? 1 : 2;
    return {static_cast<const char*>(data) + first * bytes, type, strides[2], strides[3]};
  }
};

/** `count` elements of a row, as floats; a false boolean masks. */
OUTEFFHOP_INLINE void read_row(const Matrix& m, int64_t row, int64_t column, int64_t count, float* to) {
  const int64_t first = row * m.row + column * m.column;
  if (m.type == OUTEFFHOP_FLOAT32) {
    const float* from = static_cast<const float*>(m.data) + first;
    if (m.column == 1)
      for (int64_t i = 0; i < count; ++i) to[i] = from[i];
    else
      for (int64_t i = 0; i < count; ++i) to[i] = from[i * m.column];
  } else if (m.type == OUTEFFHOP_FLOAT16) {
    const uint16_t* from = static_cast<const uint16_t*>(m.data) + first;
    if (m.column == 1)
      for (int64_t i = 0; i < count; ++i) to[i] = float_of_float16(from[i]);
    else
      for (int64_t i = 0; i < count; ++i) to[i] = float_of_float16(from[i * m.column]);
  } else if (m.type == OUTEFFHOP_BFLOAT16) {
    const uint16_t* from = static_cast<const uint16_t*>(m.data) + first;
    for (int64_t i = 0; i < count; ++i) to[i] = float_of_bfloat16(from[i * m.column]);
  } else {
    const uint8_t* from = static_cast<const uint8_t*>(m.data) + first;
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * m.column] ? 0.f : -__builtin_inff();
  }
}

OUTEFFHOP_INLINE void write(void* data, outeffhop_type type, int64_t at, float value) {
  if (type == OUTEFFHOP_FLOAT32) static_cast<float*>(data)[at] = value;
  if (type == OUTEFFHOP_FLOAT16) static_cast<uint16_t*>(data)[at] = float16_of_float(value);
  if (type == OUTEFFHOP_BFLOAT16) static_cast<uint16_t*>(data)[at] = bfloat16_of_float(value);
}

/** kLanes rows of kLanes floats, in place: row i becomes column i. */
OUTEFFHOP_INLINE void transpose(Floats (&rows)[kLanes]) {
#if defined(__clang__)
  Floats turned[kLanes];  // it has no shuffles by a mask that is computed
  for (int i = 0; i < kLanes; ++i)
    for (int j = 0; j < kLanes; ++j) turned[j][i] = rows[i][j];
  for (int i = 0; i < kLanes; ++i) rows[i] = turned[i];
#else
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
    Ints low{}, high{};  // blocks of `half` by `half` change places across the diagonal
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      low[i] = i & half ? kLanes + i - half : i;
      high[i] = i & half ? kLanes + i : i + half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i & half) continue;
      const Floats a = rows[i], b = rows[i + half];
      rows[i] = __builtin_shuffle(a, b, low);
      rows[i + half] = __builtin_shuffle(a, b, high);
    }
  }
#endif
}

/**
 * Rows `first` and following of a [rows, size] matrix, turned around: row r, column d at `to[d * pitch + r]`, r up to kLanes.
 * Rows from `count` on are 0. `line` has room for kLanes rows of `size`, rounded up to vectors.
 */
OUTEFFHOP_INLINE void turn_rows(const Matrix& m, int64_t first, int64_t count, int64_t size, float* line, float* to,
                                int64_t pitch) {
  const int64_t whole = (size + kLanes - 1) / kLanes * kLanes;
  const bool direct = m.type == OUTEFFHOP_FLOAT32 && m.column == 1 && whole == size && count == kLanes;
  const float* from = direct ? static_cast<const float*>(m.data) + first * m.row : line;
  const int64_t from_row = direct ? m.row : whole;
  if (!direct)
    for (int64_t r = 0; r < kLanes; ++r) {
      float* row = line + r * whole;
      if (r < count) read_row(m, first + r, 0, size, row);
      for (int64_t d = r < count ? size : 0; d < whole; ++d) row[d] = 0;
    }
  for (int64_t d = 0; d < whole; d += kLanes) {
    Floats rows[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) rows[r] = load(from + r * from_row + d);
    transpose(rows);
    const int64_t kept = size - d < kLanes ? size - d : kLanes;
    for (int64_t i = 0; i < kept; ++i) store(to + (d + i) * pitch, rows[i]);
  }
}

}  // namespace outeffhop::cpu::OUTEFFHOP_KERNEL
