// What every entry point asks about a call before it reads a pointer of it.
#pragma once
#include "outeffhop_softmax1.h"

namespace outeffhop {

/** The largest head and value size that the kernels for devices are written for. */
constexpr int64_t kMostHeadSize = 256;

/** Whether the fields make sense together, with head and value sizes up to `most_head_size`. */
outeffhop_status check_call(const outeffhop_attention* call, int64_t most_head_size);
outeffhop_status check_call(const outeffhop_softmax1* call);

}  // namespace outeffhop
