/* What products would take on machines with more threads than this one.
 *
 * The library plans and deals out a product for many threads as it would there.  Its tasks run here
 * one after the other, on one core, and each is timed.  Then the schedule is played through on a
 * clock per thread: who is first takes the next task, by the function that the library's workers
 * use.  benchmarks/README.md says what this leaves out.
 *
 * Linked with --wrap for what would start threads, or ask this machine for its CPUs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/threads/deal.h"
#include "../../src/threads/parallel.h"
#include "../../src/threads/system.h"

int __wrap_omp_get_num_procs(void);
int __wrap_spk_pool_threads(int wanted, int is_short);
void __wrap_spk_parallel(int threads, spk_phase first, spk_phase second, void *context);

/* A machine with as many CPUs as the library has threads for, all of them idle. */
int __wrap_omp_get_num_procs(void) { return SPK_MAX_THREADS; }
int __wrap_spk_pool_threads(int wanted, int is_short) {
  (void)is_short;
  return wanted;
}

/* --- The times of tasks --- */

/* The regions of a call, one after the other. */
typedef struct region {
  int threads;
  ptrdiff_t tasks[2];
  double *seconds[2]; /* of each task, the least of all rounds */
} region;

enum { MAX_REGIONS = 4096 };
static region regions[MAX_REGIONS];
static int count;         /* regions of the call until now */
static int round_of_call; /* 0: regions are new */
static double inside;     /* seconds inside of regions */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *memory(size_t bytes) {
  void *made = calloc(1, bytes ? bytes : 1);
  if (!made) abort();
  return made;
}

/* Time the tasks of a phase.  Each worker runs its own range, and one worker comes after the other,
 * so that a worker finds in the cache what its last task left there. */
static void time_phase(region *r, int phase, spk_phase todo, void *context) {
  for (int worker = 0; worker < r->threads; worker++) {
    const ptrdiff_t end = spk_deal_begin(todo.tasks, r->threads, worker + 1);
    ptrdiff_t task = spk_deal_begin(todo.tasks, r->threads, worker);
    for (; task < end; task++) {
      const double before = now();
      todo.fn(context, task, worker);
      const double seconds = now() - before;
      double *least = &r->seconds[phase][task];
      if (round_of_call == 0 || seconds < *least) *least = seconds;
    }
  }
}

void __wrap_spk_parallel(int threads, spk_phase first, spk_phase second, void *context) {
  const double before = now();
  const spk_phase phases[2] = {first, second};
  if (count == MAX_REGIONS) abort();
  region *r = &regions[count++];
  const int most = (int)spk_max(1, spk_min(threads, spk_max(first.tasks, second.tasks)));
  if (round_of_call == 0) {
    r->threads = most;
    for (int phase = 0; phase < 2; phase++) {
      r->tasks[phase] = phases[phase].tasks;
      r->seconds[phase] = memory((size_t)phases[phase].tasks * sizeof(double));
    }
  } else if (r->threads != most || r->tasks[0] != first.tasks || r->tasks[1] != second.tasks) {
    abort(); /* a call that is not planned in the same way again cannot be timed task by task */
  }
  for (int phase = 0; phase < 2; phase++) time_phase(r, phase, phases[phase], context);
  inside += now() - before;
}

/* --- The schedule --- */

