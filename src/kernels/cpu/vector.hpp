// Vectors as wide as the instruction set a file is compiled for. Everything is in a namespace of its own for each set, and
// nothing of the standard library is used: an inline function that two files share would run the wider instructions anywhere.
#pragma once
#include <stdint.h>

#define OUTEFFHOP_INLINE static inline __attribute__((always_inline))

namespace outeffhop::cpu::OUTEFFHOP_KERNEL {

/** Floats in a vector, and rows of a product that are summed in registers, two vectors each. */
#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 12;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRows = 6;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRows = 12;
#else
constexpr int kLanes = 4, kRows = 6;
#endif

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef float LooseFloats __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

OUTEFFHOP_INLINE Floats load(const float* data) { return *reinterpret_cast<const LooseFloats*>(data); }
OUTEFFHOP_INLINE void store(float* data, Floats values) { *reinterpret_cast<LooseFloats*>(data) = values; }
OUTEFFHOP_INLINE Floats all(float value) { return value - Floats{}; }
/** A number that is not one loses against any other. */
OUTEFFHOP_INLINE Floats larger(Floats a, Floats b) { return b > a ? b : a; }

OUTEFFHOP_INLINE float largest(Floats values) {
  float most = values[0];
  for (int i = 1; i < kLanes; ++i) most = values[i] > most ? values[i] : most;
  return most;
}

OUTEFFHOP_INLINE float total(Floats values) {
  float sum = values[0];
  for (int i = 1; i < kLanes; ++i) sum += values[i];
  return sum;
}

/**
 * e^x for x <= 0, within 2 units in the last place; exactly 0 where it would be subnormal, NaN for NaN.
 * x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7, whose rest is below 2^-27.
 */
OUTEFFHOP_INLINE Floats exponential(Floats x) {
  constexpr float kLowest = -87.3365f, kRound = 0x1.8p23f;
  const Floats kept = x < kLowest ? all(kLowest) : x;
  const Floats shifted = kept * 1.44269504f + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (kept - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
  Floats sum = all(1.f / 5040) * r + 1.f / 720;
  sum = sum * r + 1.f / 120;
  sum = sum * r + 1.f / 24;
  sum = sum * r + 1.f / 6;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.f;
  sum = sum * r + 1.f;
  // The last bits of `shifted` are n: moved into the exponent they multiply by 2^n.
  const Floats power = (Floats)(((Ints)shifted << 23) + 0x3f800000);
  return x < kLowest ? Floats{} : sum * power;
}

}  // namespace outeffhop::cpu::OUTEFFHOP_KERNEL
