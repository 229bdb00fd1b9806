// Runs the table of cases on the device: attention_check CASES [NAME]...; exits 1 when one is wrong, 2 where CUDA cannot be used.
#include <set>
#include <string>

#include "cases.hpp"
#include "device_memory.hpp"

using namespace outeffhop::check;

namespace {

/** Where the same element is in a copy of the buffer on the device. */
const void* moved(const void* pointer, const void* host, const DeviceMemory& device) {
  return pointer ? device.data() + (static_cast<const unsigned char*>(pointer) - static_cast<const unsigned char*>(host)) : nullptr;
}

DeviceMemory copy(const Buffer& buffer) { return DeviceMemory(buffer.bytes.data(), buffer.bytes.size()); }

outeffhop_status run(Inputs& inputs) {
  const DeviceMemory q = copy(inputs.q), k = copy(inputs.k), v = copy(inputs.v), bias = copy(inputs.bias), out = copy(inputs.out);
  const DeviceMemory sink(inputs.sink.data(), inputs.sink.size() * sizeof(float));
  const DeviceMemory lengths(inputs.key_lengths.data(), inputs.key_lengths.size() * sizeof(int32_t));
  outeffhop_attention call = inputs.call;
  call.q = moved(call.q, inputs.q.bytes.data(), q);
  call.k = moved(call.k, inputs.k.bytes.data(), k);
  call.v = moved(call.v, inputs.v.bytes.data(), v);
  call.bias = moved(call.bias, inputs.bias.bytes.data(), bias);
  call.out = const_cast<void*>(moved(call.out, inputs.out.bytes.data(), out));
  call.sink = static_cast<const float*>(moved(call.sink, inputs.sink.data(), sink));
  call.key_lengths = static_cast<const int32_t*>(moved(call.key_lengths, inputs.key_lengths.data(), lengths));
  const outeffhop_status status = outeffhop_attention_cuda(&call, nullptr);
  if (status != OUTEFFHOP_OK) return status;
  expect(cudaDeviceSynchronize(), "a kernel failed");
  out.read(inputs.out.bytes.data());
  return status;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) return std::fprintf(stderr, "usage: attention_check CASES [NAME]...\n"), 2;
  const std::set<std::string> only(words + 2, words + count);
  int wrong = 0, ran = 0;
  for (const Case& row : read_cases(words[1])) {
    if (!only.empty() && !only.count(row.name)) continue;
    Inputs inputs = make_inputs(row);
    const outeffhop_status status = run(inputs);
    if (status != OUTEFFHOP_OK) return std::fprintf(stderr, "%s: %s\n", row.name.c_str(), outeffhop_status_text(status)), 2;
    const Judgement judgement = judge(inputs);
    std::printf("%-22s %s error %.2e share %.3f\n", row.name.c_str(), judgement.passed() ? "ok   " : "WRONG", judgement.error,
                judgement.share);
    wrong += !judgement.passed();
    ++ran;
  }
  std::printf("%d cases, %d wrong\n", ran, wrong);
  return wrong > 0 || ran == 0;
}
