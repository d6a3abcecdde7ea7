#include "results.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/common.h"

/* What one entry of a page table of a higher level maps, on x86-64, and on aarch64 with pages of
 * 4 KiB.  Where huge pages have another size, this is an alignment like others. */
#define HUGE_PAGE ((size_t)1 << 21)
/* The most blocks that are kept. */
#define SLOTS 8
/* A kept block serves a result that leaves at most this part of it unused. */
#define SPARE 4

/* It lies in the page before the block, which the system may not take. */
typedef struct header {
  size_t bytes; /* of the block, whole huge pages */
} header;

/* There is no lock, so that a child of a fork finds none that a thread of its parent held.  Who
 * looks at a block takes it out of its slot. */
static _Atomic(void *) slots[SLOTS];
static atomic_size_t turn; /* the number of blocks that were given a slot */
static atomic_size_t kept; /* the bytes of all blocks in slots */
static atomic_size_t limit = SPK_KEPT_RESULTS;
static atomic_int small_pages;

static size_t page_bytes(void) {
  const long bytes = sysconf(_SC_PAGESIZE);
  return bytes > 0 ? (size_t)bytes : 4096;
}

static header *header_of(const void *result) {
  return (header *)(void *)((char *)(uintptr_t)result - page_bytes());
}

static size_t capacity_of(const void *result) { return header_of(result)->bytes; }

static void unmap(void *result) { munmap(header_of(result), page_bytes() + capacity_of(result)); }

static void *map(size_t bytes) {
  const size_t page = page_bytes(), all = bytes + HUGE_PAGE;
  char *begin = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) return NULL;
  /* At least a page lies before the block.  The other pages around it are unmapped. */
  char *result = begin + (HUGE_PAGE - (uintptr_t)begin % HUGE_PAGE), *end = result + bytes;
  if (result - page > begin) munmap(begin, (size_t)(result - page - begin));
  if (end < begin + all) munmap(end, (size_t)(begin + all - end));
  if (!atomic_load_explicit(&small_pages, memory_order_relaxed))
    madvise(result, bytes, MADV_HUGEPAGE);
  header_of(result)->bytes = bytes;
  return result;
}

/* Take the block out of a slot, if there is one. */
static void *empty(size_t slot) {
  void *result = atomic_exchange(&slots[slot], NULL);
  if (result) atomic_fetch_sub(&kept, capacity_of(result));
  return result;
}

/* Put a block into a slot, and unmap what the slot held. */
static void fill(size_t slot, void *result) {
  atomic_fetch_add(&kept, capacity_of(result));
  void *other = atomic_exchange(&slots[slot], result);
  if (!other) return;
  atomic_fetch_sub(&kept, capacity_of(other));
  unmap(other);
}

void *spk_results_take(size_t bytes) {
  if (bytes > PTRDIFF_MAX - 2 * HUGE_PAGE) return NULL;
  bytes = (spk_max(1, (ptrdiff_t)bytes) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  const size_t last = atomic_load_explicit(&turn, memory_order_relaxed);
  for (size_t i = 1; i <= SLOTS; i++) {
    const size_t slot = (last - i) % SLOTS;
    void *result = empty(slot);
    if (!result) continue;
    const size_t capacity = capacity_of(result);
    if (capacity >= bytes && capacity - bytes <= capacity / SPARE) return result;
    fill(slot, result);
  }
  void *result = map(bytes);
  /* What is kept must not be why there is no memory. */
  return result || spk_results_release() == 0 ? result : map(bytes);
}

void spk_results_give(void *result) {
  if (!result) return;
  const size_t bytes = capacity_of(result), most = atomic_load(&limit);
  /* The system must be able to take what is kept, which it cannot if memory is locked. */
  if (bytes > most || madvise(result, bytes, MADV_FREE) != 0) {
    unmap(result);
    return;
  }
  const size_t slot = atomic_fetch_add(&turn, 1);
  fill(slot % SLOTS, result);
  /* The oldest ones go first. */
  for (size_t i = 1; i < SLOTS && atomic_load(&kept) > most; i++) {
    void *old = empty((slot + i) % SLOTS);
    if (old) unmap(old);
  }
}

void *spk_results_resize(void *result, size_t bytes) {
  void *resized = spk_results_take(bytes);
  if (!resized) return NULL;
  if (result) {
    const size_t before = capacity_of(result);
    memcpy(resized, result, bytes < before ? bytes : before);
  }
  spk_results_give(result);
  return resized;
}

void spk_results_set_limit(size_t bytes) {
  atomic_store(&limit, bytes);
  if (atomic_load(&kept) > bytes) spk_results_release();
}

void spk_results_set_huge_pages(int wanted) { atomic_store(&small_pages, !wanted); }

size_t spk_results_kept(void) { return atomic_load(&kept); }

size_t spk_results_release(void) {
  size_t released = 0;
  for (size_t slot = 0; slot < SLOTS; slot++) {
    void *result = empty(slot);
    if (!result) continue;
    released += capacity_of(result);
    unmap(result);
  }
  return released;
}
