// The kernels for the CPU need the vectors of GCC and Clang: a build by another compiler says that it has none.
#include "call.hpp"

outeffhop_status outeffhop_attention_cpu(const outeffhop_attention* call, const outeffhop_pool*) {
  const outeffhop_status checked = outeffhop_attention_check(call);
  return checked == OUTEFFHOP_OK ? OUTEFFHOP_NOT_BUILT : checked;
}

outeffhop_status outeffhop_softmax1_cpu(const outeffhop_softmax1* call, const outeffhop_pool*) {
  const outeffhop_status status = outeffhop::check_call(call);
  return status == OUTEFFHOP_OK ? OUTEFFHOP_NOT_BUILT : status;
}
