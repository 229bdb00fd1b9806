// The entry on the CPU: which kernel runs here, and a call cut into tasks.
#include <new>

#include "../call.hpp"
#include "task.hpp"

namespace outeffhop::cpu {

#define OUTEFFHOP_DECLARE(name)                                        \
  namespace name {                                                     \
  int64_t scratch_floats(const outeffhop_attention& call);             \
  void attend(const outeffhop_attention&, const Task&, float* scratch); \
  }
OUTEFFHOP_DECLARE(baseline)
#if OUTEFFHOP_X86
OUTEFFHOP_DECLARE(avx2)
OUTEFFHOP_DECLARE(avx512)
#endif

namespace {

bool anywhere() { return true; }
#if OUTEFFHOP_X86
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && has_avx2(); }
#endif

/** What the tasks of a call read; freed by whoever runs them. */
struct Run {
  const Kernel& kernel;
  const outeffhop_attention& call;
  int64_t chunks;
};

void run_task(void* data, size_t index) {
  const Run& run = *static_cast<const Run*>(data);
  const outeffhop_attention& call = run.call;
  const int64_t chunk = int64_t(index) % run.chunks, row = int64_t(index) / run.chunks;
  const int64_t first = chunk * kQueries, left = call.queries - first;
  const Task task{row / call.heads, row % call.heads, first, left < kQueries ? left : kQueries};
  const size_t bytes = size_t(run.kernel.scratch_floats(call)) * sizeof(float);
  void* scratch = ::operator new(bytes, std::align_val_t(64));
  run.kernel.attend(call, task, static_cast<float*>(scratch));
  ::operator delete(scratch, std::align_val_t(64));
}

}  // namespace

const Kernel kernels[] = {
#if OUTEFFHOP_X86
    {"avx512", has_avx512, avx512::scratch_floats, avx512::attend},
    {"avx2", has_avx2, avx2::scratch_floats, avx2::attend},
#endif
    {"baseline", anywhere, baseline::scratch_floats, baseline::attend},
};
const int kernel_count = int(sizeof kernels / sizeof *kernels);

const Kernel& best_kernel() {
  const Kernel* kernel = kernels;
  while (!kernel->runs_here()) ++kernel;
  return *kernel;
}

void attend(const Kernel& kernel, const outeffhop_attention& call, const outeffhop_pool* pool) {
  Run run{kernel, call, (call.queries + kQueries - 1) / kQueries};
  const size_t tasks = size_t(call.batch * call.heads * run.chunks);
  if (pool && tasks > 1) return pool->run(pool->data, tasks, run_task, &run);
  for (size_t index = 0; index < tasks; ++index) run_task(&run, index);
}

}  // namespace outeffhop::cpu

outeffhop_status outeffhop_attention_cpu(const outeffhop_attention* call, const outeffhop_pool* pool) {
  const outeffhop_status checked = outeffhop::check_call(call, INT32_MAX);
  if (checked != OUTEFFHOP_OK) return checked;
  static const outeffhop::cpu::Kernel& kernel = outeffhop::cpu::best_kernel();
  outeffhop::cpu::attend(kernel, *call, pool);
  return OUTEFFHOP_OK;
}
