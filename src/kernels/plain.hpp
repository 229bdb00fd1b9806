// Attention with a sink for float32 on ordinary cores: the fallback where 16 bits are too few. A warp has four queries, a lane a key.
#pragma once
#include "row.hpp"

namespace outeffhop {

using device::Address;

template <int kHeadSize>
struct PlainShape {
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kWarpRows = 4;
  static constexpr int kQueries = kWarps * kWarpRows;
  static constexpr int kKeys = 32;
  static constexpr int kPitch = kHeadSize + 1;  // lanes read one column of 32 rows: no two in the same bank
  static constexpr int kRowBytes = kPitch * 4;
  static constexpr int kSharedBytes = (kQueries + kKeys) * kRowBytes;
  static constexpr int kBlocksPerMultiprocessor = 4;
};

/** Rows [first, first + kRows) to shared memory; rows from `end` on and columns from `columns` on are zero. */
template <int kRows, int kHeadSize>
OUTEFFHOP_DEVICE void load_rows(Address tile, const View& view, int b, int h, int first, int end, int columns) {
  const float* source = static_cast<const float*>(view.data) + b * view.batch + h * view.head;
  for (int i = threadIdx.x; i < kRows * kHeadSize; i += PlainShape<kHeadSize>::kThreads) {
    const int row = i / kHeadSize, column = i % kHeadSize;
    const bool inside = first + row < end && column < columns;
    const float value = inside ? source[(first + row) * view.row + column * view.column] : 0.f;
    device::store_shared(tile + row * PlainShape<kHeadSize>::kRowBytes + column * 4, value);
  }
}

OUTEFFHOP_DEVICE float plain_bias(const Problem& p, int b, int h, int query, int key) {
  const int64_t at = b * p.bias.batch + h * p.bias.head + query * p.bias.row + key * p.bias.column;
  if (p.bias_type == OUTEFFHOP_BOOL) return static_cast<const uint8_t*>(p.bias.data)[at] ? 0.f : -INFINITY;
  return bias_in_base_2(static_cast<const float*>(p.bias.data)[at]);
}

/** The exponent of 2 of one query and key. */
template <int kHeadSize>
OUTEFFHOP_DEVICE float plain_score(const Problem& p, Address query_row, Address key_row, int b, int h, int query,
                                   int key, int end) {
  float product = 0.f;
#pragma unroll 8
  for (int d = 0; d < kHeadSize; ++d) product += device::load_shared(query_row + 4 * d) * device::load_shared(key_row + 4 * d);
  if (key >= end) return -INFINITY;
  const float score = product * (p.scale * kLog2E);
  return p.bias.data ? score + plain_bias(p, b, h, query, key) : score;
}

/** The weight of this lane's key, relative to the raised top of the row; sums so far are brought to it. */
template <int kHeadSize>
OUTEFFHOP_DEVICE float plain_weight(RunningRow& row, float (&o)[kHeadSize / 32], float score) {
  float top = score;
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, distance));
  const float factor = raise_top(row, top);
#pragma unroll
  for (int i = 0; i < kHeadSize / 32; ++i) o[i] *= factor;
  const float weight = device::exp2_approximate(score - base_of(row));
  row.sum += weight;
  return weight;
}

template <int kHeadSize>
OUTEFFHOP_KERNEL(PlainShape<kHeadSize>::kThreads, PlainShape<kHeadSize>::kBlocksPerMultiprocessor)
plain_attention(const Problem p) {
  using Shape = PlainShape<kHeadSize>;
  const Address queries = device::shared_memory();
  const Address tile = queries + Shape::kQueries * Shape::kRowBytes;
  const int blocks = (p.queries + Shape::kQueries - 1) / Shape::kQueries;
  const int b = blockIdx.x / blocks / p.heads, h = blockIdx.x / blocks % p.heads;
  const int kv_head = h / p.heads_per_kv_head, length = key_length(p, b);
  const int first_query = int(blockIdx.x) % blocks * Shape::kQueries;
  const int warp_row = int(threadIdx.x) / 32 * Shape::kWarpRows, lane = threadIdx.x % 32;
  const int last_query = first_query + Shape::kQueries < p.queries ? first_query + Shape::kQueries : p.queries;
  const int end = key_end(p, length, last_query - 1);

  float o[Shape::kWarpRows][kHeadSize / 32] = {};
  float weights[Shape::kWarpRows];
  RunningRow rows[Shape::kWarpRows];
#pragma unroll
  for (int r = 0; r < Shape::kWarpRows; ++r) rows[r] = {-INFINITY, 0.f};

  load_rows<Shape::kQueries, kHeadSize>(queries, p.q, b, h, first_query, p.queries, p.head_size);
  for (int first = 0; first < end; first += Shape::kKeys) {
    __syncthreads();  // every warp is done with the values
    load_rows<Shape::kKeys, kHeadSize>(tile, p.k, b, kv_head, first, end, p.head_size);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < Shape::kWarpRows; ++r) {
      const int query = first_query + warp_row + r;
      const int row_end = query < p.queries ? key_end(p, length, query) : 0;
      const float score =
          plain_score<kHeadSize>(p, queries + (warp_row + r) * Shape::kRowBytes, tile + lane * Shape::kRowBytes, b, h, query,
                                 first + lane, row_end);
      weights[r] = plain_weight<kHeadSize>(rows[r], o[r], score);
    }
    __syncthreads();  // every warp is done with the keys
    load_rows<Shape::kKeys, kHeadSize>(tile, p.v, b, kv_head, first, end, p.value_size);
    __syncthreads();
#pragma unroll 4
    for (int key = 0; key < Shape::kKeys; ++key)
#pragma unroll
      for (int r = 0; r < Shape::kWarpRows; ++r) {
        const float weight = __shfl_sync(~0u, weights[r], key);
#pragma unroll
        for (int i = 0; i < kHeadSize / 32; ++i) o[r][i] += weight * device::load_shared(tile + key * Shape::kRowBytes + 4 * (lane + 32 * i));
      }
  }

  float* const out = static_cast<float*>(const_cast<void*>(p.out.data)) + b * p.out.batch + h * p.out.head;
#pragma unroll
  for (int r = 0; r < Shape::kWarpRows; ++r) {
    const int query = first_query + warp_row + r;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) rows[r].sum += __shfl_xor_sync(~0u, rows[r].sum, distance);
    const float inverse = inverse_sum(p, rows[r], sink_of(p, h));
#pragma unroll
    for (int i = 0; i < kHeadSize / 32; ++i) {
      const int column = lane + 32 * i;
      if (query < p.queries && column < p.value_size)
        out[query * p.out.row + column * p.out.column] = inverse == 0.f ? 0.f : o[r][i] * inverse;
    }
  }
}

}  // namespace outeffhop
