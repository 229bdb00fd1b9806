// Runs the cases on the emulator: run-emulated CASES --seed N --landing early|late|any [--only NAME]... [--head-size N]
// Prints a line a case; exits 1 when a case is not what the reference says, 3 at a fault.
#include <chrono>
#include <cstring>
#include <set>

#include "check/cases.hpp"
#include "dispatch.hpp"

using namespace outeffhop;

namespace {

struct Options {
  emulated::Schedule schedule;
  std::set<std::string> only;
  int64_t head_size = 0;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string flag = words[i], value = words[i + 1];
    if (flag == "--seed") options.schedule.seed = unsigned(std::stoul(value));
    if (flag == "--only") options.only.insert(value);
    if (flag == "--head-size") options.head_size = std::stoll(value);
    if (flag == "--landing")
      options.schedule.landing = value == "early" ? emulated::Landing::early
                                 : value == "late" ? emulated::Landing::late
                                                   : emulated::Landing::any;
  }
  return options;
}

bool run(const check::Case& row, const Options& options) {
  check::Inputs inputs = check::make_inputs(row);
  const outeffhop_status status = outeffhop_attention_check(&inputs.call);
  if (status != OUTEFFHOP_OK) {
    std::printf("%-22s refused: %s\n", row.name.c_str(), outeffhop_status_text(status));
    return false;
  }
  const Launch launch = choose(inputs.call);
  const Problem problem = problem_of(inputs.call);
  const auto start = std::chrono::steady_clock::now();
  emulated::launch(options.schedule, unsigned(blocks_of(launch, problem, inputs.call.batch)), unsigned(launch.threads),
                   size_t(launch.shared_bytes), launch.kernel, problem);
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  const check::Judgement judgement = check::judge(inputs);
  std::printf("%-22s %s error %.2e share %.3f %.0f ms\n", row.name.c_str(), judgement.passed() ? "ok   " : "WRONG",
              judgement.error, judgement.share, time.count());
  return judgement.passed();
}

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  int wrong = 0, ran = 0;
  for (const check::Case& row : check::read_cases(words[1])) {
    if (!options.only.empty() && !options.only.count(row.name)) continue;
    if (options.head_size && std::max(row.head_size, row.value_size) > options.head_size) continue;
    wrong += !run(row, options);
    ++ran;
  }
  const emulated::Machine& m = emulated::machine();
  std::printf("%d cases, %d wrong, %llu matrices, %llu bank conflicts\n", ran, wrong, (unsigned long long)m.matrices,
              (unsigned long long)m.bank_conflicts);
  return wrong > 0 || ran == 0;
}
