#include "../../../src/threads/partition.h"
#include "../../../src/threads/deal.h"

#include <stdlib.h>
#include <string.h>

#include "plan.h"

static void check_tiles(void) {
  for (ptrdiff_t lanes = 2; lanes <= SPK_MAX_LANES; lanes *= 2)
    for (ptrdiff_t most = 1; most <= SPK_MAX_VECTORS; most++)
      for (ptrdiff_t n = 1; n < 20 * SPK_MAX_LANES; n++) {
        test_case("tiles of %td columns, %td lanes, at most %td vectors", n, lanes, most);
        const ptrdiff_t tile = spk_tile_of(n, lanes, most), tiles = spk_ceil_div(n, tile);
        const ptrdiff_t vectors = spk_ceil_div(n, lanes);
        CHECK(tile % lanes == 0 && tile >= lanes && tile <= most * lanes, "%td wide", tile);
        CHECK(tiles == spk_ceil_div(vectors, most), "%td tiles", tiles);
        /* Of nearly the same width: none has a vector more than it must. */
        CHECK(tiles * (tile / lanes - 1) < vectors, "%td tiles of %td", tiles, tile);
      }
}

static void check_even(void) {
  for (ptrdiff_t count = 0; count < 50; count++)
    for (ptrdiff_t parts = 1; parts < 60; parts++) {
      test_case("%td items in %td even parts", count, parts);
      CHECK(spk_partition_even(count, 0, parts) == 0);
      CHECK(spk_partition_even(count, parts, parts) == count);
      for (ptrdiff_t part = 0; part < parts; part++) {
        const ptrdiff_t items =
            spk_partition_even(count, part + 1, parts) - spk_partition_even(count, part, parts);
        CHECK(items == count / parts || items == spk_ceil_div(count, parts), "part %td has %td",
              part, items);
      }
    }
  CHECK(spk_partition_even(PTRDIFF_MAX, 3, 3) == PTRDIFF_MAX);
}

/* No part has more than its share and one item. */
static void check_balanced(void) {
  enum { MAX_ITEMS = 40 };
  ptrdiff_t before[MAX_ITEMS + 1] = {0};
  for (ptrdiff_t count = 0; count <= MAX_ITEMS; count++)
    for (ptrdiff_t parts = 1; parts < 50; parts += 1 + parts / 4) {
      test_case("%td items of any weight in %td parts", count, parts);
      ptrdiff_t heaviest = 0;
      for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t weight = random_below(4) ? random_below(20) : 100 * random_below(3);
        before[i + 1] = before[i] + weight;
        heaviest = spk_max(heaviest, weight);
      }
      CHECK(spk_partition_balanced(before, count, 0, parts) == 0);
      CHECK(spk_partition_balanced(before, count, parts, parts) == count);
      for (ptrdiff_t part = 0; part < parts; part++) {
        const ptrdiff_t first = spk_partition_balanced(before, count, part, parts);
        const ptrdiff_t end = spk_partition_balanced(before, count, part + 1, parts);
        CHECK(first <= end, "part %td ends before it begins", part);
        if (first > end) continue;
        const double share = (double)before[count] / (double)parts;
        CHECK((double)(before[end] - before[first]) <= share + (double)heaviest, "part %td", part);
      }
    }
}

/* Small differences of weight move no item. */
static void check_nearly_equal(void) {
  enum { MAX_ITEMS = 64 };
  ptrdiff_t before[MAX_ITEMS + 1] = {0};
  for (ptrdiff_t parts = 1; parts <= 16; parts++)
    for (ptrdiff_t each = 1; parts * each <= MAX_ITEMS; each++) {
      test_case("%td parts of %td items of nearly equal weight", parts, each);
      const ptrdiff_t count = parts * each;
      for (ptrdiff_t i = 0; i < count; i++) before[i + 1] = before[i] + 10000 + random_below(50);
      for (ptrdiff_t part = 0; part <= parts; part++)
        CHECK(spk_partition_balanced(before, count, part, parts) == part * each, "part %td", part);
    }
}

