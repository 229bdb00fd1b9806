// Picks the bodies of the device functions: PTX under nvcc, an emulation where the includer has one on its include path.
#pragma once
#if defined(__CUDACC__)
#include "device_cuda.hpp"
#else
#include "device_emulated.hpp"
#endif
