// The CUDA entry point of a build without CUDA: says so.
#include "outeffhop_attention.h"

outeffhop_status outeffhop_attention_cuda(const outeffhop_attention* call, void*) {
  const outeffhop_status status = outeffhop_attention_check(call);
  return status == OUTEFFHOP_OK ? OUTEFFHOP_NOT_BUILT : status;
}
