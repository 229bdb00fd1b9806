/*
 * Attention that may attend to nothing: out = softmax(scale * q k^T + bias, with one more logit `sink` whose value is 0) v.
 *
 *   out_i = sum_j exp(x_ij - m) v_j / (exp(sink - m) + sum_j exp(x_ij - m)),   m = max_j x_ij
 *
 * A sink of 0 is Softmax1, of -infinity the ordinary softmax. A row whose keys are all masked is exactly 0.
 * Plain C, no header of any framework or of CUDA: the stream is passed as `void*`.
 */
#ifndef OUTEFFHOP_ATTENTION_H
#define OUTEFFHOP_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define OUTEFFHOP_API __declspec(dllexport)
#else
#define OUTEFFHOP_API __attribute__((visibility("default")))
#endif

/** The version of `outeffhop_attention` below; it grows when a field is added. */
#define OUTEFFHOP_ATTENTION_VERSION 1

typedef enum outeffhop_type {
  OUTEFFHOP_FLOAT32 = 0,
  OUTEFFHOP_FLOAT16 = 1,
  OUTEFFHOP_BFLOAT16 = 2,
  OUTEFFHOP_BOOL = 3 /* one byte an element, only for `bias`: 0 masks a key out */
} outeffhop_type;

typedef enum outeffhop_status {
  OUTEFFHOP_OK = 0,
  OUTEFFHOP_BAD_VERSION = 1,
  OUTEFFHOP_BAD_TYPE = 2,
  OUTEFFHOP_BAD_SIZE = 3,
  OUTEFFHOP_BAD_HEADS = 4,
  OUTEFFHOP_BAD_HEAD_SIZE = 5,
  OUTEFFHOP_MISSING_TENSOR = 6,
  OUTEFFHOP_UNALIGNED = 7,
  OUTEFFHOP_NO_DEVICE = 8,
  OUTEFFHOP_OLD_DEVICE = 9,
  OUTEFFHOP_NOT_BUILT = 10,
  OUTEFFHOP_LAUNCH_FAILED = 11
} outeffhop_status;

/**
 * One call. Letters: B batch, H heads, S queries, T keys, D head size, Dv value size.
 * Strides count elements, in the order batch, head, row, column; 0 broadcasts, except in `out`.
 */
typedef struct outeffhop_attention {
  int32_t version;     /* OUTEFFHOP_ATTENTION_VERSION */
  outeffhop_type type; /* of q, k, v and out; sums are float32 */
  int64_t batch, heads, kv_heads, queries, keys, head_size, value_size;
  const void* q; /* [B, H, S, D] */
  const void* k; /* [B, Hkv, T, D]; query head h reads key head h / (H / Hkv) */
  const void* v; /* [B, Hkv, T, Dv] */
  void* out;     /* [B, H, S, Dv] */
  int64_t q_strides[4], k_strides[4], v_strides[4], out_strides[4];
  float scale;            /* multiplies q k^T, not the bias and not the sink; any finite number */
  int32_t causal;         /* query i sees key j only if j <= i + length - S, length being T or `key_lengths[b]` */
  int32_t no_sink;        /* 1: ordinary softmax, whatever `sink` says */
  const float* sink;      /* [H] logits, or null: 0 for every head */
  const void* bias;       /* [B, H, S, T] added to the scaled scores, -infinity or false masks; or null */
  outeffhop_type bias_type; /* `type`, OUTEFFHOP_FLOAT32 or OUTEFFHOP_BOOL */
  int64_t bias_strides[4];
  const int32_t* key_lengths; /* [B]: only the first so many keys are there, within 0 and T; or null: all */
} outeffhop_attention;

/** Whether the fields make sense together; every entry point below asks this first. */
OUTEFFHOP_API outeffhop_status outeffhop_attention_check(const outeffhop_attention* call);

/** Pointers are device memory; the work is queued on `stream` (a cudaStream_t, null: the default one) of the current device. */
OUTEFFHOP_API outeffhop_status outeffhop_attention_cuda(const outeffhop_attention* call, void* stream);

/** Runs `task(data, i)` for every i below `count`, in any order and on any threads, and returns when all are done. */
typedef struct outeffhop_pool {
  void* data;
  void (*run)(void* data, size_t count, void (*task)(void* data, size_t index), void* task_data);
} outeffhop_pool;

/** Pointers are host memory; sums are float32, in the widest vectors of the processor; head sizes of any length. `pool` may be null: one thread. */
OUTEFFHOP_API outeffhop_status outeffhop_attention_cpu(const outeffhop_attention* call, const outeffhop_pool* pool);

/** Pointers are host memory; every sum in double, one row after another: what the others are held against. */
OUTEFFHOP_API outeffhop_status outeffhop_attention_reference(const outeffhop_attention* call);

/** One sentence for a status, never null. */
OUTEFFHOP_API const char* outeffhop_status_text(outeffhop_status status);

#ifdef __cplusplus
}
#endif
#endif
