#define OUTEFFHOP_KERNEL avx2
#include "kernel.hpp"
#include "softmax1.hpp"
