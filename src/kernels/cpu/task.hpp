// What the kernels for different instruction sets have in common.
#pragma once
#include <stdint.h>

#include "../include/outeffhop_softmax1.h"

namespace outeffhop::cpu {

/** The most queries of one task: a whole number of tiles of any kernel. */
constexpr int64_t kQueries = 192;

/** `queries` of one head, from `first` on. */
struct Task {
  int64_t batch, head, first, queries;
};

/** Attention for the processors that `runs_here` says. */
struct Kernel {
  const char* name;
  bool (*runs_here)();
  /** Floats of scratch memory a task needs, aligned to 64 bytes. */
  int64_t (*scratch_floats)(const outeffhop_attention& call);
  void (*attend)(const outeffhop_attention& call, const Task& task, float* scratch);
  /** The row `at` of outer * inner; `line` has room for the size and 16 more. */
  void (*softmax1)(const outeffhop_softmax1& call, int64_t at, float* line);
};

/** Those of this build, the fastest first; the last one runs anywhere. */
extern const Kernel kernels[];
extern const int kernel_count;

/** The first that runs on this processor. */
const Kernel& best_kernel();

/** The call in one task after another, or in parallel where there is a pool; the call was checked. */
void attend(const Kernel& kernel, const outeffhop_attention& call, const outeffhop_pool* pool);
void softmax1(const Kernel& kernel, const outeffhop_softmax1& call, const outeffhop_pool* pool);

/** Memory aligned to a line of the cache. */
class Scratch {
 public:
  explicit Scratch(int64_t floats);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return data_; }

 private:
  float* data_;
};

/** Every task below `count`, on the pool where there is one. */
void run_tasks(const outeffhop_pool* pool, size_t count, void (*task)(void* data, size_t index), void* data);

}  // namespace outeffhop::cpu
