// Times the kernels on the device and prints comma-separated rows: with a sink, without one, and what the sink costs.
// attention_bench [--heads N] [--tokens N] [--repeats N]; --tokens is batch times sequence length. Exits 2 where CUDA cannot be used.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "device_memory.hpp"
#include "outeffhop_attention.h"

using outeffhop::check::DeviceMemory;
using outeffhop::check::expect;

namespace {

struct Options {
  int64_t heads = 16, tokens = 16384;
  int repeats = 30;
};

struct Shape {
  outeffhop_type type;
  int64_t head_size, length;
  bool causal;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string flag = words[i];
    if (flag == "--heads") options.heads = std::stoll(words[i + 1]);
    if (flag == "--tokens") options.tokens = std::stoll(words[i + 1]);
    if (flag == "--repeats") options.repeats = std::stoi(words[i + 1]);
  }
  return options;
}

/** Sixteen-bit numbers between 0.5 and 2 of either sign, in float16 and in bfloat16: timing must not meet only zeros. */
std::vector<uint16_t> numbers(int64_t count, uint32_t seed, outeffhop_type type) {
  std::vector<uint16_t> bits(static_cast<size_t>(count));
  for (uint16_t& element : bits) {
    seed = seed * 1664525u + 1013904223u;
    const uint32_t fraction = seed >> 22, sign = seed >> 6 & 0x8000u, exponent = seed >> 20 & 1u;
    element = uint16_t(type == OUTEFFHOP_FLOAT16 ? sign | (14u + exponent) << 10 | fraction
                                                 : sign | (126u + exponent) << 7 | fraction >> 3);
  }
  return bits;
}

/** The median time of a call in milliseconds. */
float median_time(const outeffhop_attention& call, int repeats) {
  cudaEvent_t start, stop;
  expect(cudaEventCreate(&start), "cannot create an event");
  expect(cudaEventCreate(&stop), "cannot create an event");
  std::vector<float> times;
  for (int i = 0; i < repeats + 5; ++i) {
    expect(cudaEventRecord(start), "cannot record an event");
    const outeffhop_status status = outeffhop_attention_cuda(&call, nullptr);
    if (status != OUTEFFHOP_OK) std::fprintf(stderr, "%s\n", outeffhop_status_text(status)), std::exit(2);
    expect(cudaEventRecord(stop), "cannot record an event");
    expect(cudaEventSynchronize(stop), "a kernel failed");
    float time = 0;
    expect(cudaEventElapsedTime(&time, start, stop), "cannot read a time");
    if (i >= 5) times.push_back(time);
  }
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

void measure(const Shape& shape, const Options& options, const char* device) {
  const int64_t batch = std::max<int64_t>(1, options.tokens / shape.length), heads = options.heads;
  const int64_t elements = batch * heads * shape.length * shape.head_size;
  const auto upload = [&](uint32_t seed) {
    const std::vector<uint16_t> host = numbers(elements, seed, shape.type);
    return DeviceMemory(host.data(), host.size() * 2);
  };
  const DeviceMemory q = upload(1), k = upload(2), v = upload(3), out(size_t(elements) * 2);
  outeffhop_attention call{};
  call.version = OUTEFFHOP_ATTENTION_VERSION;
  call.type = shape.type;
  call.batch = batch, call.heads = call.kv_heads = heads;
  call.queries = call.keys = shape.length;
  call.head_size = call.value_size = shape.head_size;
  call.q = q.data(), call.k = k.data(), call.v = v.data(), call.out = out.data();
  for (int64_t(*strides)[4] : {&call.q_strides, &call.k_strides, &call.v_strides, &call.out_strides}) {
    (*strides)[0] = heads * shape.length * shape.head_size, (*strides)[1] = shape.length * shape.head_size;
    (*strides)[2] = shape.head_size, (*strides)[3] = 1;
  }
  call.scale = 0.0625f;
  call.causal = shape.causal;
  const float with_sink = median_time(call, options.repeats);
  call.no_sink = 1;
  const float without = median_time(call, options.repeats);
  const double operations = 4.0 * double(elements) * double(shape.length) / (shape.causal ? 2 : 1);
  std::printf("%s,%s,%lld,%lld,%lld,%lld,%s,%.4f,%.1f,%.4f,%.1f,%.2f\n", device,
              shape.type == OUTEFFHOP_FLOAT16 ? "float16" : "bfloat16", (long long)batch, (long long)heads,
              (long long)shape.length, (long long)shape.head_size, shape.causal ? "causal" : "full", with_sink,
              operations / with_sink / 1e9, without, operations / without / 1e9, 100.0 * (with_sink / without - 1));
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  cudaDeviceProp properties;
  expect(cudaGetDeviceProperties(&properties, 0), "no CUDA device can be used");
  std::printf("device,type,batch,heads,length,head size,mask,ms,TFLOP/s,ms without sink,TFLOP/s without sink,sink costs %%\n");
  for (const outeffhop_type type : {OUTEFFHOP_FLOAT16, OUTEFFHOP_BFLOAT16})
    for (const int64_t head_size : {64, 128})
      for (const bool causal : {false, true})
        for (const int64_t length : {512, 1024, 2048, 4096, 8192, 16384})
          measure({type, head_size, length, causal}, options, properties.name);
}
