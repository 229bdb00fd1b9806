// Holds the table of cases against the kernels for the CPU, each that runs on this processor: cpu_check CASES [NAME ...]
// Exit code 0: all right, 1: a wrong output.
#include <algorithm>
#include <cstdio>
#include <thread>

#include "cases.hpp"
#include "cpu/task.hpp"

using namespace outeffhop;

namespace {

/** Tasks in reverse, every other one on another thread: the result may not depend on who runs them when. */
void run_reversed(void*, size_t count, void (*task)(void* data, size_t index), void* data) {
  std::thread other([=] {
    for (size_t i = count; i-- > 0;)
      if (i % 2 == 1) task(data, i);
  });
  for (size_t i = count; i-- > 0;)
    if (i % 2 == 0) task(data, i);
  other.join();
}

bool run_case(const cpu::Kernel& kernel, const check::Case& row, const outeffhop_pool* pool) {
  check::Inputs inputs = check::make_inputs(row);
  cpu::attend(kernel, inputs.call, pool);
  const check::Judgement judgement = check::judge(inputs);
  std::printf("%-9s %-22s %s  largest error %.1e, %.2f of what rounding explains\n", kernel.name, row.name.c_str(),
              judgement.passed() ? "right" : "WRONG", judgement.error, judgement.share);
  return judgement.passed();
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) return std::fprintf(stderr, "usage: cpu_check CASES [NAME ...]\n"), 2;
  const outeffhop_pool pool{nullptr, run_reversed};
  int run = 0, wrong = 0;
  for (int i = 0; i < cpu::kernel_count; ++i) {
    const cpu::Kernel& kernel = cpu::kernels[i];
    if (!kernel.runs_here()) {
      std::printf("%-9s does not run on this processor\n", kernel.name);
      continue;
    }
    for (const check::Case& row : check::read_cases(words[1])) {
      if (count > 2 && std::find(words + 2, words + count, row.name) == words + count) continue;
      ++run;
      wrong += !run_case(kernel, row, run % 2 ? &pool : nullptr);
    }
  }
  std::printf("%d cases, %d wrong\n", run, wrong);
  return wrong == 0 ? 0 : 1;
}
