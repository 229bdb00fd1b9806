#define OUTEFFHOP_KERNEL avx512
#include "kernel.hpp"
#include "softmax1.hpp"
