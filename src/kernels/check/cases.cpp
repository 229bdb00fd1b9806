#include "cases.hpp"

#include <cfloat>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "half.hpp"

namespace outeffhop::check {
namespace {

/** SplitMix64: the same numbers in any language. */
class Random {
 public:
  explicit Random(const std::string& seed) {
    for (const char c : seed) state_ = (state_ ^ uint64_t(uint8_t(c))) * 0x100000001b3u;
  }
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return double(next() >> 11) * 0x1p-53; }
  /** Mean 0, variance 1: the sum of four uniform numbers. */
  double normal() { return (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508075688772; }

 private:
  uint64_t state_ = 0xcbf29ce484222325u;
};

struct Shape {
  int64_t batch, heads, rows, columns;
};

int bytes_of(outeffhop_type type) { return type == OUTEFFHOP_FLOAT32 ? 4 : type == OUTEFFHOP_BOOL ? 1 : 2; }

outeffhop_type type_of(const std::string& name) {
  if (name == "f32") return OUTEFFHOP_FLOAT32;
  if (name == "f16") return OUTEFFHOP_FLOAT16;
  if (name == "bf16") return OUTEFFHOP_BFLOAT16;
  if (name == "bool") return OUTEFFHOP_BOOL;
  throw std::runtime_error("unknown type " + name);
}

double lowest_of(outeffhop_type type) {
  return type == OUTEFFHOP_FLOAT32 ? -FLT_MAX : type == OUTEFFHOP_FLOAT16 ? -65504 : double(float_of_bfloat16(0xff7f));
}

void store(unsigned char* at, outeffhop_type type, double value) {
  const float rounded = float(value);
  const uint16_t half = type == OUTEFFHOP_FLOAT16 ? float16_of_float(rounded) : bfloat16_of_float(rounded);
  const uint8_t allowed = value > -1;
  if (type == OUTEFFHOP_FLOAT32) std::memcpy(at, &rounded, 4);
  else if (type == OUTEFFHOP_BOOL) std::memcpy(at, &allowed, 1);
  else std::memcpy(at, &half, 2);
}

double load(const unsigned char* at, outeffhop_type type) {
  float value;
  uint16_t half;
  if (type == OUTEFFHOP_BOOL) return *at ? 0 : -std::numeric_limits<double>::infinity();
  if (type == OUTEFFHOP_FLOAT32) return std::memcpy(&value, at, 4), value;
  std::memcpy(&half, at, 2);
  return type == OUTEFFHOP_FLOAT16 ? float_of_float16(half) : float_of_bfloat16(half);
}

/** The buffer of a layout, all zero. */
Buffer allocate(const Shape& shape, const std::string& layout, outeffhop_type type) {
  Buffer buffer;
  const auto [batch, heads, rows, columns] = shape;
  const int64_t pitch = columns + (layout == "pitched" ? 8 : layout == "odd" ? 1 : 0);
  int64_t strides[4] = {heads * rows * pitch, rows * pitch, pitch, 1};
  if (layout == "bshd") strides[1] = columns, strides[2] = heads * columns;
  if (layout == "across") strides[2] = 1, strides[3] = rows;
  if (layout == "reversed") strides[2] = -pitch, buffer.first = rows > 0 ? (rows - 1) * pitch : 0;
  if (layout == "shared") strides[0] = 0;
  std::memcpy(buffer.strides, strides, sizeof strides);
  const int64_t copies = layout == "shared" ? 1 : batch;
  // An odd pitch ends with the last element, so that nothing behind it can be read unnoticed.
  const int64_t elements = copies * heads * rows * pitch - (rows > 0 ? pitch - columns : 0);
  buffer.bytes.resize(size_t(elements * bytes_of(type)));
  return buffer;
}

int64_t index(const Buffer& buffer, int64_t b, int64_t h, int64_t row, int64_t column) {
  return buffer.first + b * buffer.strides[0] + h * buffer.strides[1] + row * buffer.strides[2] + column * buffer.strides[3];
}

template <class Visit>
void each(const Shape& shape, Visit visit) {
  for (int64_t b = 0; b < shape.batch; ++b)
    for (int64_t h = 0; h < shape.heads; ++h)
      for (int64_t row = 0; row < shape.rows; ++row)
        for (int64_t column = 0; column < shape.columns; ++column) visit(b, h, row, column);
}

/** Queries lie around 1 and keys around -1 where scores shall be far below 0. */
void fill(Buffer& buffer, const Shape& shape, outeffhop_type type, const Case& row, double centre) {
  Random random(row.name + (centre == 0 ? "v" : centre > 0 ? "q" : "k"));
  each(shape, [&](int64_t b, int64_t h, int64_t r, int64_t c) {
    double value = random.normal();
    if (row.data == "low" && centre != 0) value = centre + value / 8;
    if (row.data == "outlier" && centre != 0 && (c == 1 || c == shape.columns - 2)) value *= 8;
    store(&buffer.bytes[size_t(index(buffer, b, h, r, c) * bytes_of(type))], type, value);
  });
}

void spoil_behind(Buffer& buffer, const Shape& shape, outeffhop_type type, const std::vector<int32_t>& lengths) {
  each(shape, [&](int64_t b, int64_t h, int64_t r, int64_t c) {
    if (r >= lengths[size_t(b)])
      store(&buffer.bytes[size_t(index(buffer, b, h, r, c) * bytes_of(type))], type, std::nan(""));
  });
}

/** Dense over the dimensions named, broadcast over the rest. */
Buffer make_bias(const Case& row, const std::string& dimensions, outeffhop_type type) {
  const Shape shape{row.batch, row.heads, row.queries, row.keys};
  const int64_t full[4] = {shape.batch, shape.heads, shape.rows, shape.columns};
  Buffer buffer;
  int64_t elements = 1, sizes[4];
  for (int i = 3; i >= 0; --i) {
    sizes[i] = dimensions[size_t(i)] == '1' ? 1 : full[i];
    buffer.strides[i] = dimensions[size_t(i)] == '1' ? 0 : elements;
    elements *= sizes[i];
  }
  buffer.bytes.resize(size_t(elements * bytes_of(type)));
  Random random(row.name + "bias");
  const double masked = row.data == "lowest" ? lowest_of(type) : -std::numeric_limits<double>::infinity();
  const bool by_row = row.data == "rows" || row.data == "lowest";
  each({sizes[0], sizes[1], sizes[2], sizes[3]}, [&](int64_t b, int64_t h, int64_t r, int64_t c) {
    const double value = type == OUTEFFHOP_BOOL ? 0 : random.normal();
    const bool hidden = random.next() % 4 == 0 || (by_row && r % 3 == 1) || (row.data == "late" && c < 40);
    store(&buffer.bytes[size_t(index(buffer, b, h, r, c) * bytes_of(type))], type, hidden ? masked : value);
  });
  return buffer;
}

std::vector<float> make_sink(const Case& row) {
  std::vector<float> sink;
  if (row.sink == "zero" || row.sink == "none") return sink;
  Random random(row.name + "sink");
  const float wide[] = {-INFINITY, 30, -30};
  for (int64_t h = 0; h < row.heads; ++h) sink.push_back(row.sink == "wide" ? wide[h % 3] : float(2 * random.normal()));
  return sink;
}

std::vector<int32_t> make_lengths(const Case& row) {
  std::vector<int32_t> lengths;
  if (row.lengths == "full") return lengths;
  Random random(row.name + "lengths");
  for (int64_t b = 0; b < row.batch; ++b) lengths.push_back(int32_t(1 + random.next() % uint64_t(row.keys)));
  lengths.back() = 0;
  return lengths;
}

template <class Pointer>
void point(Pointer& data, int64_t (&strides)[4], Buffer& buffer, outeffhop_type type) {
  data = buffer.bytes.empty() ? nullptr : buffer.bytes.data() + buffer.first * bytes_of(type);
  std::memcpy(strides, buffer.strides, sizeof strides);
}

outeffhop_attention make_call(const Case& row, Inputs& inputs, outeffhop_type type, outeffhop_type bias_type) {
  outeffhop_attention call{};
  call.version = OUTEFFHOP_ATTENTION_VERSION;
  call.type = type;
  call.batch = row.batch, call.heads = row.heads, call.kv_heads = row.kv_heads;
  call.queries = row.queries, call.keys = row.keys;
  call.head_size = row.head_size, call.value_size = row.value_size;
  point(call.q, call.q_strides, inputs.q, type);
  point(call.k, call.k_strides, inputs.k, type);
  point(call.v, call.v_strides, inputs.v, type);
  point(call.out, call.out_strides, inputs.out, type);
  point(call.bias, call.bias_strides, inputs.bias, bias_type);
  call.bias_type = bias_type;
  call.scale = row.scale == "auto" ? float(1 / std::sqrt(double(row.head_size))) : std::stof(row.scale);
  call.causal = row.causal == "yes";
  call.no_sink = row.sink == "none";
  call.sink = inputs.sink.empty() ? nullptr : inputs.sink.data();
  call.key_lengths = inputs.key_lengths.empty() ? nullptr : inputs.key_lengths.data();
  return call;
}

void contiguous(int64_t (&strides)[4], int64_t heads, int64_t rows, int64_t columns) {
  strides[0] = heads * rows * columns, strides[1] = rows * columns, strides[2] = columns, strides[3] = 1;
}

/** The elements of a strided tensor in order; false becomes -infinity, true 0. */
std::vector<float> gather(const void* data, const int64_t (&strides)[4], outeffhop_type type, const Shape& shape) {
  std::vector<float> values;
  each(shape, [&](int64_t b, int64_t h, int64_t row, int64_t column) {
    const int64_t at = b * strides[0] + h * strides[1] + row * strides[2] + column * strides[3];
    values.push_back(float(load(static_cast<const unsigned char*>(data) + at * bytes_of(type), type)));
  });
  return values;
}

/** The reference on the same queries and keys, and on values of any size. */
std::vector<float> attend(outeffhop_attention call, const Dense& dense, const std::vector<float>& v, int64_t value_size) {
  std::vector<float> out(size_t(call.batch * call.heads * call.queries * value_size), NAN);
  contiguous(call.q_strides, call.heads, call.queries, call.head_size);
  contiguous(call.k_strides, call.kv_heads, call.keys, call.head_size);
  contiguous(call.v_strides, call.kv_heads, call.keys, value_size);
  contiguous(call.out_strides, call.heads, call.queries, value_size);
  contiguous(call.bias_strides, call.heads, call.queries, call.keys);
  call.type = call.bias_type = OUTEFFHOP_FLOAT32;
  call.value_size = value_size;
  call.q = dense.q.data(), call.k = dense.k.data(), call.v = v.data(), call.out = out.data();
  call.bias = dense.bias.empty() ? nullptr : dense.bias.data();
  if (outeffhop_attention_reference(&call) != OUTEFFHOP_OK) throw std::runtime_error("the reference refused a case");
  return out;
}

}  // namespace

std::vector<Case> read_cases(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<Case> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Case row;
    words >> row.name >> row.type >> row.batch >> row.heads >> row.kv_heads >> row.queries >> row.keys >> row.head_size >>
        row.value_size >> row.scale >> row.layout >> row.bias >> row.causal >> row.lengths >> row.sink >> row.data;
    if (!words) throw std::runtime_error("not a case: " + line);
    cases.push_back(row);
  }
  return cases;
}

