#include "affinity.h"

#include <sched.h>
#include <unistd.h>

void spk_places_init(spk_places *places) {
  for (int i = 0; i < SPK_MAX_CPUS / 64; i++) atomic_init(&places->taken[i], 0);
}

void spk_yield(void) { sched_yield(); }

#ifdef __linux__

/* Take a CPU.  Returns whether it was taken before. */
static int take(spk_places *places, int cpu) {
  const unsigned long long bit = 1ull << cpu % 64;
  return (atomic_fetch_or_explicit(&places->taken[cpu / 64], bit, memory_order_relaxed) & bit) != 0;
}

/* Linux wakes a thread on the CPU where it last ran, or near the thread that wakes it.  So a worker
 * may be queued on the very CPU whose thread waits for it.  On two CPUs, a product of 0.4 ms was
 * seen to take 8 ms, two time slices, until one of the threads was moved. */
void spk_take_place(spk_places *places) {
  cpu_set_t allowed, free;
  int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= SPK_MAX_CPUS || !take(places, cpu)) return;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  CPU_ZERO(&free);
  for (cpu = 0; cpu < SPK_MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
    const unsigned long long taken =
        atomic_load_explicit(&places->taken[cpu / 64], memory_order_relaxed);
    if (CPU_ISSET(cpu, &allowed) && !(taken >> cpu % 64 & 1)) CPU_SET(cpu, &free);
  }
  if (CPU_COUNT(&free) == 0 || sched_setaffinity(0, sizeof free, &free) != 0) return;
  cpu = sched_getcpu();
  if (cpu >= 0 && cpu < SPK_MAX_CPUS) take(places, cpu);
  sched_setaffinity(0, sizeof allowed, &allowed);
}

/* Find the CPUs of `wide`, or of the main thread.  Returns whether they are known. */
static int get_wide(const spk_cpus *wide, cpu_set_t *all) {
  if (!wide) return sched_getaffinity(getpid(), sizeof *all, all) == 0;
  CPU_ZERO(all);
  for (int cpu = 0; cpu < SPK_MAX_CPUS && cpu < CPU_SETSIZE; cpu++)
    if (wide->bits[cpu / 64] >> cpu % 64 & 1) CPU_SET(cpu, all);
  return 1;
}

int spk_current_cpu(void) { return sched_getcpu(); }

int spk_set_place(pthread_t worker, const spk_cpus *wide, int back, int off) {
  cpu_set_t before, set, all, own;
  if (pthread_getaffinity_np(worker, sizeof before, &before) != 0) return SPK_NO_CPU;
  set = before;
  if (get_wide(wide, &all)) CPU_OR(&set, &set, &all);
  /* The CPU comes back unless it was taken from the process meanwhile. */
  const int missing = back >= 0 && back < CPU_SETSIZE && !CPU_ISSET(back, &set);
  if (missing && sched_getaffinity(0, sizeof own, &own) == 0 && CPU_ISSET(back, &own))
    CPU_SET(back, &set);
  if (off >= 0 && off < CPU_SETSIZE && CPU_ISSET(off, &set) && CPU_COUNT(&set) > 1)
    CPU_CLR(off, &set);
  else
    off = missing && !CPU_ISSET(back, &set) ? back : SPK_NO_CPU;
  if (CPU_EQUAL(&set, &before)) return off;
  return pthread_setaffinity_np(worker, sizeof set, &set) == 0 ? off : SPK_NO_CPU;
}

#else

int spk_current_cpu(void) { return SPK_NO_CPU; }

int spk_set_place(pthread_t worker, const spk_cpus *wide, int back, int off) {
  (void)worker;
  (void)wide;
  (void)back;
  (void)off;
  return SPK_NO_CPU;
}

void spk_take_place(spk_places *places) { (void)places; }

#endif
