/* Threads of a region keep off each other's CPUs, and keep the affinity that they came with. */
#include "../../src/threads/affinity.h"

#include "testing.h"

#ifdef __linux__
#include <sched.h>

static cpu_set_t affinity(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
  return set;
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
}

/* On the CPU of another: moved to a free one.  The system may move threads at any time, so one of
 * many attempts will do. */
static void check_moves(const cpu_set_t *all, int cpu) {
  int moved = 0;
  test_case("on a CPU that is taken");
  for (int attempt = 0; attempt < 200 && !moved; attempt++) {
    spk_places places;
    spk_places_init(&places);
    pin(cpu);
    spk_take_place(&places); /* as the other thread would */
    CHECK(sched_setaffinity(0, sizeof *all, all) == 0);
    spk_take_place(&places);
    moved = sched_getcpu() != cpu;
    const cpu_set_t now = affinity();
    CHECK(CPU_EQUAL(&now, all), "the affinity is as it was");
  }
  CHECK(moved);
}

/* Where there is no other CPU, it stays. */
static void check_stays(int cpu) {
  spk_places places;
  test_case("without another CPU");
  pin(cpu);
  spk_places_init(&places);
  for (int i = 0; i < 3; i++) {
    spk_take_place(&places);
    const cpu_set_t now = affinity();
    CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(cpu, &now));
    CHECK(sched_getcpu() == cpu);
  }
}

/* A worker is kept off the CPU of a caller, and may use it again afterwards. */
static void check_kept_off(const cpu_set_t *all, int cpu) {
  const pthread_t self = pthread_self();
  spk_cpus wide = {{0}};
  int other = cpu + 1;
  while (!CPU_ISSET(other, all)) other++;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, all)) spk_cpus_add(&wide, i);
  test_case("kept off a CPU");
  CHECK(sched_setaffinity(0, sizeof *all, all) == 0);
  CHECK(spk_set_place(self, &wide, SPK_NO_CPU, cpu) == cpu);
  cpu_set_t now = affinity();
  CHECK(!CPU_ISSET(cpu, &now) && CPU_COUNT(&now) == CPU_COUNT(all) - 1);
  CHECK(sched_getcpu() != cpu);
  CHECK(spk_set_place(self, &wide, cpu, other) == other, "another one");
  now = affinity();
  CHECK(CPU_ISSET(cpu, &now) && !CPU_ISSET(other, &now));
  CHECK(spk_set_place(self, &wide, other, SPK_NO_CPU) == SPK_NO_CPU, "none any more");
  now = affinity();
  CHECK(CPU_EQUAL(&now, all));
  test_case("a CPU that was taken from the process meanwhile");
  pin(other);
  CHECK(spk_set_place(self, NULL, cpu, SPK_NO_CPU) == cpu);
  now = affinity();
  CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(other, &now));
  test_case("kept off the only CPU");
  pin(cpu);
  CHECK(spk_set_place(self, NULL, SPK_NO_CPU, cpu) == SPK_NO_CPU);
  now = affinity();
  CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(cpu, &now));
  test_case("kept off a CPU of those that the process may use");
  wide = (spk_cpus){{0}};
  spk_cpus_add(&wide, cpu);
  spk_cpus_add(&wide, other);
  CHECK(spk_set_place(self, &wide, SPK_NO_CPU, cpu) == cpu);
  now = affinity();
  CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(other, &now));
}

int main(void) {
  const cpu_set_t all = affinity();
  int cpu = 0;
  if (CPU_COUNT(&all) < 2) return TEST_SKIPPED;
  while (!CPU_ISSET(cpu, &all)) cpu++;
  check_moves(&all, cpu);
  check_stays(cpu);
  check_kept_off(&all, cpu);
  return test_result();
}
#else
int main(void) { return TEST_SKIPPED; }
#endif
