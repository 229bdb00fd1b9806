// Attention with a sink on one core: some queries of one head, over all keys. Included once for each instruction set.
//
// Scores exist for kRows queries and kKeys keys at a time. As in ../row.hpp the weights of a row are relative to the largest
// score so far, and the sink is added once, at the end.
#include "multiply.hpp"
#include "pack.hpp"
#include "task.hpp"

namespace outeffhop::cpu::OUTEFFHOP_KERNEL {

constexpr int64_t kKeys = 128, kWide = 2 * kLanes;
constexpr float kNothing = -__builtin_inff();

OUTEFFHOP_INLINE int64_t rounded(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

/** The scratch memory of a task, and what it is about. */
struct Work {
  Work(const outeffhop_attention& call, const Task& task) : call(call), task(task) {}

  const outeffhop_attention& call;
  const Task& task;
  Matrix q, k, v, bias;
  int64_t length, columns;  // keys of this batch row; value size rounded up to vectors
  float *queries, *keys, *values, *line, *scores, *sums, *tops, *weights, *norms;

  OUTEFFHOP_INLINE int64_t floats(const outeffhop_attention& call) {
    const int64_t size = rounded(call.head_size, kLanes), columns = rounded(call.value_size, kLanes);
    return kQueries * (size + columns + 3) + kKeys * (size + columns + kRows) + kLanes * size;
  }
};

OUTEFFHOP_INLINE Work work_of(const outeffhop_attention& call, const Task& task, float* scratch) {
  const int64_t kv_head = task.head / (call.heads / call.kv_heads), b = task.batch;
  const int64_t size = rounded(call.head_size, kLanes), columns = rounded(call.value_size, kLanes);
  Work work(call, task);
  work.q = Matrix::of(call.q, call.type, call.q_strides, b, task.head);
  work.k = Matrix::of(call.k, call.type, call.k_strides, b, kv_head);
  work.v = Matrix::of(call.v, call.type, call.v_strides, b, kv_head);
  work.bias = Matrix::of(call.bias, call.bias_type, call.bias_strides, b, task.head);
  work.length = call.key_lengths ? call.key_lengths[b] : call.keys;
  if (work.length > call.keys) work.length = call.keys;
  work.columns = columns;
  work.queries = scratch;
  work.keys = work.queries + kQueries * size;
  work.values = work.keys + kKeys * size;
  work.line = work.values + kKeys * columns;
  work.scores = work.line + kLanes * size;
  work.sums = work.scores + kKeys * kRows;
  work.weights = work.sums + kQueries * columns;
  work.tops = work.weights + kQueries;
  work.norms = work.tops + kQueries;
  return work;
}

/** The first key that a query, counted from the first of the task, does not see. */
OUTEFFHOP_INLINE int64_t key_end(const Work& work, int64_t query) {
  if (!work.call.causal) return work.length;
  const int64_t end = work.task.first + query + work.length - work.call.queries + 1;
  return end < 0 ? 0 : end < work.length ? end : work.length;
}

/** Queries times the scale, kRows at a time with the row innermost, and their lengths; rows that are not there are 0. */
OUTEFFHOP_INLINE void pack_queries(const Work& work) {
  const int64_t size = work.call.head_size;
  for (int64_t tile = 0; tile < work.task.queries; tile += kRows)
    for (int64_t r = 0; r < kRows; ++r) {
      float* to = work.queries + tile * size + r;
      const bool there = tile + r < work.task.queries;
      if (there) read_row(work.q, work.task.first + tile + r, 0, size, work.line);
      float squares = 0;
      for (int64_t d = 0; d < size; ++d) {
        const float x = there ? work.line[d] * work.call.scale : 0.f;
        to[d * kRows] = x;
        squares += x * x;
      }
      work.norms[tile + r] = __builtin_sqrtf(squares);
    }
}

/** Keys turned around, kWide at a time with the key innermost; the length of the longest. */
OUTEFFHOP_INLINE float pack_keys(const Work& work, int64_t key, int64_t count) {
  const int64_t size = work.call.head_size;
  Floats most{};
  for (int64_t at = 0; at < count; at += kLanes) {
    const int64_t left = count - at < kLanes ? count - at : kLanes;
    float* panel = work.keys + at / kWide * kWide * size + at % kWide;
    turn_rows(work.k, key + at, left, size, work.line, panel, kWide);
    Floats squares{};
    for (int64_t d = 0; d < size; ++d) squares += load(panel + d * kWide) * load(panel + d * kWide);
    // A key that is no number has no length that others could be below.
    most = squares <= most ? most : squares == squares ? squares : all(-kNothing);
  }
  return __builtin_sqrtf(largest(most));
}

struct Values {
  const float* data;
  int64_t row;
};

/** Values as rows of whole vectors: where they lie, or a copy. */
OUTEFFHOP_INLINE Values values_of(const Work& work, int64_t key, int64_t count) {
  const int64_t size = work.call.value_size;
  if (work.v.type == OUTEFFHOP_FLOAT32 && work.v.column == 1 && size == work.columns)
    return {static_cast<const float*>(work.v.data) + key * work.v.row, work.v.row};
  for (int64_t i = 0; i < count; ++i) {
    float* row = work.values + i * work.columns;
    read_row(work.v, key + i, 0, size, row);
    for (int64_t d = size; d < work.columns; ++d) row[d] = 0;
  }
  return {work.values, work.columns};
}

/** Keys that are packed, with their values; `norm` is the length of the longest. */
struct Keys {
  int64_t first, count;
  float norm;
  Values values;
};

/** The largest of a row, infinity where one is no number. */
OUTEFFHOP_INLINE float most_of(const float* row, int64_t whole) {
  Floats most = all(kNothing);
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Floats x = load(row + i);
    most = x <= most ? most : x == x ? x : all(-kNothing);
  }
  return largest(most);
}

/**
 * Puts the bias where scores will be added to it; whether a row may get a weight. That it gets none is certain where the bias
 * masks every key, or where no score of a query and a key of these lengths comes near the largest of the row so far: with a
 * margin for rounding, `exponential` is 0 there.
 */
OUTEFFHOP_INLINE bool load_bias(const Work& work, int64_t tile, int64_t rows, int64_t key, int64_t count, float key_norm) {
  const int64_t whole = rounded(count, kLanes);
  bool weighs = false;
  float most = kNothing;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = work.scores + r * kKeys;
    if (r > 0 && work.bias.row == 0)
      for (int64_t i = 0; i < whole; i += kLanes) store(row + i, load(work.scores + i));
    else {
      read_row(work.bias, work.task.first + tile + r, key, count, row);
      for (int64_t i = count; i < whole; ++i) row[i] = kNothing;
      most = most_of(row, whole);
    }
    const float reach = 1.001f * work.norms[tile + r] * key_norm;
    weighs = weighs || !(most == kNothing || most + reach < work.tops[tile + r] - 90.f);
  }
  return weighs;
}

