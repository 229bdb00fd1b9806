// Attention with a sink for 16-bit inputs on tensor cores: one block computes a tile of queries of one head, walking over the keys.
#pragma once
#include "row.hpp"
#include "tile.hpp"

namespace outeffhop {

/**
 * How a head size is cut: four warps, each with `kRowTiles` times 16 queries. Shared memory holds the queries, two stages of
 * `kKeys` keys and one of values: the next keys and these values are under way while scores are computed. A warp takes `kStep`
 * keys at a time, as many as leave its scores in registers.
 */
template <int kHeadSize>
struct FlashShape {
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowTiles = kHeadSize <= 128 ? 2 : 1;
  static constexpr int kWarpRows = 16 * kRowTiles;
  static constexpr int kQueries = kWarps * kWarpRows;
  static constexpr int kKeys = kHeadSize <= 128 ? 64 : 32;
  static constexpr int kStep = 32;
  static constexpr int kKeyTiles = kStep / 8;
  static constexpr int kValueTiles = kHeadSize / 8;
  static constexpr int kQueryBytes = kQueries * kHeadSize * 2;
  static constexpr int kKeyBytes = kKeys * kHeadSize * 2;
  static constexpr int kSharedBytes = kQueryBytes + 3 * kKeyBytes;
  static constexpr int kBlocksPerMultiprocessor = kHeadSize <= 32 ? 3 : 2;
};

/** The part of the score matrix in one warp's registers: element e of [m][n] is row g + 8 (e / 2), column 2 t + e % 2. */
template <class Shape>
using Scores = float[Shape::kRowTiles][Shape::kKeyTiles][4];

template <class Shape>
using Sums = float[Shape::kRowTiles][Shape::kValueTiles][4];

/** Where a block and a lane are. */
struct Place {
  int b, head, first_query, length, warp_row, lane;

