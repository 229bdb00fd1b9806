// The instructions the kernels are written in, as PTX for compute capability 8.0 and newer.
// The tests give the same functions another body, so that the same kernel text runs on a CPU.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#define OUTEFFHOP_DEVICE __device__ __forceinline__
#define OUTEFFHOP_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)

namespace outeffhop::device {

/** Element types, told apart by name only: in memory both are 16 bits. */
struct Float16 {};
struct BFloat16 {};

/** The same number, of which the compiler knows nothing: what follows from it is computed where it stands, not kept in registers. */
OUTEFFHOP_DEVICE int opaque(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

OUTEFFHOP_DEVICE int64_t opaque(int64_t value) {
  asm volatile("" : "+l"(value));
  return value;
}

/** An address in the shared memory of the block; what a launch asked for starts at `shared_memory()`. */
using Address = uint32_t;

OUTEFFHOP_DEVICE Address shared_memory() {
  extern __shared__ __align__(128) unsigned char memory[];
  return Address(__cvta_generic_to_shared(memory));
}

OUTEFFHOP_DEVICE void store_shared(Address at, uint32_t value) {
  asm volatile("st.shared.u32 [%0], %1;\n" ::"r"(at), "r"(value) : "memory");
}

OUTEFFHOP_DEVICE void store_shared(Address at, uint4 value) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};\n" ::"r"(at), "r"(value.x), "r"(value.y), "r"(value.z), "r"(value.w)
               : "memory");
}

OUTEFFHOP_DEVICE void load_shared(uint4& value, Address at) {
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"(at)
               : "memory");
}

OUTEFFHOP_DEVICE void store_shared(Address at, float value) { store_shared(at, __float_as_uint(value)); }

OUTEFFHOP_DEVICE float load_shared(Address at) {
  float value;
  asm volatile("ld.shared.f32 %0, [%1];\n" : "=f"(value) : "r"(at) : "memory");
  return value;
}

/** Starts a copy of `bytes` (0 to 16) bytes to 16 bytes of shared memory; the rest becomes zero. */
OUTEFFHOP_DEVICE void copy_async(Address shared, const void* global, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}

OUTEFFHOP_DEVICE void copy_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

/** Waits until at most `kPending` of this thread's groups of copies are under way. */
template <int kPending>
OUTEFFHOP_DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

/** Four 8x8 matrices of 16-bit elements; lane 8 i + r gives the address of row r of matrix i. */
OUTEFFHOP_DEVICE void load_matrices(uint32_t (&r)[4], Address row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}

OUTEFFHOP_DEVICE void load_matrices_transposed(uint32_t (&r)[4], Address row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}

/** c += a b for 16x16 by 16x8, in float32. */
template <class T>
OUTEFFHOP_DEVICE void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

template <>
OUTEFFHOP_DEVICE void multiply_add<Float16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};\n"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <>
OUTEFFHOP_DEVICE void multiply_add<BFloat16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};\n"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** Two floats rounded to even, `low` in the low half. */
template <class T>
OUTEFFHOP_DEVICE uint32_t pack(float low, float high);

template <>
OUTEFFHOP_DEVICE uint32_t pack<Float16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;\n" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

template <>
OUTEFFHOP_DEVICE uint32_t pack<BFloat16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

template <class T>
OUTEFFHOP_DEVICE float unpack(uint16_t bits);

template <>
OUTEFFHOP_DEVICE float unpack<Float16>(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;\n" : "=f"(value) : "h"(bits));
  return value;
}

template <>
OUTEFFHOP_DEVICE float unpack<BFloat16>(uint16_t bits) {
  return __uint_as_float(uint32_t(bits) << 16);
}

/** 2^x by the special function unit: two units in the last place, subnormal results become 0. */
OUTEFFHOP_DEVICE float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace outeffhop::device
