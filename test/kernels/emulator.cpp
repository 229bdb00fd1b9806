#include "emulator.hpp"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulated {

void fail(const char* what) {
  std::printf("fault: %s\n", what);
  std::fflush(stdout);
  std::_Exit(3);
}

namespace {

struct Copy {
  uint32_t shared;
  const void* global;
  int bytes;
};

struct Thread {
  ucontext_t context;
  jmp_buf here;
  bool started = false;
  std::unique_ptr<char[]> stack;
  void* fake_stack = nullptr;
  unsigned id = 0;
  bool done = false;
  unsigned meetings = 0;
  std::vector<std::vector<Copy>> groups;  // the last one is not committed yet
};

struct Warp {
  Meeting rooms[2];  // slow lanes still read the one while fast ones are in the other
  unsigned held = 0;  // meetings that all 32 lanes came to
};

/** The last accesses to four bytes of shared memory, as warp + 1, since the barrier numbered `epoch`; and the lane that wrote. */
struct Word {
  unsigned epoch = 0;
  int writer = 0, reader = 0, other_reader = 0;
  unsigned writing_lane = 0, writing_meetings = 0;
};

constexpr unsigned kWarp = 32;
constexpr size_t kStackBytes = 256 << 10;

struct Machine {
  Schedule schedule;
  std::mt19937 random;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::unique_ptr<unsigned char[]> shared;
  std::vector<Word> words;
  size_t shared_bytes = 0;
  Thread* current = nullptr;
  ucontext_t scheduler;
  jmp_buf back;
  const void* scheduler_stack = nullptr;
  size_t scheduler_stack_bytes = 0;
  unsigned block = 0, arrived = 0, barriers = 0;
  uint64_t progress = 0;
  void (*body)(const void*) = nullptr;
  const void* argument = nullptr;
};

Machine& machine() {
  static Machine instance;
  return instance;
}

Warp& warp() { return machine().warps[machine().current->id / kWarp]; }

// Switching by setjmp leaves the signal mask alone, which saves two system calls; the address sanitizer knows only swapcontext.
#if defined(__SANITIZE_ADDRESS__)

void enter(Thread& thread) {
  Machine& m = machine();
  m.current = &thread;
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, thread.stack.get(), kStackBytes);
  swapcontext(&m.scheduler, &thread.context);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

/** Back to the scheduler; the thread goes on when it is chosen again. */
void pause() {
  Machine& m = machine();
  Thread& self = *m.current;
  __sanitizer_start_switch_fiber(self.done ? nullptr : &self.fake_stack, m.scheduler_stack, m.scheduler_stack_bytes);
  swapcontext(&self.context, &m.scheduler);
  __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
}

void arrive() {
  __sanitizer_finish_switch_fiber(nullptr, &machine().scheduler_stack, &machine().scheduler_stack_bytes);
}

#else

void enter(Thread& thread) {
  Machine& m = machine();
  m.current = &thread;
  if (_setjmp(m.back) != 0) return;
  if (thread.started) _longjmp(thread.here, 1);
  thread.started = true;
  setcontext(&thread.context);
}

/** Back to the scheduler; the thread goes on when it is chosen again. */
void pause() {
  if (_setjmp(machine().current->here) == 0) _longjmp(machine().back, 1);
}

void arrive() {}

#endif

void run_thread() {
  Machine& m = machine();
  arrive();
  m.body(m.argument);
  for (const auto& group : m.current->groups)
    if (!group.empty()) fail("a thread ends with copies under way");
  m.current->done = true;
  ++m.progress;
  pause();
}

/** One access of the current thread to shared memory: bounds, alignment, and races. */
void check(uint32_t at, unsigned bytes, bool writes) {
  Machine& m = machine();
  if (at % bytes != 0) fail("shared memory is accessed unaligned");
  if (size_t(at) + bytes > m.shared_bytes) fail("shared memory is accessed out of bounds");
  const int self = int(m.current->id / kWarp) + 1;
  const unsigned meetings = warp().held;
  for (uint32_t i = at / 4; i < (at + bytes + 3) / 4; ++i) {
    Word& word = m.words[i];
    if (word.epoch != m.barriers) word = {m.barriers, 0, 0, 0, 0, 0};
    const bool foreign_reader = (word.reader && word.reader != self) || (word.other_reader && word.other_reader != self);
    if ((word.writer && word.writer != self) || (writes && foreign_reader)) fail("two warps race for a word of shared memory");
    if (word.writer == self && word.writing_lane != lane() && word.writing_meetings == meetings)
      fail("two lanes race for a word of shared memory");
    if (writes) {
      word.writer = self;
      word.writing_lane = lane();
      word.writing_meetings = meetings;
    } else if (!word.reader) {
      word.reader = self;
    } else if (word.reader != self) {
      word.other_reader = self;
    }
  }
}

void land(const Copy& copy) {
  unsigned char* to = touch(copy.shared, 16, true);
  std::memset(to, 0, 16);
  if (copy.bytes) std::memcpy(to, copy.global, size_t(copy.bytes));
}

/** A copy that is under way may land at any time. */
void land_by_chance() {
  Machine& m = machine();
  if (m.schedule.landing != Landing::any) return;
  for (auto& group : m.current->groups)
    if (!group.empty() && m.random() % 8 == 0) {
      land(group.back());
      group.pop_back();
    }
}

void prepare(Thread& thread, unsigned id) {
  if (!thread.stack) thread.stack.reset(new char[kStackBytes]);
  thread.id = id;
  thread.started = thread.done = false;
  thread.meetings = 0;
  thread.groups.assign(1, {});
  getcontext(&thread.context);
  thread.context.uc_stack.ss_sp = thread.stack.get();
  thread.context.uc_stack.ss_size = kStackBytes;
  thread.context.uc_link = &machine().scheduler;
  makecontext(&thread.context, run_thread, 0);
}

/** Lets a warp run until none of its lanes can go on. */
size_t run_warp(unsigned index, std::vector<unsigned>& order) {
  Machine& m = machine();
  std::shuffle(order.begin(), order.end(), m.random);
  size_t finished = 0;
  for (uint64_t before = m.progress - 1; before != m.progress;) {
    before = m.progress;
    for (const unsigned lane : order) {
      Thread& thread = m.threads[index * kWarp + lane];
      if (thread.done) continue;
      enter(thread);
      finished += thread.done;
    }
  }
  return finished;
}

void run_block() {
  Machine& m = machine();
  std::memset(m.shared.get(), 0xff, m.shared_bytes);
  m.words.assign(m.shared_bytes / 4 + 1, {});
  m.arrived = 0;
  for (unsigned id = 0; id < m.threads.size(); ++id) prepare(m.threads[id], id);
  m.warps.assign(m.threads.size() / kWarp, {});
  std::vector<unsigned> warps(m.warps.size()), lanes(kWarp);
  for (unsigned i = 0; i < warps.size(); ++i) warps[i] = i;
  for (unsigned i = 0; i < kWarp; ++i) lanes[i] = i;
  for (size_t left = m.threads.size(); left > 0;) {
    const uint64_t before = m.progress;
    std::shuffle(warps.begin(), warps.end(), m.random);
    for (const unsigned index : warps) left -= run_warp(index, lanes);
    if (left > 0 && before == m.progress) fail("deadlock: threads wait where others never come");
  }
}

}  // namespace