/* The time at which the last worker has nothing left to do, if worker i begins at i * `joining`. */
static double play(const region *r, double joining, double *busy) {
  spk_seat *seats = aligned_alloc(SPK_ALIGN, (size_t)r->threads * sizeof *seats);
  double *clock = memory((size_t)r->threads * sizeof *clock), gate = 0, last = 0;
  if (!seats) abort();
  memset(seats, 0, (size_t)r->threads * sizeof *seats);
  for (int worker = 0; worker < r->threads; worker++) clock[worker] = worker * joining;
  for (int phase = 0; phase < 2; phase++) {
    int *visited = memory((size_t)r->threads * sizeof *visited);
    int *done = memory((size_t)r->threads * sizeof *done);
    for (int left = r->threads; left > 0;) {
      int first = -1;
      for (int worker = 0; worker < r->threads; worker++)
        if (!done[worker] && (first < 0 || clock[worker] < clock[first])) first = worker;
      const ptrdiff_t task =
          spk_deal(seats, phase, r->tasks[phase], r->threads, first, &visited[first]);
      if (task < 0) {
        done[first] = 1;
        left--;
        continue;
      }
      /* Tasks of the second phase follow the last one of the first. */
      if (phase == 1 && clock[first] < gate) clock[first] = gate;
      clock[first] += r->seconds[phase][task];
      *busy += r->seconds[phase][task];
      if (clock[first] > last) last = clock[first];
    }
    gate = last;
    free(visited);
    free(done);
  }
  free(seats);
  free(clock);
  /* What any schedule that leaves no worker idle without need takes. */
  const double most = *busy + joining * r->threads, least = *busy / r->threads;
  if (last > most * (1 + 1e-9) || last < least * (1 - 1e-9)) abort();
  return last;
}

/* --- Products --- */

typedef enum verb { SPMM, PREPARED, SDDMM } verb;

typedef struct product {
  verb verb;
  spk_sparse A;
  spk_dense B, C, X; /* sddmm: C holds the values of the result */
} product;

static spk_status run(const product *p, const spk_prepared *prepared, int threads) {
  if (p->verb == SPMM) return spk_spmm(&p->A, &p->B, &p->C, NULL, threads);
  if (p->verb == PREPARED) return spk_prepared_spmm(prepared, &p->B, &p->C, NULL, threads);
  return spk_sddmm(&p->A, &p->X, &p->B, p->C.data, NULL, threads);
}

typedef struct prediction {
  int threads;     /* of the largest region */
  ptrdiff_t tasks; /* of that one */
  double seconds;  /* of the call */
  double busy;     /* of all threads together, inside of regions */
  double longest;  /* the largest task */
  double even;     /* the call, if all threads of a region ended at once */
} prediction;

static void forget_regions(void) {
  for (int i = 0; i < count; i++)
    for (int phase = 0; phase < 2; phase++) free(regions[i].seconds[phase]);
  count = round_of_call = 0;
}

static prediction predict(const product *p, int threads, int rounds, double joining) {
  spk_prepared *prepared = NULL;
  prediction found = {.threads = 1};
  double outside = 0;
  forget_regions(); /* of the check */
  if (p->verb == PREPARED &&
      spk_prepare(&p->A, p->B.cols, 0, SPK_STORAGE_SAME, threads, &prepared) != SPK_OK)
    return (prediction){0};
  forget_regions(); /* of packing */
  for (; round_of_call < rounds; round_of_call++) {
    count = 0;
    inside = 0;
    const double before = now();
    if (run(p, prepared, -threads) != SPK_OK) abort();
    const double rest = now() - before - inside;
    if (round_of_call == 0 || rest < outside) outside = rest;
  }
  found.seconds = found.even = outside;
  for (int i = 0; i < count; i++) {
    const region *r = &regions[i];
    double busy = 0;
    found.seconds += play(r, joining, &busy);
    found.even += busy / r->threads + joining * (r->threads - 1) / 2;
    found.busy += busy;
    if (r->threads >= found.threads) {
      found.threads = r->threads;
      found.tasks = r->tasks[0] + r->tasks[1];
    }
    for (int phase = 0; phase < 2; phase++)
      for (ptrdiff_t task = 0; task < r->tasks[phase]; task++)
        if (r->seconds[phase][task] > found.longest) found.longest = r->seconds[phase][task];
  }
  forget_regions();
  spk_prepared_free(prepared);
  return found;
}

static void fail(const char *why) {
  fprintf(stderr, "simulate: %s\n", why);
  exit(1);
}

static spk_dense dense(ptrdiff_t rows, ptrdiff_t cols) {
  float *data = aligned_alloc(SPK_ALIGN, spk_aligned_size((size_t)(rows * cols + 1) * 4));
  if (!data) abort();
  for (ptrdiff_t i = 0; i < rows * cols; i++) data[i] = (float)(i % 13 - 6);
  return (spk_dense){SPK_F32, rows, cols, cols, 1, data};
}

