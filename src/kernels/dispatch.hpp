// Which kernel serves a call: the smallest built head size that holds head and value size.
#pragma once
#include <utility>

#include "flash.hpp"
#include "plain.hpp"

// The head sizes to build the 16-bit kernels for, ascending; OUTEFFHOP_ONLY_HEAD_SIZE makes a library of one.
#ifdef OUTEFFHOP_ONLY_HEAD_SIZE
#define OUTEFFHOP_HEAD_SIZES OUTEFFHOP_ONLY_HEAD_SIZE
#else
#define OUTEFFHOP_HEAD_SIZES 32, 64, 96, 128, 256
#endif

namespace outeffhop {

struct Launch {
  void (*kernel)(Problem);
  int queries_per_block, threads, shared_bytes;
};

template <class Shape>
Launch launch_of(void (*kernel)(Problem)) {
  return {kernel, Shape::kQueries, Shape::kThreads, Shape::kSharedBytes};
}

/** The launch for the first of the sizes that is large enough, with a null kernel where none is. */
template <class T, int... kHeadSizes>
Launch flash_launch(int needed, std::integer_sequence<int, kHeadSizes...>) {
  Launch found{};
  (void)((needed <= kHeadSizes ? (found = launch_of<FlashShape<kHeadSizes>>(flash_attention<T, kHeadSizes>), true) : false) ||
         ...);
  return found;
}

template <int... kHeadSizes>
Launch plain_launch(int needed, std::integer_sequence<int, kHeadSizes...>) {
  Launch found{};
  (void)((needed <= kHeadSizes ? (found = launch_of<PlainShape<kHeadSizes>>(plain_attention<kHeadSizes>), true) : false) || ...);
  return found;
}

inline Launch choose(const outeffhop_attention& call) {
  const int needed = int(call.head_size > call.value_size ? call.head_size : call.value_size);
  using Sizes = std::integer_sequence<int, OUTEFFHOP_HEAD_SIZES>;
  if (call.type == OUTEFFHOP_FLOAT16) return flash_launch<device::Float16>(needed, Sizes());
  if (call.type == OUTEFFHOP_BFLOAT16) return flash_launch<device::BFloat16>(needed, Sizes());
  return plain_launch(needed, std::integer_sequence<int, 64, 128, 256>());
}

inline int64_t blocks_of(const Launch& launch, const Problem& p, int64_t batch) {
  return (int64_t(p.queries) + launch.queries_per_block - 1) / launch.queries_per_block * p.heads * batch;
}

}  // namespace outeffhop