unsigned lane() { return machine().current->id % kWarp; }
Index thread_index() { return {machine().current->id}; }
Index block_index() { return {machine().block}; }

Reads& reads() {
  static Reads instance;
  return instance;
}

void launch(const Schedule& schedule, unsigned blocks, unsigned threads, size_t shared_bytes, void (*body)(const void*),
            const void* argument) {
  Machine& m = machine();
  m.schedule = schedule;
  m.random.seed(schedule.seed);
  m.threads.resize(threads);
  m.shared.reset(new unsigned char[shared_bytes]);
  m.shared_bytes = shared_bytes;
  m.body = body;
  m.argument = argument;
  for (m.block = 0; m.block < blocks; ++m.block) run_block();
}

unsigned char* touch(uint32_t at, unsigned bytes, bool writes) {
  check(at, bytes, writes);
  return machine().shared.get() + at;
}

unsigned char* meet(int operation, const void* mine, size_t bytes, void (*together)(Meeting&)) {
  Machine& m = machine();
  land_by_chance();
  Warp& own = warp();
  Meeting& room = own.rooms[m.current->meetings++ % 2];
  if (room.arrived == 0) room.operation = operation;
  if (room.operation != operation) fail("the lanes of a warp are at different operations");
  std::memcpy(room.lanes[lane()], mine, bytes);
  if (++room.arrived == int(kWarp)) {
    together(room);
    room.arrived = 0;
    ++own.held;
    ++m.progress;
  } else {
    while (own.held != m.current->meetings) pause();
  }
  return room.lanes[lane()];
}

void block_barrier() {
  Machine& m = machine();
  const unsigned before = m.barriers;
  if (++m.arrived == m.threads.size()) {
    m.arrived = 0;
    ++m.barriers;
    ++m.progress;
  } else {
    while (m.barriers == before) pause();
  }
}

void copy_async(uint32_t shared, const void* global, int bytes) {
  Machine& m = machine();
  if (bytes < 0 || bytes > 16) fail("an asynchronous copy takes 0 to 16 bytes");
  if (reinterpret_cast<uintptr_t>(global) % 16 != 0) fail("an asynchronous copy reads unaligned memory");
  if (shared % 16 != 0 || size_t(shared) + 16 > m.shared_bytes) fail("an asynchronous copy misses shared memory");
  const bool chance = m.schedule.landing == Landing::any && m.random() % 2 == 0;
  if (m.schedule.landing == Landing::early || chance)
    land({shared, global, bytes});
  else
    m.current->groups.back().push_back({shared, global, bytes});
}

void copy_commit() { machine().current->groups.emplace_back(); }

void copy_wait(size_t pending) {
  auto& groups = machine().current->groups;
  while (groups.size() > pending + 1) {
    for (const Copy& copy : groups.front()) land(copy);
    groups.erase(groups.begin());
  }
}

}  // namespace emulated