/* A matrix of a file, or a small one if there is none. */
static spk_sparse matrix_of(FILE *file) {
  enum { PER_ROW = 40, STEP = 12 };
  int64_t shape[3] = {600, PER_ROW * STEP, 600 * PER_ROW}; /* rows, columns, entries */
  if (file && fread(shape, sizeof *shape, 3, file) != 3) fail("the file is too short");
  int32_t *offsets = memory((size_t)(shape[0] + 1) * 4), *indices = memory((size_t)shape[2] * 4);
  if (file) {
    if (fread(offsets, 4, (size_t)shape[0] + 1, file) != (size_t)shape[0] + 1 ||
        fread(indices, 4, (size_t)shape[2], file) != (size_t)shape[2])
      fail("the file is too short");
  } else {
    for (int32_t row = 0; row <= shape[0]; row++) offsets[row] = row * PER_ROW;
    for (int32_t p = 0; p < shape[2]; p++) indices[p] = p % PER_ROW * STEP + p / PER_ROW % STEP;
  }
  spk_sparse A = {.format = SPK_CSR,
                  .dtype = SPK_F32,
                  .itype = SPK_I32,
                  .rows = shape[0],
                  .cols = shape[1],
                  .nnz = shape[2],
                  .block_rows = 1,
                  .block_cols = 1,
                  .offsets = offsets,
                  .indices = indices,
                  .values = dense(1, shape[2]).data};
  if (spk_check(&A, 1) != SPK_OK) fail("the matrix is not valid");
  return A;
}

/* simulate FILE VERB COLUMNS ROUNDS JOINING_NS THREADS...: FILE holds a matrix, as rows, columns
 * and entries (int64), offsets and column indices (int32); "-" stands for a small one.  Prints a
 * line of JSON for each number of threads. */
int main(int argc, char **argv) {
  static const char *const names[] = {"spmm", "prepared", "sddmm"};
  product p = {.verb = SPMM};
  if (argc < 7) fail("FILE VERB COLUMNS ROUNDS JOINING_NS THREADS...");
  while (strcmp(argv[2], names[p.verb]) != 0)
    if (++p.verb > SDDMM) fail("the verbs are spmm, prepared and sddmm");
  const ptrdiff_t n = atol(argv[3]);
  FILE *file = strcmp(argv[1], "-") ? fopen(argv[1], "rb") : NULL;
  if (!file && strcmp(argv[1], "-")) fail("the file cannot be read");
  p.A = matrix_of(file);
  if (file) fclose(file);
  const int sampled = p.verb == SDDMM;
  p.B = sampled ? dense(n, p.A.cols) : dense(p.A.cols, n);
  p.X = dense(p.A.rows, sampled ? n : 1);
  p.C = sampled ? dense(1, p.A.nnz) : dense(p.A.rows, n);
  const size_t bytes = (size_t)(p.C.rows * p.C.cols) * 4;
  void *first = memory(bytes);
  for (int i = 6; i < argc; i++) {
    memset(p.C.data, 0, bytes);
    const prediction x = predict(&p, atoi(argv[i]), atoi(argv[4]), 1e-9 * atof(argv[5]));
    if (i == 6) memcpy(first, p.C.data, bytes);
    if (memcmp(first, p.C.data, bytes) != 0) fail("the result depends on the number of threads");
    printf(
        "{\"most\": %s, \"threads\": %d, \"tasks\": %td, \"seconds\": %.9g, \"busy\": %.9g, "
        "\"longest\": %.9g, \"even\": %.9g}\n",
        argv[i], x.threads, x.tasks, x.seconds, x.busy, x.longest, x.even);
    fflush(stdout);
  }
  const void *const made[] = {p.A.offsets, p.A.indices, p.A.values, p.B.data,
                              p.X.data,    p.C.data,    first};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) free((void *)(uintptr_t)made[i]);
  return 0;
}
