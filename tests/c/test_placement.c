/* Threads of a region keep off each other's CPUs, and keep the affinity that they came with. */
#include "../../src/driver/placement.h"

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

int main(void) {
  const cpu_set_t all = affinity();
  int cpu = 0;
  if (CPU_COUNT(&all) < 2) return TEST_SKIPPED;
  while (!CPU_ISSET(cpu, &all)) cpu++;
  check_moves(&all, cpu);
  check_stays(cpu);
  return test_result();
}
#else
int main(void) { return TEST_SKIPPED; }
#endif
