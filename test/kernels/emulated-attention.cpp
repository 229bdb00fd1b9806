// The kernel text of src/kernels, compiled for the emulator.
#include "emulated-attention.hpp"

#include <cstdio>

#include "dispatch.hpp"

namespace emulated {

using outeffhop::Launch;
using outeffhop::Problem;

namespace {

struct Body {
  void (*kernel)(Problem);
  Problem problem;
};

void run_body(const void* argument) {
  const Body& body = *static_cast<const Body*>(argument);
  body.kernel(body.problem);
}

}  // namespace

void attention(const outeffhop_attention& call, const Schedule& schedule) {
  const Launch launched = outeffhop::choose(call);
  const Body body{launched.kernel, outeffhop::problem_of(call)};
  const int64_t blocks = outeffhop::blocks_of(launched, body.problem, call.batch);
  launch(schedule, unsigned(blocks), unsigned(launched.threads), size_t(launched.shared_bytes), run_body, &body);
}

void list_kernels() {
  for (const outeffhop_type type : {OUTEFFHOP_FLOAT16, OUTEFFHOP_FLOAT32})
    for (const int size : {32, 64, 96, 128, 256}) {
      outeffhop_attention call{};
      call.type = type;
      call.head_size = call.value_size = size;
      const Launch launched = outeffhop::choose(call);
      std::printf("%s %d %d %d %d\n", type == OUTEFFHOP_FLOAT32 ? "plain" : "flash", size, launched.queries_per_block,
                  launched.threads, launched.shared_bytes);
    }
}

}  // namespace emulated
