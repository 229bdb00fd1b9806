// A checked call in the form the kernels read: one plain struct passed by value.
#pragma once
#include <cstdint>

#include "outeffhop_attention.h"

namespace outeffhop {

/** A [batch, head, row, column] tensor; strides count elements. `chunked`: eight columns are 16 aligned bytes in one piece. */
struct View {
  const void* data;
  int64_t batch, head, row, column;
  bool chunked;
};

struct Problem {
  View q, k, v, out, bias;
  const float* sink;
  const int32_t* key_lengths;
  int heads, heads_per_kv_head, queries, keys, head_size, value_size;
  outeffhop_type bias_type;
  float scale;
  bool causal, no_sink;
};

inline View view(const void* data, const int64_t (&strides)[4], int element_bytes) {
  const int64_t chunk = 16 / element_bytes;
  const bool chunked = strides[3] == 1 && reinterpret_cast<uintptr_t>(data) % 16 == 0 && strides[0] % chunk == 0 &&
                       strides[1] % chunk == 0 && strides[2] % chunk == 0;
  return {data, strides[0], strides[1], strides[2], strides[3], chunked};
}

inline Problem problem_of(const outeffhop_attention& call) {
  const int bytes = call.type == OUTEFFHOP_FLOAT32 ? 4 : 2;
  Problem problem{};
  problem.q = view(call.q, call.q_strides, bytes);
  problem.k = view(call.k, call.k_strides, bytes);
  problem.v = view(call.v, call.v_strides, bytes);
  problem.out = view(call.out, call.out_strides, bytes);
  problem.bias = view(call.bias, call.bias_strides, bytes);
  problem.sink = call.sink;
  problem.key_lengths = call.key_lengths;
  problem.heads = int(call.heads);
  problem.heads_per_kv_head = int(call.heads / call.kv_heads);
  problem.queries = int(call.queries);
  problem.keys = int(call.keys);
  problem.head_size = int(call.head_size);
  problem.value_size = int(call.value_size);
  problem.bias_type = call.bias_type;
  problem.scale = call.scale;
  problem.causal = call.causal != 0;
  problem.no_sink = call.no_sink != 0;
  return problem;
}

}  // namespace outeffhop
