// The kernels of this build, and the one for this processor.
#include <new>

#include "task.hpp"

namespace outeffhop::cpu {

#define OUTEFFHOP_DECLARE(name)                                         \
  namespace name {                                                      \
  int64_t scratch_floats(const outeffhop_attention& call);              \
  void attend(const outeffhop_attention&, const Task&, float* scratch); \
  void softmax1(const outeffhop_softmax1&, int64_t at, float* line);    \
  }
#define OUTEFFHOP_KERNEL_OF(name, runs_here) {#name, runs_here, name::scratch_floats, name::attend, name::softmax1}

OUTEFFHOP_DECLARE(baseline)
#if OUTEFFHOP_X86
OUTEFFHOP_DECLARE(avx2)
OUTEFFHOP_DECLARE(avx512)
#endif

namespace {

bool anywhere() { return true; }
#if OUTEFFHOP_X86
bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512() { return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"); }
#endif

}  // namespace

const Kernel kernels[] = {
#if OUTEFFHOP_X86
    OUTEFFHOP_KERNEL_OF(avx512, has_avx512),
    OUTEFFHOP_KERNEL_OF(avx2, has_avx2),
#endif
    OUTEFFHOP_KERNEL_OF(baseline, anywhere),
};
const int kernel_count = int(sizeof kernels / sizeof *kernels);

const Kernel& best_kernel() {
  static const Kernel& best = []() -> const Kernel& {
    const Kernel* kernel = kernels;
    while (!kernel->runs_here()) ++kernel;
    return *kernel;
  }();
  return best;
}

Scratch::Scratch(int64_t floats)
    : data_(static_cast<float*>(::operator new(size_t(floats) * sizeof(float), std::align_val_t(64)))) {}

Scratch::~Scratch() { ::operator delete(data_, std::align_val_t(64)); }

void run_tasks(const outeffhop_pool* pool, size_t count, void (*task)(void* data, size_t index), void* data) {
  if (pool && count > 1) return pool->run(pool->data, count, task, data);
  for (size_t index = 0; index < count; ++index) task(data, index);
}

}  // namespace outeffhop::cpu
