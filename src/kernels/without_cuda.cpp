// The CUDA entry point of a build without CUDA: says so.
#include "call.hpp"

outeffhop_status outeffhop_attention_cuda(const outeffhop_attention* call, void*) {
  const outeffhop_status status = outeffhop_attention_check(call);
  return status == OUTEFFHOP_OK ? OUTEFFHOP_NOT_BUILT : status;
}

outeffhop_status outeffhop_softmax1_cuda(const outeffhop_softmax1* call, void*) {
  const outeffhop_status status = outeffhop::check_call(call);
  return status == OUTEFFHOP_OK ? OUTEFFHOP_NOT_BUILT : status;
}
