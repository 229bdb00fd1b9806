#define OUTEFFHOP_KERNEL baseline
#include "kernel.hpp"
#include "softmax1.hpp"
