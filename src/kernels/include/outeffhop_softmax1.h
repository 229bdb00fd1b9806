/*
 * The normaliser of attention with a sink, alone: y_i = exp(x_i - m) / (exp(sink - m) + sum_j exp(x_j - m)), m = max(sink, max_j x_j).
 *
 * A sink of 0 is Softmax1. A row that is -infinity throughout is exactly 0.
 */
#ifndef OUTEFFHOP_SOFTMAX1_H
#define OUTEFFHOP_SOFTMAX1_H

#include "outeffhop_attention.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One call on a dense tensor [outer, size, inner], normalised along `size`. */
typedef struct outeffhop_softmax1 {
  int32_t version;     /* OUTEFFHOP_ATTENTION_VERSION */
  outeffhop_type type; /* of x and y; sums are float32 */
  int64_t outer, size, inner;
  const void* x;
  void* y;
  const float* sink; /* [sinks] logits, or null: 0 */
  int64_t sinks;     /* rows of the outer index o have logit (o / sink_repeat) % sinks */
  int64_t sink_repeat;
} outeffhop_softmax1;

/** Pointers are host memory. `pool` may be null: one thread. */
OUTEFFHOP_API outeffhop_status outeffhop_softmax1_cpu(const outeffhop_softmax1* call, const outeffhop_pool* pool);

/** Pointers are device memory; the work is queued on `stream` (a cudaStream_t, null: the default one) of the current device. */
OUTEFFHOP_API outeffhop_status outeffhop_softmax1_cuda(const outeffhop_softmax1* call, void* stream);

#ifdef __cplusplus
}
#endif
#endif
