// An operator as the runtime registers it: one for every execution provider and element type.
#pragma once
#include <memory>

#include "outeffhop_softmax1.h"
#include "status.hpp"

namespace outeffhop::ort {

/** A node of a session. */
struct Kernel {
  virtual ~Kernel() = default;
  virtual void compute(OrtKernelContext* context) const = 0;
};

struct Op;

/** What operators of one name have in common. Inputs from `required` on may be left out; all are of the element type. */
struct Definition {
  const char* name;
  size_t required, inputs;
  /** The input, a few numbers, that is read in host memory also where the others are on a device. */
  size_t on_host;
  std::unique_ptr<Kernel> (*make)(const Op& op, const OrtKernelInfo* info);
};

struct Op : OrtCustomOp {
  Op(const Definition& definition, outeffhop_type type, bool on_device);

  const Definition& definition;
  outeffhop_type type;
  bool on_device;
};

/** The value of an attribute where the node has it. */
bool float_attribute(const OrtKernelInfo* info, const char* name, float& value);
bool int_attribute(const OrtKernelInfo* info, const char* name, int64_t& value);

/** Runs `task(data, i)` on the threads of the session; null before ONNX Runtime 1.17. */
extern OrtStatus*(ORT_API_CALL* parallel_for)(const OrtKernelContext* context, void (*task)(void*, size_t), size_t count,
                                             size_t batches, void* data);

std::unique_ptr<Kernel> attention_kernel(const Op& op, const OrtKernelInfo* info);
std::unique_ptr<Kernel> softmax1_kernel(const Op& op, const OrtKernelInfo* info);

}  // namespace outeffhop::ort
