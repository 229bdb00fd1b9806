// Runs a kernel on the CPU: one fibre a thread, one block at a time, with what CUDA promises about order and nothing more.
//
// Between two meetings (a barrier, or an operation of a whole warp) the threads run in an order drawn from a seed: a warp runs until
// it has to wait, then another does. An asynchronous copy lands when its schedule says: at once, when it is waited for, or by chance
// in between. Shared memory starts as NaN. So a lost barrier, wait or shuffle shows as wrong numbers, and a barrier that some threads
// never reach as a deadlock. Every access to shared memory is checked for bounds and alignment. Accesses of two warps to the same word
// with no barrier in between, one of them writing, are a race; so is what one lane writes and another touches before they meet.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emulated {

enum class Landing { early, late, any };

struct Schedule {
  unsigned seed = 1;
  Landing landing = Landing::any;
};

struct Index {
  unsigned x = 0;
};

/** Where the lanes of a warp leave what an operation of the whole warp needs. */
struct Meeting {
  int arrived = 0;
  int operation = 0;
  alignas(16) unsigned char lanes[32][64];
};

/** Says what is wrong and ends the program with code 3. */
[[noreturn]] void fail(const char* what);

/** Runs `body` with `argument` in every thread of every block. */
void launch(const Schedule& schedule, unsigned blocks, unsigned threads, size_t shared_bytes, void (*body)(const void*),
            const void* argument);

Index thread_index();
Index block_index();
unsigned lane();

/** All lanes of the warp leave `bytes` of theirs; the last one to come runs `together` on what is there. Returns the own place. */
unsigned char* meet(int operation, const void* mine, size_t bytes, void (*together)(Meeting&));

/** All threads of the block come here before any goes on. */
void block_barrier();

/** The current thread reads or writes shared memory: checks bounds, alignment and races, and says where the bytes are. */
unsigned char* touch(uint32_t at, unsigned bytes, bool writes);

void copy_async(uint32_t shared, const void* global, int bytes);
void copy_commit();
/** Lands all committed groups of copies but the last `pending`. */
void copy_wait(size_t pending);

/** How many 8x8 matrices were read, and how many of their rows met another in a bank. */
struct Reads {
  uint64_t matrices = 0, bank_conflicts = 0;
};
Reads& reads();

}  // namespace emulated
