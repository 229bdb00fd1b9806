// Where a kernel runs: on the threads of the session, or on the stream of its device.
#pragma once
#include <vector>

#include "device_floats.hpp"
#include "op.hpp"

namespace outeffhop::ort {

/** Throws the sentence of a status that is none of success. */
inline void require(outeffhop_status status) {
  if (status != OUTEFFHOP_OK) throw Failure(outeffhop_status_text(status));
}

/** `work` gets a pool of as many threads as the intra_op_num_threads of the session, or null where there is no such thing. */
template <class Work>
outeffhop_status on_threads(OrtKernelContext* context, Work work) {
  const outeffhop_pool pool{context, [](void* data, size_t count, void (*task)(void*, size_t), void* task_data) {
                              check(parallel_for(static_cast<OrtKernelContext*>(data), task, count, 0, task_data));
                            }};
  return work(parallel_for ? &pool : nullptr);
}

/** `work` gets the logits in device memory, null where there are none, and the stream to queue on. */
template <class Work>
outeffhop_status on_stream(OrtKernelContext* context, const std::vector<float>& logits, Work work) {
  void* stream = nullptr;
  check(api->KernelContext_GetGPUComputeStream(context, &stream));
  const DeviceFloats copy(logits, stream);
  return work(copy.data(), stream);
}

}  // namespace outeffhop::ort
