// The kernels on the emulator.
#pragma once
#include "emulator.hpp"
#include "outeffhop_attention.h"

namespace emulated {

/** What `outeffhop_attention_cuda` does, on host memory; the call was checked. */
void attention(const outeffhop_attention& call, const Schedule& schedule);

/** A line a kernel: its name, the head size, queries and threads of a block, and the shared memory it takes. */
void list_kernels();

}  // namespace emulated
