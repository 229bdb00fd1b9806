#define OUTEFFHOP_KERNEL avx2
#include "kernel.hpp"
