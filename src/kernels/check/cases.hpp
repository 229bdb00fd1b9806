// The table of cases: reading it, making the data of a case, and judging an output against the reference.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "outeffhop_attention.h"

namespace outeffhop::check {

/** A row of cases.txt. */
struct Case {
  std::string name, type, scale, layout, bias, causal, lengths, sink, data;
  int64_t batch, heads, kv_heads, queries, keys, head_size, value_size;
};

std::vector<Case> read_cases(const std::string& path);

/** A tensor in a buffer that holds it and nothing else; `first` is the element at index 0. */
struct Buffer {
  std::vector<unsigned char> bytes;
  int64_t first = 0;
  int64_t strides[4] = {};
};

/** The tensors of a case in host memory, and the call on them. Pointers of the call point into the buffers. */
struct Inputs {
  Buffer q, k, v, bias, out;
  std::vector<float> sink;
  std::vector<int32_t> key_lengths;
  outeffhop_attention call{};
};

/** Always the same data for the same case. */
Inputs make_inputs(const Case& row);

/** The inputs, dense and as float32, which holds every 16-bit number: for hosts that want plain arrays. */
struct Dense {
  std::vector<float> q, k, v, bias;  // the bias [B, H, S, T], or nothing
};

Dense densify(const Inputs& inputs);

/** What the reference says, [B, H, S, Dv]. */
std::vector<float> wanted(const Inputs& inputs, const Dense& dense);

struct Judgement {
  double error;      // the largest difference from the reference
  double share;      // the largest difference as a share of what rounding explains; at most 1 passes
  bool exact_zeros;  // rows that are 0 in the reference are exactly 0
  bool passed() const { return share <= 1 && exact_zeros; }
};

/** Holds what is in `inputs.out` against the reference. */
Judgement judge(Inputs& inputs);

}  // namespace outeffhop::check
