// Sixteen-bit floating point on the host: bits to float, and float to bits rounded half to even.
#pragma once
#include <cstdint>
#include <cstring>

namespace outeffhop {

// static: files are compiled for different processors, and an inline function of two would run anywhere.


static inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float float_of_bfloat16(uint16_t bits) { return float_of_bits(uint32_t(bits) << 16); }

static inline uint16_t bfloat16_of_float(float value) {
  const uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/** Without a branch, so that loops over it become vectors: the exponent is moved by a product, also that of subnormals. */
static inline float float_of_float16(uint16_t half) {
  const uint32_t magnitude = uint32_t(half & 0x7fffu) << 13;
  const uint32_t finite = bits_of_float(float_of_bits(magnitude) * 0x1p112f);
  const uint32_t bits = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : finite;
  return float_of_bits(bits | uint32_t(half & 0x8000u) << 16);
}

static inline uint16_t float16_of_float(float value) {
  const uint32_t bits = bits_of_float(value);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fff;
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);  // 65520 and up round to infinity
  if (magnitude < 0x38800000u) {                                  // below 2^-14: counted in steps of 2^-24
    const float steps = float_of_bits(magnitude) * 0x1p24f;
    const uint32_t whole = uint32_t(steps);
    const float rest = steps - float(whole);
    return uint16_t(sign | (whole + (rest > 0.5f || (rest == 0.5f && (whole & 1u)))));
  }
  return uint16_t(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
}

}  // namespace outeffhop