static double time_of(ptrdiff_t parts, ptrdiff_t row_panels, double packing, ptrdiff_t tiles,
                      ptrdiff_t threads) {
  return (double)spk_ceil_div(tiles * parts, threads) *
         ((double)spk_ceil_div(row_panels, parts) + packing);
}

/* As many parts as take about the least time. */
static void check_chosen(void) {
  for (ptrdiff_t row_panels = 1; row_panels < 100; row_panels += 1 + row_panels / 3)
    for (ptrdiff_t tiles = 1; tiles < 20; tiles += 1 + tiles / 2)
      for (ptrdiff_t least = 1; least <= row_panels; least += 1 + 2 * least)
        for (int packing = 0; packing < 20; packing += 5) {
          test_case("%td row panels, %td tiles, at least %td parts", row_panels, tiles, least);
          const ptrdiff_t alone = spk_choose_partition(row_panels, 1, packing, tiles, 1, least);
          CHECK(alone == least, "%td parts for one thread", alone);
          for (ptrdiff_t threads = 2; threads < 40; threads *= 3) {
            const ptrdiff_t most = spk_max(least, SPK_TASKS_PER_THREAD * threads);
            const ptrdiff_t chosen =
                spk_choose_partition(row_panels, 1, packing, tiles, threads, least);
            CHECK(chosen >= least && chosen <= spk_min(most, row_panels), "%td parts", chosen);
            const double time = time_of(chosen, row_panels, packing, tiles, threads);
            for (ptrdiff_t parts = least; parts <= spk_min(most, row_panels); parts++)
              CHECK(time <= SPK_ABOUT * time_of(parts, row_panels, packing, tiles, threads),
                    "%td parts take longer than %td", chosen, parts);
          }
        }
}

/* Each task is dealt once, whoever asks when; who is alone begins with its own range and then helps
 * its neighbours. */
static void check_dealt(void) {
  enum { MAX_RANGES = 130, MAX_TASKS = 400 };
  static spk_seat seats[MAX_RANGES];
  static int visited[MAX_RANGES], dealt[MAX_TASKS];
  for (int ranges = 1; ranges <= MAX_RANGES; ranges += 1 + ranges / 2)
    for (ptrdiff_t tasks = 0; tasks < MAX_TASKS; tasks += 1 + tasks / 2)
      for (int alone = 0; alone < 2; alone++) {
        test_case("%td tasks, %d ranges, %s", tasks, ranges, alone ? "one worker" : "all workers");
        memset(seats, 0, sizeof seats);
        memset(visited, 0, sizeof visited);
        memset(dealt, 0, sizeof dealt);
        CHECK(spk_deal_begin(tasks, ranges, 0) == 0);
        CHECK(spk_deal_begin(tasks, ranges, ranges) == tasks);
        const int last = ranges - 1;
        ptrdiff_t left = tasks, expected = spk_deal_begin(tasks, ranges, last);
        for (int idle = 0; idle < (alone ? 1 : ranges);) {
          const int worker = alone ? last : (int)random_below(ranges);
          if (visited[worker] == ranges) continue;
          const ptrdiff_t task = spk_deal(seats, 1, tasks, ranges, worker, &visited[worker]);
          CHECK(task >= -1 && task < tasks, "task %td", task);
          if (task < 0 || task >= tasks) {
            CHECK(visited[worker] == ranges);
            visited[worker] = ranges;
            idle++;
            continue;
          }
          if (alone) {
            CHECK(task == expected, "task %td before %td", task, expected);
            expected = task + 1 == tasks ? 0 : task + 1;
          }
          dealt[task]++;
          left--;
        }
        CHECK(left == 0, "%td tasks are left", left);
        for (ptrdiff_t task = 0; task < tasks; task++)
          CHECK(dealt[task] == 1, "task %td is dealt %d times", task, dealt[task]);
      }
}

void check_partition(void) {
  check_dealt();
  check_tiles();
  check_even();
  check_balanced();
  check_nearly_equal();
  check_chosen();
}
