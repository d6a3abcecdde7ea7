/* Index arrays that another thread writes to while a pattern is made of them: no reads or writes
 * outside, whatever comes of it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "matrix.h"
#include "sparse.h"

enum { ROWS = 300, COLS = 200, D = 8, CALLS = 1500 };

static atomic_int stop;

typedef struct writer {
  void *indices, *offsets;
  spk_itype itype;
  ptrdiff_t entries;
} writer;

/* Mostly as it was; now and then one of them is anything. */
static void *write_often(void *argument) {
  const writer *w = argument;
  static const int64_t strange[] = {-1, COLS, COLS - 1, 0, INT32_MAX, INT32_MIN, 1 << 20};
  for (unsigned i = 0; !atomic_load(&stop); i = i * 1664525u + 1013904223u) {
    const int at_offsets = w->offsets && i >> 30 == 0;
    void *array = at_offsets ? w->offsets : w->indices;
    const ptrdiff_t p = (ptrdiff_t)((i >> 8) % (at_offsets ? ROWS + 1 : w->entries));
    const int64_t was = spk_index(array, w->itype, p);
    put_index(array, w->itype, p, strange[(i >> 4) % (sizeof strange / sizeof *strange)]);
    for (volatile int wait = 0; wait < (int)(i >> 20 & 1023); wait++) {
    }
    put_index(array, w->itype, p, was);
  }
  return NULL;
}

static void attend(const spk_column_runs *mask, const matrix *Q, const matrix *K, const matrix *out,
                   int threads) {
  const ptrdiff_t none = 0;
  const spk_attention a = {.dtype = SPK_F32,
                           .heads = 1,
                           .d = D,
                           .dv = D,
                           .scale = 1,
                           .Q = Q->memory,
                           .K = K->memory,
                           .V = K->memory,
                           .out = out->memory,
                           .q_stride = D,
                           .k_stride = D,
                           .v_stride = D,
                           .out_stride = D,
                           .q_offsets = &none,
                           .k_offsets = &none,
                           .v_offsets = &none,
                           .out_offsets = &none};
  CHECK(spk_attend(mask, &a, threads) == SPK_OK);
}

static void check_entries(spk_itype itype, int runs, int offsets) {
  const sparse_shape shape = {SPK_CSR, SPK_F32, itype, ROWS, COLS, 1, 1, 4000, runs ? IN_RUNS : 1};
  test_case("itype %d, in runs %d, offsets %d", itype, runs, offsets);
  const sparse A = sparse_random(&shape);
  const matrix Q = matrix_output(SPK_F32, ROWS, D, D, 1), K = matrix_output(SPK_F32, COLS, D, D, 1);
  const matrix out = matrix_output(SPK_F32, ROWS, D, D, 1);
  writer w = {(void *)(uintptr_t)A.view.indices, offsets ? (void *)(uintptr_t)A.view.offsets : NULL,
              itype, A.entries};
  pthread_t thread;
  int made_of = 0;
  atomic_store(&stop, 0);
  if (pthread_create(&thread, NULL, write_often, &w)) abort();
  for (int call = 0; call < CALLS; call++) {
    spk_column_runs *made = NULL;
    const int threads = 1 + call % 2;
    const spk_status status = spk_column_runs_make(&A.view, threads, &made);
    CHECK((status == SPK_OK) == (made != NULL));
    CHECK(status == SPK_OK || status == SPK_ERR_INDEX || status == SPK_ERR_INDPTR ||
              status == SPK_ERR_ARGUMENT,
          "%s", spk_status_string(status));
    if (made) attend(made, &Q, &K, &out, threads);
    made_of += made != NULL;
    spk_column_runs_free(made);
  }
  atomic_store(&stop, 1);
  pthread_join(thread, NULL);
  spk_column_runs *made = NULL;
  CHECK(spk_column_runs_make(&A.view, 1, &made) == SPK_OK);
  spk_column_runs_free(made);
  CHECK(made_of < CALLS, "no change was seen");
  exact_memory_release();
}

static void check_runs(void) {
  test_case("runs");
  int64_t *offsets = exact_memory((ROWS + 1) * sizeof *offsets);
  int32_t *starts = exact_memory(ROWS * sizeof *starts), *stops = exact_memory(ROWS * 4);
  for (int i = 0; i <= ROWS; i++) offsets[i] = i;
  for (int i = 0; i < ROWS; i++) starts[i] = i % COLS, stops[i] = COLS;
  const matrix Q = matrix_output(SPK_F32, ROWS, D, D, 1), K = matrix_output(SPK_F32, COLS, D, D, 1);
  const matrix out = matrix_output(SPK_F32, ROWS, D, D, 1);
  const spk_runs runs = {ROWS, COLS, offsets, starts, stops};
  writer w = {stops, NULL, SPK_I32, ROWS};
  pthread_t thread;
  atomic_store(&stop, 0);
  if (pthread_create(&thread, NULL, write_often, &w)) abort();
  for (int call = 0; call < CALLS; call++) {
    spk_column_runs *made = NULL;
    const spk_status status = spk_column_runs_from(&runs, 1, &made);
    CHECK(status == SPK_OK || status == SPK_ERR_INDEX, "%s", spk_status_string(status));
    if (made) attend(made, &Q, &K, &out, 1);
    spk_column_runs_free(made);
  }
  atomic_store(&stop, 1);
  pthread_join(thread, NULL);
  exact_memory_release();
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1976);
  for (int itype = SPK_I32; itype <= SPK_I64; itype++)
    for (int runs = 0; runs < 2; runs++)
      for (int offsets = 0; offsets < 2; offsets++) check_entries((spk_itype)itype, runs, offsets);
  check_runs();
  return test_result();
}
