// Tiles of 16-bit elements in shared memory, swizzled so that eight rows of one 16-byte chunk lie in eight different bank groups.
#pragma once
#include "device.hpp"
#include "problem.hpp"

namespace outeffhop {

using device::Address;

/** Rows of `kColumns` elements from an address on; where a chunk of eight elements of a row lies. */
template <int kColumns>
struct Tile {
  static constexpr int kChunks = kColumns / 8;
  /** Rows of a multiple of 128 bytes start in the same bank: eight chunks trade places. Others start in one of two: four do. */
  static constexpr int kGroup = kChunks % 8 == 0 ? 8 : 4;
  static_assert(kChunks % kGroup == 0, "rows are whole groups of chunks");

  static OUTEFFHOP_DEVICE int turn(int row) { return kGroup == 8 ? row & 7 : (row >> 1) & 3; }

  static OUTEFFHOP_DEVICE Address at(Address tile, int row, int chunk) {
    return tile + (row * kChunks + (chunk ^ turn(row))) * 16;
  }

  /** From `at(tile, row, 0 or 1)` to as many chunks further, an even number: the turn stays, so one exclusive or is enough. */
  static OUTEFFHOP_DEVICE Address further(Address first, int chunks) {
    return (first ^ (chunks % kGroup * 16)) + chunks / kGroup * kGroup * 16;
  }
};

/** One matrix of a View: the rows and columns of a batch row and head. */
struct Matrix {
  const uint16_t* data;
  int64_t row, column;
  bool chunked;
};

OUTEFFHOP_DEVICE Matrix matrix(const View& view, int b, int h) {
  return {static_cast<const uint16_t*>(view.data) + b * view.batch + h * view.head, view.row, view.column, view.chunked};
}

/** Eight elements gathered one by one, zero from `count` on. */
OUTEFFHOP_DEVICE uint4 gather(const Matrix& source, int64_t at, int count) {
  uint32_t pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t low = 2 * i < count ? source.data[at + 2 * i * source.column] : 0;
    const uint32_t high = 2 * i + 1 < count ? source.data[at + (2 * i + 1) * source.column] : 0;
    pairs[i] = low | high << 16;
  }
  return {pairs[0], pairs[1], pairs[2], pairs[3]};
}

/**
 * Starts loading rows [first, first + kRows); rows from `end` on and columns from `columns` on are zero.
 * Nothing may read the tile before `copy_wait` for its group and a barrier.
 */
template <int kRows, int kColumns, int kThreads>
OUTEFFHOP_DEVICE void load_tile(Address tile, const Matrix& source, int first, int end, int columns) {
  // A thread keeps its column and steps down the rows: little to compute, and little to keep in registers.
  constexpr int kChunks = Tile<kColumns>::kChunks;
  constexpr int kAcross = kChunks % 32 == 0 ? 32 : kChunks % 16 == 0 ? 16 : kChunks % 8 == 0 ? 8 : 4;
  constexpr int kStep = kThreads / kAcross;
  static_assert(kRows % kStep == 0, "every thread has the same number of rows");
  const int thread = device::opaque(int(threadIdx.x));
  const int first_row = thread / kAcross;
#pragma unroll
  for (int group = 0; group < kChunks; group += kAcross) {
    const int chunk = group + thread % kAcross;
    const int left = columns - 8 * chunk;
    const int count = left < 0 ? 0 : left < 8 ? left : 8;
    const int last_row = count ? end - first : 0;
    int64_t at = (first + first_row) * source.row + 8 * chunk * source.column;
    if (source.chunked) {
#pragma unroll
      for (int row = first_row; row < kRows + first_row; row += kStep, at += kStep * source.row)
        device::copy_async(Tile<kColumns>::at(tile, row, chunk), source.data + (row < last_row ? at : 0),
                           row < last_row ? 2 * count : 0);
    } else {
#pragma unroll 1
      for (int row = first_row; row < kRows; row += kStep, at += kStep * source.row)
        device::store_shared(Tile<kColumns>::at(tile, row, chunk), gather(source, at, row < last_row ? count : 0));
    }
  }
}

/** Writes `kRows` rows of a tile, which this warp filled, to rows [first, end) of `target`. */
template <int kRows, int kColumns>
OUTEFFHOP_DEVICE void store_rows(Address tile, int tile_row, const Matrix& target, int first, int end,
                                 int columns) {
  constexpr int kChunks = Tile<kColumns>::kChunks;
  uint16_t* out = const_cast<uint16_t*>(target.data);
  for (int i = threadIdx.x % 32; i < kRows * kChunks; i += 32) {
    const int row = i / kChunks, chunk = i % kChunks;
    const int count = columns - 8 * chunk;
    if (first + row >= end || count <= 0) continue;
    const int64_t at = (first + row) * target.row + 8 * chunk * target.column;
    uint4 eight;
    device::load_shared(eight, Tile<kColumns>::at(tile, tile_row + row, chunk));
    if (target.chunked && count >= 8) {
      *reinterpret_cast<uint4*>(out + at) = eight;
      continue;
    }
    const uint32_t pairs[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
    for (int e = 0; e < 8; ++e)
      if (e < count) out[at + e * target.column] = uint16_t(pairs[e / 2] >> (16 * (e % 2)));
  }
}

}  // namespace outeffhop