  /** The query of row tile m, half 0 or 1. */
  OUTEFFHOP_DEVICE int query(int m, int half) const { return first_query + warp_row + 16 * m + 8 * half + lane / 4; }
  /** The first of the two neighbouring keys of key tile n. */
  OUTEFFHOP_DEVICE int key(int first_key, int n) const { return first_key + 8 * n + 2 * (lane % 4); }
};

template <class T, int kHeadSize>
OUTEFFHOP_DEVICE void multiply_keys(Scores<FlashShape<kHeadSize>>& s, Address queries, Address keys, const Place& place) {
  using Shape = FlashShape<kHeadSize>;
  using Rows = Tile<kHeadSize>;
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
    for (int n = 0; n < Shape::kKeyTiles; ++n) s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0.f;
  const int lane = place.lane;
  const Address first_query = Rows::at(queries, place.warp_row + lane % 16, lane / 16);
  const Address first_key = Rows::at(keys, lane % 8 + 8 * (lane / 16), lane / 8 % 2);
#pragma unroll
  for (int step = 0; step < kHeadSize / 16; ++step) {
    uint32_t a[Shape::kRowTiles][4];
#pragma unroll
    for (int m = 0; m < Shape::kRowTiles; ++m)
      device::load_matrices(a[m], Rows::further(first_query, 2 * step) + m * 16 * kHeadSize * 2);
#pragma unroll
    for (int n = 0; n < Shape::kKeyTiles; n += 2) {
      uint32_t b[4];
      device::load_matrices(b, Rows::further(first_key, 2 * step) + n * 8 * kHeadSize * 2);
#pragma unroll
      for (int m = 0; m < Shape::kRowTiles; ++m) {
        device::multiply_add<T>(s[m][n], a[m], b[0], b[1]);
        device::multiply_add<T>(s[m][n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

template <class T, int kHeadSize>
OUTEFFHOP_DEVICE void multiply_values(Sums<FlashShape<kHeadSize>>& o, const Scores<FlashShape<kHeadSize>>& weights,
                                      Address values, const Place& place) {
  using Shape = FlashShape<kHeadSize>;
  using Rows = Tile<kHeadSize>;
  const Address first_value = Rows::at(values, place.lane % 16, place.lane / 16);
#pragma unroll
  for (int step = 0; step < Shape::kStep / 16; ++step) {
    uint32_t a[Shape::kRowTiles][4];
#pragma unroll
    for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float(&w)[4] = weights[m][2 * step + i / 2];
        a[m][i] = device::pack<T>(w[2 * (i % 2)], w[2 * (i % 2) + 1]);
      }
#pragma unroll
    for (int n = 0; n < Shape::kValueTiles; n += 2) {
      uint32_t b[4];
      device::load_matrices_transposed(b, Rows::further(first_value, n) + step * 16 * kHeadSize * 2);
#pragma unroll
      for (int m = 0; m < Shape::kRowTiles; ++m) {
        device::multiply_add<T>(o[m][n], a[m], b[0], b[1]);
        device::multiply_add<T>(o[m][n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

/** Bias elements of each type, as what is added to an exponent of 2. */
struct BoolBias {
  using Element = uint8_t;
  static OUTEFFHOP_DEVICE float exponent(uint8_t allowed) { return allowed ? 0.f : -INFINITY; }
};
struct FloatBias {
  using Element = float;
  static OUTEFFHOP_DEVICE float exponent(float bias) { return bias_in_base_2(bias); }
};
template <class T>
struct HalfBias {
  using Element = uint16_t;
  static OUTEFFHOP_DEVICE float exponent(uint16_t bits) { return bias_in_base_2(device::unpack<T>(bits)); }
};

/** Scores become exponents of 2: scaled, and the bias added to those that are read. */
template <class Bias, class Shape>
OUTEFFHOP_DEVICE void add_bias(Scores<Shape>& s, const Problem& p, const Place& place, int first_key) {
  using Element = typename Bias::Element;
  const Element* bias = static_cast<const Element*>(p.bias.data) + place.b * p.bias.batch + place.head * p.bias.head;
  const float scale = p.scale * kLog2E;
  const int key = place.key(first_key, 0);
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = place.query(m, half);
      const int left = (query < p.queries ? key_end(p, place.length, query) : 0) - key;
      const int64_t column = device::opaque(p.bias.column);
      const Element* row = bias + query * p.bias.row + key * column;
#pragma unroll
      for (int n = 0; n < Shape::kKeyTiles; ++n, row += 8 * column)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const float added = 8 * n + e < left ? Bias::exponent(row[e * column]) : 0.f;
          s[m][n][2 * half + e] = s[m][n][2 * half + e] * scale + added;
        }
    }
}

/** What a score is multiplied by to be an exponent of 2; 1 after `scale_scores` did so. */
template <class T, class Shape>
OUTEFFHOP_DEVICE float scale_scores(Scores<Shape>& s, const Problem& p, const Place& place, int first_key) {
  if (p.bias.data) {
    if (p.bias_type == OUTEFFHOP_BOOL)
      add_bias<BoolBias, Shape>(s, p, place, first_key);
    else if (p.bias_type == OUTEFFHOP_FLOAT32)
      add_bias<FloatBias, Shape>(s, p, place, first_key);
    else
      add_bias<HalfBias<T>, Shape>(s, p, place, first_key);
    return 1.f;
  }
  if (p.scale > 0.f) return p.scale * kLog2E;
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
    for (int n = 0; n < Shape::kKeyTiles; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) s[m][n][e] *= p.scale * kLog2E;
  return 1.f;
}

template <class Shape>
OUTEFFHOP_DEVICE void mask_scores(Scores<Shape>& s, const Problem& p, const Place& place, int first_key) {
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int left = key_end(p, place.length, place.query(m, half)) - place.key(first_key, 0);
#pragma unroll
      for (int n = 0; n < Shape::kKeyTiles; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e)
          if (8 * n + e >= left) s[m][n][2 * half + e] = -INFINITY;
    }
}

/** Scores become weights relative to the raised tops; sums so far are brought to them where one rose. */
template <class Shape>
OUTEFFHOP_DEVICE void weigh(Scores<Shape>& s, Sums<Shape>& o, RunningRow (&rows)[Shape::kRowTiles][2], float unit) {
  float factors[Shape::kRowTiles][2];
  bool rose = false;
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < Shape::kKeyTiles; ++n) top = fmaxf(top, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
      factors[m][half] = raise_top(rows[m][half], top * unit);
      rose |= factors[m][half] != 1.f;
    }
  if (__any_sync(~0u, rose)) {
#pragma unroll
    for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
      for (int n = 0; n < Shape::kValueTiles; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) o[m][n][e] *= factors[m][e / 2];
  }
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float base = base_of(rows[m][half]);
#pragma unroll
      for (int n = 0; n < Shape::kKeyTiles; ++n)
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
          s[m][n][e] = device::exp2_approximate(s[m][n][e] * unit - base);
          rows[m][half].sum += s[m][n][e];
        }
    }
}

/** Adds the sink, divides, and leaves the rows of this warp in the tile of the queries, which only this warp reads. */
template <class T, int kHeadSize>
OUTEFFHOP_DEVICE void finish(Sums<FlashShape<kHeadSize>>& o, RunningRow (&rows)[FlashShape<kHeadSize>::kRowTiles][2],
                             Address tile, const Problem& p, const Place& place) {
  using Shape = FlashShape<kHeadSize>;
  const float sink = sink_of(p, place.head);
  __syncwarp();  // every lane is done with the queries
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      RunningRow& row = rows[m][half];
      row.sum += __shfl_xor_sync(~0u, row.sum, 1);
      row.sum += __shfl_xor_sync(~0u, row.sum, 2);
      const float inverse = inverse_sum(p, row, sink);
      const int tile_row = place.warp_row + 16 * m + 8 * half + place.lane / 4;
#pragma unroll
      for (int n = 0; n < Shape::kValueTiles; ++n) {
        const float low = inverse == 0.f ? 0.f : o[m][n][2 * half] * inverse;
        const float high = inverse == 0.f ? 0.f : o[m][n][2 * half + 1] * inverse;
        device::store_shared(Tile<kHeadSize>::at(tile, tile_row, n) + 4 * (place.lane % 4), device::pack<T>(low, high));
      }
    }
  __syncwarp();  // the rows are there for every lane
}

/** Grid: blocks of queries, times heads, times batch, the last queries (the longest rows of a causal call) first. */
OUTEFFHOP_DEVICE Place place_of(const Problem& p, int block_queries) {
  const int blocks = (p.queries + block_queries - 1) / block_queries;
  const int row = blockIdx.x / blocks;
  const int first_query = (blocks - 1 - int(blockIdx.x) % blocks) * block_queries;
  const int b = row / p.heads;
  return {b, row % p.heads, first_query, key_length(p, b), 0, int(threadIdx.x) % 32};
}

template <class T, int kHeadSize>
OUTEFFHOP_KERNEL(FlashShape<kHeadSize>::kThreads, FlashShape<kHeadSize>::kBlocksPerMultiprocessor)
flash_attention(const Problem p) {
  using Shape = FlashShape<kHeadSize>;
  Place place = place_of(p, Shape::kQueries);
  place.warp_row = int(threadIdx.x) / 32 * Shape::kWarpRows;
  const Address queries = device::shared_memory();
  const Address keys = queries + Shape::kQueryBytes;
  const Address values = keys + 2 * Shape::kKeyBytes;

  const int kv_head = place.head / p.heads_per_kv_head;
  const Matrix k = matrix(p.k, place.b, kv_head), v = matrix(p.v, place.b, kv_head);
  const int last_query = place.first_query + Shape::kQueries < p.queries ? place.first_query + Shape::kQueries : p.queries;
  const int seen_by_first = key_end(p, place.length, place.first_query), end = key_end(p, place.length, last_query - 1);

  Sums<Shape> o;
  RunningRow rows[Shape::kRowTiles][2];
#pragma unroll
  for (int m = 0; m < Shape::kRowTiles; ++m) {
    rows[m][0] = rows[m][1] = {-INFINITY, 0.f};
#pragma unroll
    for (int n = 0; n < Shape::kValueTiles; ++n) o[m][n][0] = o[m][n][1] = o[m][n][2] = o[m][n][3] = 0.f;
  }

  load_tile<Shape::kQueries, kHeadSize, Shape::kThreads>(queries, matrix(p.q, place.b, place.head), place.first_query, p.queries,
                                                         p.head_size);
  load_tile<Shape::kKeys, kHeadSize, Shape::kThreads>(keys, k, 0, end, p.head_size);
  device::copy_commit();
  int stage = 0;
  for (int first = 0; first < end; first += Shape::kKeys, stage ^= 1) {
    device::copy_wait<0>();
    __syncthreads();  // these keys are there for every warp, and every warp is done with the values and keys before them
    load_tile<Shape::kKeys, kHeadSize, Shape::kThreads>(values, v, first, end, p.value_size);
    device::copy_commit();
    if (first + Shape::kKeys < end)
      load_tile<Shape::kKeys, kHeadSize, Shape::kThreads>(keys + (stage ^ 1) * Shape::kKeyBytes, k, first + Shape::kKeys, end,
                                                          p.head_size);
    device::copy_commit();

#pragma unroll 1
    for (int step = 0; step < Shape::kKeys && first + step < end; step += Shape::kStep) {
      const int first_key = first + step;
      place.lane = device::opaque(place.lane);
      Scores<Shape> s;
      multiply_keys<T, kHeadSize>(s, queries, keys + stage * Shape::kKeyBytes + step * kHeadSize * 2, place);
      place.lane = device::opaque(place.lane);
      const float unit = scale_scores<T, Shape>(s, p, place, first_key);
      if (first_key + Shape::kStep > seen_by_first) mask_scores<Shape>(s, p, place, first_key);
      weigh<Shape>(s, o, rows, unit);
      if (step == 0) {
        device::copy_wait<1>();
        __syncthreads();  // the values are there for every warp
      }
      multiply_values<T, kHeadSize>(o, s, values + step * kHeadSize * 2, place);
    }
  }
  if (end <= 0) {
    device::copy_wait<0>();
    __syncthreads();  // no late query may land on the zeros
  }
  finish<T, kHeadSize>(o, rows, queries, p, place);
  store_rows<Shape::kWarpRows, kHeadSize>(queries, place.warp_row, matrix(p.out, place.b, place.head),
                                          place.first_query + place.warp_row, p.queries, p.value_size);
}

}  // namespace outeffhop
