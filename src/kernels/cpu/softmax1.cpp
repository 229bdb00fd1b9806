// The normaliser alone on the CPU: rows, about as many a task as take as long as queueing it is worth.
#include "../call.hpp"
#include "task.hpp"

namespace outeffhop::cpu {
namespace {

constexpr int64_t kNumbersOfTask = 1 << 15;

struct Run {
  const Kernel& kernel;
  const outeffhop_softmax1& call;
  int64_t rows_of_task;
};

void run_task(void* data, size_t index) {
  const Run& run = *static_cast<const Run*>(data);
  const int64_t rows = run.call.outer * run.call.inner, first = int64_t(index) * run.rows_of_task;
  const int64_t end = first + run.rows_of_task < rows ? first + run.rows_of_task : rows;
  const Scratch line(run.call.size + 16);
  for (int64_t row = first; row < end; ++row) run.kernel.softmax1(run.call, row, line.data());
}

}  // namespace

void softmax1(const Kernel& kernel, const outeffhop_softmax1& call, const outeffhop_pool* pool) {
  const int64_t rows = call.outer * call.inner;
  if (rows == 0 || call.size == 0) return;
  Run run{kernel, call, call.size < kNumbersOfTask ? kNumbersOfTask / call.size : 1};
  run_tasks(pool, size_t((rows + run.rows_of_task - 1) / run.rows_of_task), run_task, &run);
}

}  // namespace outeffhop::cpu

outeffhop_status outeffhop_softmax1_cpu(const outeffhop_softmax1* call, const outeffhop_pool* pool) {
  const outeffhop_status checked = outeffhop::check_call(call);
  if (checked == OUTEFFHOP_OK) outeffhop::cpu::softmax1(outeffhop::cpu::best_kernel(), *call, pool);
  return checked;
}