/** kR rows of one product, two vectors of columns at a time. `panel` is how far on the next two are in `b`. */
template <int kR, int kRow, int kColumn>
OUTEFFHOP_INLINE void multiply_rows(const float* a, const float* b, int64_t b_row, int64_t panel, int64_t depth, float* c,
                                    int64_t c_row, int64_t columns, bool add) {
  int64_t at = 0;
  for (; at + kWide <= columns; at += kWide, b += panel)
    multiply_tile<kR, 2, kRow, kColumn>(a, b, b_row, depth, c + at, c_row, add);
  if (at < columns) multiply_tile<kR, 1, kRow, kColumn>(a, b, b_row, depth, c + at, c_row, add);
}

template <int kR>
OUTEFFHOP_INLINE void score(const Work& work, int64_t tile, int64_t count, bool add) {
  const int64_t size = work.call.head_size;
  multiply_rows<kR, 1, kRows>(work.queries + tile * size, work.keys, kWide, kWide * size, size, work.scores, kKeys,
                              rounded(count, kLanes), add);
}

template <int kR>
OUTEFFHOP_INLINE void add_values(const Work& work, int64_t tile, Values values, int64_t count) {
  multiply_rows<kR, int(kKeys), 1>(work.scores, values.data, values.row, kWide, count, work.sums + tile * work.columns,
                                   work.columns, work.columns, true);
}

