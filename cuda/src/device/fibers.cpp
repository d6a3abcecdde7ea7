/* The threads of a block as fibers: see emulated.h. */
#include "device.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)0)
#endif

namespace spk {
namespace emulated {
namespace {

constexpr size_t STACK = 256 * 1024;
constexpr size_t MAX_SHARED = 227 * 1024; /* of a block, for compute capability 9.0 */

[[noreturn]] void fail(const char *what, const char *more = "") {
  fprintf(stderr, "emulated GPU: %s %s (block %lld, thread %d)\n", what, more, (long long)block(),
          thread());
  abort();
}

/* A stack that can be left and entered again. */
#if defined(__x86_64__)
/* Registers that the ABI has a callee keep are pushed on the stack.  This takes a tenth of the time
 * of swapcontext, which makes a system call for signals. */
extern "C" void spk_switch_stack(void **from, void *to);
__asm__(
    ".text\n.globl spk_switch_stack\n.hidden spk_switch_stack\n.type spk_switch_stack,@function\n"
    "spk_switch_stack:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".size spk_switch_stack, .-spk_switch_stack\n");
struct Context {
  void *top;
  void start(char *stack, void (*entry)()) {
    /* Six registers, the entry, and a return address that is never used, because entry never
     * returns. */
    void **slots = reinterpret_cast<void **>(stack + STACK) - 8;
    memset(slots, 0, 8 * sizeof *slots);
    slots[6] = reinterpret_cast<void *>(entry);
    top = slots;
  }
  void leave_for(Context &to) { spk_switch_stack(&top, to.top); }
};
#else
struct Context {
  ucontext_t state;
  void start(char *stack, void (*entry)()) {
    getcontext(&state);
    state.uc_stack.ss_sp = stack;
    state.uc_stack.ss_size = STACK;
    state.uc_link = nullptr;
    makecontext(&state, entry, 0);
  }
  void leave_for(Context &to) { swapcontext(&state, &to.state); }
};
#endif

struct Copy {
  void *s;
  const void *g;
  int size, bytes;
};

struct Fiber {
  Context context;
  std::unique_ptr<char[]> stack{new char[STACK]};
  int thread = 0;
  std::deque<std::vector<Copy>> groups; /* the last group is open */
};

/* Where the lanes of a warp meet.  There are two buffers, because a lane may be at the next word
 * while others still read what was passed at the last. */
struct Warp {
  alignas(16) char handed_in[2][32 * stride];
  const char *kind = "";
  unsigned meetings = 0;
  std::vector<int> waiting;
};

struct Grid {
  std::mutex mutex; /* held by one launch at a time */
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<int> at_barrier;
  std::deque<int> runnable;
  std::unique_ptr<char, decltype(&free)> shared{nullptr, &free};
  size_t shared_bytes = 0;
  Context scheduler;
  std::mt19937_64 random;
  bool reverse = false, shuffled = false;
  const std::function<void()> *kernel = nullptr;
  int64_t block = 0, blocks = 0;
  int current = 0, threads = 0, done = 0;
} grid;

void fill_nan(void *p, size_t bytes) { memset(p, 0xff, bytes); }

int next_runnable() {
  size_t at = grid.reverse ? grid.runnable.size() - 1 : 0;
  if (grid.shuffled) at = grid.random() % grid.runnable.size();
  const int next = grid.runnable[at];
  grid.runnable.erase(grid.runnable.begin() + (ptrdiff_t)at);
  return next;
}

/* Let other threads run until this thread is made runnable again. */
void wait() {
  Fiber &mine = grid.fibers[(size_t)grid.current];
  if (grid.runnable.empty()) fail("deadlock: threads wait at", grid.warps[(size_t)warp()].kind);
  grid.current = next_runnable();
  Fiber &next = grid.fibers[(size_t)grid.current];
  if (&next != &mine) mine.context.leave_for(next.context);
}

void wake(std::vector<int> &waiting) {
  grid.runnable.insert(grid.runnable.end(), waiting.begin(), waiting.end());
  waiting.clear();
}

void run_thread() {
  (*grid.kernel)();
  Fiber &mine = grid.fibers[(size_t)grid.current];
  for (const auto &group : mine.groups) {
    if (!group.empty()) fail("a thread ended before its copies were waited for");
  }
  grid.done++;
  if (grid.done < grid.threads) {
    if (grid.runnable.empty()) fail("deadlock: threads wait for others, which have ended");
    grid.current = next_runnable();
    mine.context.leave_for(grid.fibers[(size_t)grid.current].context);
  }
  mine.context.leave_for(grid.scheduler);
  fail("a thread went on after its end");
}

void choose_order() {
  const char *order = getenv("SPK_EMULATED_ORDER");
  grid.reverse = order && strcmp(order, "reverse") == 0;
  grid.shuffled = order && *order >= '0' && *order <= '9';
  if (grid.shuffled) grid.random.seed(strtoull(order, nullptr, 10));
}

} // namespace

void run(int64_t blocks, int threads, size_t shared, const std::function<void()> &kernel) {
  const std::lock_guard<std::mutex> one(grid.mutex);
  if (threads < 32 || threads > 1024 || threads % 32) fail("a block has whole warps, up to 32");
  if (shared > MAX_SHARED) fail("a block asks for more shared memory than there is");
  if (blocks < 1 || blocks > 0x7fffffff) fail("a grid has 1 to 2**31 - 1 blocks");
  choose_order();
  grid.kernel = &kernel;
  grid.blocks = blocks;
  grid.threads = threads;
  if (grid.fibers.size() < (size_t)threads) grid.fibers.resize((size_t)threads);
  grid.warps.assign((size_t)threads / 32, Warp());
  grid.shared_bytes = shared;
  /* The memory has exactly this size, so that sanitizers see accesses beyond it. */
  void *memory = nullptr;
  if (posix_memalign(&memory, 128, shared ? shared : 1)) fail("out of memory");
  grid.shared.reset(static_cast<char *>(memory));
  std::vector<int64_t> order((size_t)blocks);
  std::iota(order.begin(), order.end(), 0);
  if (grid.reverse) std::reverse(order.begin(), order.end());
  if (grid.shuffled) std::shuffle(order.begin(), order.end(), grid.random);
  for (const int64_t block : order) {
    grid.block = block;
    grid.done = 0;
    fill_nan(grid.shared.get(), shared);
    grid.runnable.clear();
    for (int i = 0; i < threads; i++) {
      Fiber &fiber = grid.fibers[(size_t)i];
      fiber.thread = i;
      fiber.groups.assign(1, {});
      /* The thread that used this stack before never returned from its first function. */
      ASAN_UNPOISON_MEMORY_REGION(fiber.stack.get(), STACK);
      fiber.context.start(fiber.stack.get(), run_thread);
      grid.runnable.push_back(i);
    }
    grid.current = next_runnable();
    grid.scheduler.leave_for(grid.fibers[(size_t)grid.current].context);
    if (!grid.at_barrier.empty()) fail("threads wait at a barrier that others never reached");
  }
}

int thread() { return grid.fibers.empty() ? -1 : grid.fibers[(size_t)grid.current].thread; }
int64_t block() { return grid.block; }
int64_t blocks() { return grid.blocks; }
char *block_memory() { return grid.shared.get(); }

void sync_block() {
  if ((int)grid.at_barrier.size() + 1 < grid.threads) {
    grid.at_barrier.push_back(grid.current);
    wait();
  } else {
    wake(grid.at_barrier);
  }
}

const char *exchange(const char *kind, const void *mine, size_t bytes) {
  Warp &warp = grid.warps[(size_t)spk::warp()];
  if (bytes > stride) fail("too much is handed in at", kind);
  if (warp.waiting.empty()) {
    warp.kind = kind;
  } else if (strcmp(warp.kind, kind)) {
    fail("lanes of a warp meet at different words:", kind);
  }
  char *all = warp.handed_in[warp.meetings & 1u];
  if (bytes) memcpy(all + stride * (size_t)lane(), mine, bytes);
  if (warp.waiting.size() + 1 < 32) {
    warp.waiting.push_back(grid.current);
    wait();
  } else {
    warp.meetings++;
    wake(warp.waiting);
  }
  return all;
}

void copy_async(void *s, const void *g, int size, int bytes) {
  check_shared(s, (size_t)size, "copy_async");
  check_global(g, (size_t)size, "copy_async");
  if (bytes < 0 || bytes > size) fail("copy_async: a size out of range");
  fill_nan(s, (size_t)size);
  grid.fibers[(size_t)grid.current].groups.back().push_back({s, g, size, bytes});
}

void copy_commit() { grid.fibers[(size_t)grid.current].groups.emplace_back(); }

void copy_wait(int groups) {
  auto &mine = grid.fibers[(size_t)grid.current].groups;
  while ((int)mine.size() - 1 > groups) {
    for (const Copy &copy : mine.front()) {
      memset(copy.s, 0, (size_t)copy.size);
      memcpy(copy.s, copy.g, (size_t)copy.bytes);
    }
    mine.pop_front();
  }
}

void check_aligned(const void *p, size_t bytes, const char *word) {
  if (reinterpret_cast<uintptr_t>(p) % bytes) fail("an address is not aligned:", word);
}

static bool is_shared(const void *p) {
  const char *at = static_cast<const char *>(p);
  return at >= grid.shared.get() && at < grid.shared.get() + grid.shared_bytes;
}

void check_global(const void *p, size_t bytes, const char *word) {
  check_aligned(p, bytes, word);
  if (is_shared(p)) fail("an address is not of global memory:", word);
}

void check_shared(const void *p, size_t bytes, const char *word) {
  check_aligned(p, bytes, word);
  if (!is_shared(p) || !is_shared(static_cast<const char *>(p) + bytes - 1))
    fail("an address is not of shared memory:", word);
}

} // namespace emulated
} // namespace spk
