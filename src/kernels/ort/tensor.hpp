// The tensors of a node while it runs.
#pragma once
#include <cstdint>
#include <vector>

#include "outeffhop_attention.h"
#include "status.hpp"

namespace outeffhop::ort {

struct Tensor {
  const void* data = nullptr;
  std::vector<int64_t> dims;

  bool is_given() const { return data != nullptr; }
  int64_t size() const;
};

/** An input; one that was left out has no data, an empty one does. */
Tensor input(OrtKernelContext* context, size_t index);

/** Memory for an output. */
void* output(OrtKernelContext* context, size_t index, const std::vector<int64_t>& dims);

/** Strides of a dense tensor as [batch, head, row, column], 0 where it broadcasts; `dims` may be shorter than 4. */
void strides_of(const std::vector<int64_t>& dims, int64_t (&strides)[4]);

/** The dimensions, as 4, with 1 in front. */
std::vector<int64_t> four(const std::vector<int64_t>& dims);

std::string text_of(const std::vector<int64_t>& dims);

/** Element `i` of a tensor of floats of any type, in host memory. */
float element(const void* data, outeffhop_type type, int64_t i);

}  // namespace outeffhop::ort
