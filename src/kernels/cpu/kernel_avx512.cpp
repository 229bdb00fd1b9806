#define OUTEFFHOP_KERNEL avx512
#include "kernel.hpp"