Inputs make_inputs(const Case& row) {
  Inputs inputs;
  const outeffhop_type type = type_of(row.type);
  const Shape queries{row.batch, row.heads, row.queries, row.head_size};
  const Shape outputs{row.batch, row.heads, row.queries, row.value_size};
  const int64_t kv_batch = row.layout == "shared" ? 1 : row.batch;
  const Shape keys{kv_batch, row.kv_heads, row.keys, row.head_size}, values{kv_batch, row.kv_heads, row.keys, row.value_size};
  const std::string own = row.layout == "shared" ? "bhsd" : row.layout;
  inputs.q = allocate(queries, own, type);
  inputs.k = allocate(keys, row.layout, type);
  inputs.v = allocate(values, row.layout, type);
  inputs.out = allocate(outputs, own, type);
  fill(inputs.q, queries, type, row, 1);
  fill(inputs.k, keys, type, row, -1);
  fill(inputs.v, values, type, row, 0);
  inputs.sink = make_sink(row);
  inputs.key_lengths = make_lengths(row);
  if (!inputs.key_lengths.empty()) spoil_behind(inputs.k, keys, type, inputs.key_lengths);
  if (!inputs.key_lengths.empty()) spoil_behind(inputs.v, values, type, inputs.key_lengths);
  outeffhop_type bias_type = type;
  if (row.bias != "none") {
    const size_t colon = row.bias.find(':');
    const std::string name = row.bias.substr(0, colon);
    bias_type = name == "same" ? type : type_of(name);
    inputs.bias = make_bias(row, row.bias.substr(colon + 1), bias_type);
  }
  // An output that is not written must not look right.
  each(outputs, [&](int64_t b, int64_t h, int64_t r, int64_t c) {
    store(&inputs.out.bytes[size_t(index(inputs.out, b, h, r, c) * bytes_of(type))], type, std::nan(""));
  });
  inputs.call = make_call(row, inputs, type, bias_type);
  return inputs;
}

