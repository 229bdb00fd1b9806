// Sixteen-bit floating point on the host: bits to float, and float to bits rounded half to even.
#pragma once
#include <cstdint>
#include <cstring>

namespace outeffhop {

inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_of_bfloat16(uint16_t bits) { return float_of_bits(uint32_t(bits) << 16); }

inline uint16_t bfloat16_of_float(float value) {
  const uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float float_of_float16(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 31u;
  const uint32_t fraction = half & 1023u;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0) return float_of_bits(sign | ((exponent + 112u) << 23) | (fraction << 13));
  const float subnormal = float(fraction) * 0x1p-24f;
  return sign ? -subnormal : subnormal;
}

inline uint16_t float16_of_float(float value) {
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
