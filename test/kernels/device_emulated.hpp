// The device functions of the kernels for the emulator: what the PTX of device_cuda.hpp does, in C++.
#pragma once
#include <cmath>
#include <cstring>

#include "emulator.hpp"
#include "half.hpp"

#define OUTEFFHOP_DEVICE inline
#define OUTEFFHOP_KERNEL(threads, blocks) inline void
#define threadIdx (emulated::thread_index())
#define blockIdx (emulated::block_index())

struct uint4 {
  uint32_t x, y, z, w;
};

inline void __syncthreads() { emulated::block_barrier(); }

inline void __syncwarp() {
  emulated::meet(1, "", 0, [](emulated::Meeting&) {});
}

template <class T>
T __shfl_sync(unsigned, T value, int source) {
  struct Ask {
    T value;
    int source;
  } ask{value, source};
  const unsigned char* got = emulated::meet(2, &ask, sizeof ask, [](emulated::Meeting& room) {
    T given[32];
    for (int i = 0; i < 32; ++i) std::memcpy(&given[i], room.lanes[i], sizeof(T));
    for (int i = 0; i < 32; ++i) {
      Ask want;
      std::memcpy(&want, room.lanes[i], sizeof want);
      std::memcpy(room.lanes[i], &given[want.source & 31], sizeof(T));
    }
  });
  std::memcpy(&value, got, sizeof value);
  return value;
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance) {
  return __shfl_sync(mask, value, int(emulated::lane()) ^ distance);
}

inline bool __any_sync(unsigned, bool holds) {
  return *emulated::meet(3, &holds, 1, [](emulated::Meeting& room) {
    unsigned char any = 0;
    for (int i = 0; i < 32; ++i) any |= room.lanes[i][0];
    for (int i = 0; i < 32; ++i) room.lanes[i][0] = any;
  }) != 0;
}

namespace outeffhop::device {

struct Float16 {
  static constexpr auto decode = float_of_float16;
  static constexpr auto encode = float16_of_float;
};
struct BFloat16 {
  static constexpr auto decode = float_of_bfloat16;
  static constexpr auto encode = bfloat16_of_float;
};

inline int opaque(int value) { return value; }
inline int64_t opaque(int64_t value) { return value; }

using Address = uint32_t;

inline Address shared_memory() { return 0; }

template <class T>
void store_shared(Address at, T value) {
  std::memcpy(emulated::touch(at, sizeof value, true), &value, sizeof value);
}

inline void load_shared(uint4& value, Address at) {
  std::memcpy(&value, emulated::touch(at, 16, false), 16);
}

inline float load_shared(Address at) {
  float value;
  std::memcpy(&value, emulated::touch(at, 4, false), 4);
  return value;
}

inline void copy_async(Address shared, const void* global, int bytes) {
  // Reads the ends here, where a sanitizer names the line of the kernel.
  const volatile char* ends = static_cast<const volatile char*>(global);
  if (bytes) (void)*ends, (void)*(ends + bytes - 1);
  emulated::copy_async(shared, global, bytes);
}

inline void copy_commit() { emulated::copy_commit(); }

template <int kPending>
void copy_wait() {
  emulated::copy_wait(kPending);
}

/** Reads four 8x8 matrices by the row addresses of all lanes; counts rows of one matrix that share a bank group. */
inline void load_four(emulated::Meeting& room, bool transposed) {
  uint16_t elements[4][8][8];
  for (int matrix = 0; matrix < 4; ++matrix) {
    unsigned groups = 0;
    for (int row = 0; row < 8; ++row) {
      Address at;
      std::memcpy(&at, room.lanes[8 * matrix + row], sizeof at);
      std::memcpy(elements[matrix][row], emulated::touch(at, 16, false), 16);
      emulated::reads().bank_conflicts += groups >> (at / 16 % 8) & 1u;
      groups |= 1u << (at / 16 % 8);
    }
  }
  emulated::reads().matrices += 4;
  for (int lane = 0; lane < 32; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix)
      for (int e = 0; e < 2; ++e) {
        const int row = lane / 4, column = 2 * (lane % 4) + e;
        const uint16_t element = transposed ? elements[matrix][column][row] : elements[matrix][row][column];
        std::memcpy(room.lanes[lane] + 4 * matrix + 2 * e, &element, 2);
      }
}

inline void load_matrices(uint32_t (&r)[4], Address row) {
  std::memcpy(r, emulated::meet(4, &row, sizeof row, [](emulated::Meeting& room) { load_four(room, false); }), 16);
}

inline void load_matrices_transposed(uint32_t (&r)[4], Address row) {
  std::memcpy(r, emulated::meet(5, &row, sizeof row, [](emulated::Meeting& room) { load_four(room, true); }), 16);
}

/** What a lane brings to a product: its parts of c (16x8), a (16x16) and b (16x8). */
struct Product {
  float c[4];
  uint32_t a[4];
  uint32_t b[2];
};

template <class T>
void multiply_all(emulated::Meeting& room) {
  static_assert(sizeof(Product) <= sizeof room.lanes[0], "the parts of a lane fit its place");
  float a[16][16], b[16][8];
  const auto half = [](const uint32_t* pairs, int i) { return T::decode(uint16_t(pairs[i / 2] >> (16 * (i % 2)))); };
  for (int lane = 0; lane < 32; ++lane) {
    Product part;
    std::memcpy(&part, room.lanes[lane], sizeof part);
    const int group = lane / 4, pair = 2 * (lane % 4);
    for (int i = 0; i < 8; ++i) a[group + 8 * (i / 2 % 2)][pair + i % 2 + 8 * (i / 4)] = half(part.a, i);
    for (int i = 0; i < 4; ++i) b[pair + i % 2 + 8 * (i / 2)][group] = half(part.b, i);
  }
  for (int lane = 0; lane < 32; ++lane) {
    float c[4];
    std::memcpy(c, room.lanes[lane], sizeof c);
    for (int i = 0; i < 4; ++i)
      for (int k = 0; k < 16; ++k) c[i] += a[lane / 4 + 8 * (i / 2)][k] * b[k][2 * (lane % 4) + i % 2];
    std::memcpy(room.lanes[lane], c, sizeof c);
  }
}

template <class T>
void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  Product part;
  std::memcpy(part.c, c, sizeof c);
  std::memcpy(part.a, a, sizeof a);
  part.b[0] = b0;
  part.b[1] = b1;
  std::memcpy(c, emulated::meet(6, &part, sizeof part, multiply_all<T>), sizeof c);
}

template <class T>
uint32_t pack(float low, float high) {
  return T::encode(low) | uint32_t(T::encode(high)) << 16;
}

template <class T>
float unpack(uint16_t bits) {
  return T::decode(bits);
}

inline float exp2_approximate(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.f : y;
}

}  // namespace outeffhop::device