/** Scores of a row become weights relative to its largest score so far; its sums are brought along when that rises. */
OUTEFFHOP_INLINE void weigh_row(const Work& work, float* scores, int64_t query, int64_t seen, int64_t whole) {
  for (int64_t i = seen; i < whole; ++i) scores[i] = kNothing;
  Floats most = all(work.tops[query]);
  for (int64_t i = 0; i < whole; i += kLanes) most = larger(most, load(scores + i));
  const float top = largest(most);
  const float base = top == kNothing ? 0.f : top;
  const float factor = __builtin_expf(work.tops[query] - base);
  Floats sum{};
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Floats weights = exponential(load(scores + i) - base);
    store(scores + i, weights);
    sum += weights;
  }
  work.tops[query] = top;
  work.weights[query] = work.weights[query] * factor + total(sum);
  if (factor == 1.f) return;
  float* sums = work.sums + query * work.columns;
  for (int64_t d = 0; d < work.columns; d += kLanes) store(sums + d, load(sums + d) * factor);
}

/** kR or fewer queries, from `tile` on, over the keys that are packed. */
template <int kR>
OUTEFFHOP_INLINE void attend_tile(const Work& work, int64_t tile, int64_t rows, const Keys& keys) {
  const int64_t key = keys.first, count = keys.count;
  const int64_t end = key_end(work, tile + rows - 1) - key;
  const int64_t seen = end < count ? end : count;
  if (seen <= 0) return;
  const bool biased = work.call.bias != nullptr;
  if (biased && !load_bias(work, tile, rows, key, seen, keys.norm)) return;
  score<kR>(work, tile, seen, biased);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t own = key_end(work, tile + r) - key;
    const int64_t most = own < 0 ? 0 : own < seen ? own : seen;
    weigh_row(work, work.scores + r * kKeys, tile + r, most, rounded(seen, kLanes));
  }
  add_values<kR>(work, tile, keys.values, seen);
}

OUTEFFHOP_INLINE void write_row(const Work& work, int64_t query, float sink) {
  const float top = work.tops[query];
  const float most = top > sink ? top : sink, base = most == kNothing ? 0.f : most;
  const float factor = __builtin_expf(top - base);
  const float sum = work.weights[query] * factor + __builtin_expf(sink - base);
  const float scale = sum == 0.f ? 0.f : factor / sum;
  const outeffhop_attention& call = work.call;
  const float* sums = work.sums + query * work.columns;
  const int64_t first = work.task.batch * call.out_strides[0] + work.task.head * call.out_strides[1] +
                        (work.task.first + query) * call.out_strides[2];
  for (int64_t d = 0; d < call.value_size; ++d) write(call.out, call.type, first + d * call.out_strides[3], sums[d] * scale);
}

/** The tile may be of few queries: a last one, or all there are. */
void attend_rows(const Work& work, int64_t tile, const Keys& keys) {
  const int64_t left = work.task.queries - tile, rows = left < kRows ? left : kRows;
  if (rows == 1) return attend_tile<1>(work, tile, rows, keys);
  if (rows <= kRows / 3) return attend_tile<kRows / 3>(work, tile, rows, keys);
  attend_tile<kRows>(work, tile, rows, keys);
}

void attend(const outeffhop_attention& call, const Task& task, float* scratch) {
  const Work work = work_of(call, task, scratch);
  pack_queries(work);
  for (int64_t i = 0; i < task.queries * work.columns; ++i) work.sums[i] = 0;
  for (int64_t i = rounded(task.queries, kRows) * work.columns - 1; i >= task.queries * work.columns; --i) work.sums[i] = 0;
  for (int64_t i = 0; i < task.queries; ++i) work.weights[i] = 0, work.tops[i] = kNothing;
  const int64_t end = key_end(work, task.queries - 1);
  for (int64_t key = 0; key < end; key += kKeys) {
    const int64_t count = end - key < kKeys ? end - key : kKeys;
    const float norm = pack_keys(work, key, count);
    const Keys keys{key, count, norm, values_of(work, key, count)};
    for (int64_t tile = 0; tile < task.queries; tile += kRows) attend_rows(work, tile, keys);
  }
  const float sink = call.no_sink ? kNothing : call.sink ? call.sink[task.head] : 0.f;
  for (int64_t query = 0; query < task.queries; ++query) write_row(work, query, sink);
}

int64_t scratch_floats(const outeffhop_attention& call) { return Work::floats(call); }

}  // namespace outeffhop::cpu::OUTEFFHOP_KERNEL
