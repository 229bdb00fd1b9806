// Attention on the CPU: a call cut into tasks.
#include "../call.hpp"
#include "task.hpp"

namespace outeffhop::cpu {

namespace {

/** What the tasks of a call read. */
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
  run.kernel.attend(call, task, Scratch(run.kernel.scratch_floats(call)).data());
}

}  // namespace

void attend(const Kernel& kernel, const outeffhop_attention& call, const outeffhop_pool* pool) {
  Run run{kernel, call, (call.queries + kQueries - 1) / kQueries};
  const size_t tasks = size_t(call.batch * call.heads * run.chunks);
  run_tasks(pool, tasks, run_task, &run);
}

}  // namespace outeffhop::cpu

outeffhop_status outeffhop_attention_cpu(const outeffhop_attention* call, const outeffhop_pool* pool) {
  const outeffhop_status checked = outeffhop::check_call(call, INT32_MAX);
  if (checked != OUTEFFHOP_OK) return checked;
  outeffhop::cpu::attend(outeffhop::cpu::best_kernel(), *call, pool);
  return OUTEFFHOP_OK;
}