Dense densify(const Inputs& inputs) {
  const outeffhop_attention& call = inputs.call;
  Dense dense;
  dense.q = gather(call.q, call.q_strides, call.type, {call.batch, call.heads, call.queries, call.head_size});
  dense.k = gather(call.k, call.k_strides, call.type, {call.batch, call.kv_heads, call.keys, call.head_size});
  dense.v = gather(call.v, call.v_strides, call.type, {call.batch, call.kv_heads, call.keys, call.value_size});
  if (call.bias)
    dense.bias = gather(call.bias, call.bias_strides, call.bias_type, {call.batch, call.heads, call.queries, call.keys});
  return dense;
}

std::vector<float> wanted(const Inputs& inputs, const Dense& dense) {
  return attend(inputs.call, dense, dense.v, inputs.call.value_size);
}

/**
 * Weights are rounded once (their sum is not) and so is the output, each by at most `unit` of what it is; a float16 weight of 2^-14
 * of the largest in its row, and an output below that, lose up to 2^-25. Exponents are float32: a score of 50 has an error of 6e-6,
 * and so has its weight.
 */
Judgement judge(Inputs& inputs) {
  const outeffhop_attention& call = inputs.call;
  const double unit = call.type == OUTEFFHOP_FLOAT32 ? 0x1p-24 : call.type == OUTEFFHOP_FLOAT16 ? 0x1p-11 : 0x1p-8;
  const double floor = call.type == OUTEFFHOP_FLOAT16 ? 0x1p-25 : 1e-30;
  const Dense dense = densify(inputs);
  std::vector<float> magnitudes;
  double largest = 0;
  for (const float value : dense.v) {
    magnitudes.push_back(std::fabs(value));
    if (value == value) largest = std::fmax(largest, double(magnitudes.back()));
  }
  const std::vector<float> ones(size_t(call.batch * call.kv_heads * call.keys), 1.f);
  const std::vector<float> right = wanted(inputs, dense);
  const std::vector<float> spread = attend(call, dense, magnitudes, call.value_size);
  const std::vector<float> attended = attend(call, dense, ones, 1);  // at least the largest weight of a row
  Judgement judgement{0, 0, true};
  size_t i = 0;
  each({call.batch, call.heads, call.queries, call.value_size}, [&](int64_t b, int64_t h, int64_t r, int64_t c) {
    const int64_t at = index(inputs.out, b, h, r, c) * bytes_of(call.type);
    const double got = load(&inputs.out.bytes[size_t(at)], call.type);
    const double vanished = double(call.keys) * largest * attended[i / size_t(call.value_size)];
    const double bound = (unit + 2e-5) * spread[i] + unit * std::fabs(double(right[i])) + floor * (1 + vanished);
    const double error = std::fabs(got - right[i]);
    if (spread[i] == 0 && got != 0) judgement.exact_zeros = false;
    judgement.error = error == error ? std::fmax(judgement.error, error) : INFINITY;
    judgement.share = error == error ? std::fmax(judgement.share, error / bound) : INFINITY;
    ++i;
  });
  return judgement;
}

}  // namespace outeffhop::check
