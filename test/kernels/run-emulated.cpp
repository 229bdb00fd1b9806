// Runs the cases on the emulator: run-emulated CASES --seed N --landing early|late|any [--only NAME]... [--head-size N]
// Prints a line a case; exits 1 when a case is not what the reference says, at the first one, and 3 at a fault.
// --landing reference runs the reference itself on the strided tensors instead. Without CASES it lists the kernels.
#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include "check/cases.hpp"
#include "emulated-attention.hpp"

using namespace outeffhop;

namespace {

struct Options {
  emulated::Schedule schedule;
  std::set<std::string> only;
  int64_t head_size = 0;
  bool reference = false;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string flag = words[i], value = words[i + 1];
    if (flag == "--seed") options.schedule.seed = unsigned(std::stoul(value));
    if (flag == "--only") options.only.insert(value);
    if (flag == "--head-size") options.head_size = std::stoll(value);
    if (flag == "--landing") options.reference = value == "reference";
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
  if (options.reference)
    outeffhop_attention_reference(&inputs.call);
  else
    emulated::attention(inputs.call, options.schedule);
  const check::Judgement judgement = check::judge(inputs);
  std::printf("%-22s %s error %.2e share %.3f\n", row.name.c_str(), judgement.passed() ? "ok   " : "WRONG",
              judgement.error, judgement.share);
  return judgement.passed();
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) return emulated::list_kernels(), 0;
  const Options options = parse(count, words);
  int wrong = 0, ran = 0;
  for (const check::Case& row : check::read_cases(words[1])) {
    if (!options.only.empty() && !options.only.count(row.name)) continue;
    if (options.head_size && std::max(row.head_size, row.value_size) > options.head_size) continue;
    wrong += !run(row, options);
    ++ran;
    if (wrong) break;
  }
  std::printf("%d cases, %d wrong, %llu matrices, %llu bank conflicts\n", ran, wrong, (unsigned long long)emulated::reads().matrices, (unsigned long long)emulated::reads().bank_conflicts);
  return wrong > 0 || ran == 0;
}
