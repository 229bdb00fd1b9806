#define OUTEFFHOP_KERNEL baseline
#include "kernel.hpp"
