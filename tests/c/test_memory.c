/* The workspace: within its bound for any shape, and no harm done where there is none.
 *
 * Linked with --wrap=aligned_alloc: every allocation of the library goes through here.
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/threads/workspace.h"
#include "matrix.h"
#include "sparse.h"

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static size_t largest;
static int allocations, refuse;

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  allocations++;
  largest = size > largest ? size : largest;
  return refuse ? NULL : __real_aligned_alloc(alignment, size);
}

typedef struct product {
  sparse_shape a;
  ptrdiff_t n; /* columns of B and C, or of X */
} product;

/* Long, wide, blocky, scattered: what could make a workspace large. */
static const product products[] = {
    {{SPK_CSR, SPK_F64, SPK_I64, 8, 40000, 1, 1, 60000, 1}, 70},
    {{SPK_CSR, SPK_F32, SPK_I32, 20000, 50, 1, 1, 60000, 1}, 40},
    {{SPK_CSR, SPK_F64, SPK_I64, 4000, 5000, 1, 1, 50000, 0}, 33},
    {{SPK_CSC, SPK_F64, SPK_I32, 30000, 60, 1, 1, 40000, 1}, 130},
    {{SPK_CSC, SPK_F64, SPK_I32, 500, 60, 1, 1, 40000, 1}, 130},
    {{SPK_COO, SPK_F64, SPK_I64, 20000, 3000, 1, 1, 60000, 1}, 20},
    {{SPK_COO, SPK_F64, SPK_I32, 20000, 3000, 1, 1, 60000, 0}, 9},
    {{SPK_COO, SPK_F32, SPK_I32, 3000, 3000, 1, 1, 30000, 0}, 20},
    {{SPK_BSR, SPK_F64, SPK_I64, 4096, 512, 2048, 1, 100000, 1}, 60},
    {{SPK_BSR, SPK_F64, SPK_I32, 64, 16384, 1, 8192, 300000, 1}, 60},
    {{SPK_BSR, SPK_F32, SPK_I32, 2048, 2048, 256, 256, 500000, 1}, 100},
    {{SPK_CSR, SPK_F64, SPK_I64, 3, 4, 1, 1, 8, 1}, 60000},
    {{SPK_CSR, SPK_F64, SPK_I64, 200, 6000, 1, 1, 300000, IN_RUNS}, 1500},
};
enum { PRODUCTS = sizeof products / sizeof *products };

static matrix dense(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how) {
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, 0, &row_stride, &col_stride);
  return matrix_output(dtype, rows, cols, row_stride, col_stride);
}

static void keep(const matrix *old, const matrix *m) {
  memcpy(old->memory, m->memory, (size_t)m->held * spk_dtype_size(m->view.dtype));
}

/* What the calls of a layout share, as most of the time goes into random numbers. */
typedef struct operands {
  sparse A;
  matrix B, C, X, Y, values, old_c, old_values;
} operands;

static operands random_operands(const product *x, layout how) {
  const spk_dtype dtype = x->a.dtype;
  operands o = {.A = sparse_random(&x->a)};
  o.B = dense(dtype, x->a.cols, x->n, how);
  o.C = dense(dtype, x->a.rows, x->n, how);
  o.X = dense(dtype, x->a.rows, x->n, how);
  o.Y = dense(dtype, x->n, x->a.cols, how);
  o.values = matrix_output(dtype, o.A.entries, 1, 1, 1);
  o.old_c = matrix_copy(&o.C);
  o.old_values = matrix_copy(&o.values);
  return o;
}

static void check_product(const product *x, const operands *o, layout how, int threads) {
  test_case("%s %td x %td (blocks %td x %td), n = %td, layout %d, %d threads",
            sparse_format_name(x->a.format), x->a.rows, x->a.cols, x->a.block_rows, x->a.block_cols,
            x->n, how, threads);
  for (int verb = 0; verb < 2; verb++) {
    const matrix *out = verb ? &o->values : &o->C, *old = verb ? &o->old_values : &o->old_c;
    keep(old, out);
    const char *name = verb ? "sddmm" : "spmm";
    for (refuse = 1; refuse >= 0; refuse--) {
      spk_workspace_drop();
      largest = 0;
      allocations = 0;
      const spk_status status =
          verb ? spk_sddmm(&o->A.view, &o->X.view, &o->Y.view, out->memory, NULL, threads)
               : spk_spmm(&o->A.view, &o->B.view, &out->view, NULL, threads);
      const int shares = x->a.format == SPK_CSC || x->a.format == SPK_COO || how != ROW_MAJOR;
      const size_t shared = !shares || (verb && how == ROW_MAJOR) ? 0 : spk_shared_limit(x->a.cols);
      const size_t bound = spk_workspace_limit() * (size_t)threads + shared;
      CHECK(largest <= bound, "%s takes %zu bytes, the bound is %zu", name, largest, bound);
      CHECK(allocations <= 1, "%s allocates %d times", name, allocations);
      if (!refuse || allocations == 0) {
        CHECK(status == SPK_OK, "%s: %s", name, spk_status_string(status));
        continue;
      }
      CHECK(status == SPK_ERR_MEMORY, "%s: %s", name, spk_status_string(status));
      CHECK(matrix_same_bits(out, old), "%s wrote without a workspace", name);
    }
  }
}

/* Packing fails whole where there is no memory; products with what was packed keep to the bound. */
static void check_prepared(const product *x, const operands *o, layout how, int threads,
                           ptrdiff_t width, spk_storage storage) {
  if (x->a.format != SPK_CSR || (storage && x->a.dtype != SPK_F32)) return;
  if (x->a.sorted == IN_RUNS) return; /* large for sddmm, which goes by tiles; here like others */
  test_case("prepared %td x %td for %td, n = %td, layout %d, %d threads, storage %d", x->a.rows,
            x->a.cols, width, x->n, how, threads, storage);
  keep(&o->old_c, &o->C);
  spk_prepared *prepared = NULL;
  refuse = 1;
  spk_status status = spk_prepare(&o->A.view, width, 0, storage, threads, &prepared);
  CHECK(status == SPK_ERR_MEMORY && !prepared, "%s", spk_status_string(status));
  refuse = 0;
  status = spk_prepare(&o->A.view, width, 0, storage, threads, &prepared);
  CHECK(status == SPK_OK, "%s", spk_status_string(status));
  for (refuse = 1; refuse >= 0; refuse--) {
    spk_workspace_drop();
    largest = 0;
    allocations = 0;
    status = spk_prepared_spmm(prepared, &o->B.view, &o->C.view, NULL, threads);
    CHECK(status == (refuse ? SPK_ERR_MEMORY : SPK_OK), "%s", spk_status_string(status));
    if (refuse) CHECK(matrix_same_bits(&o->C, &o->old_c), "wrote without a workspace");
    CHECK(largest <= spk_workspace_limit() * (size_t)threads, "%zu bytes", largest);
    CHECK(allocations == 1, "%d allocations", allocations);
  }
  spk_prepared_free(prepared);
}

/* Values of 16 bits are expanded a group of rows at a time: not where duplicates make these
 * too long. */
static void check_long_rows(void) {
  test_case("a long row of duplicates in 16 bits");
  enum { ENTRIES = 300000, COLUMNS_USED = 64, N = 40 };
  int32_t *indices = exact_memory(ENTRIES * sizeof *indices), offsets[2] = {0, ENTRIES};
  float *values = exact_memory(ENTRIES * sizeof *values);
  for (int p = 0; p < ENTRIES; p++) {
    indices[p] = p / (ENTRIES / COLUMNS_USED + 1);
    values[p] = 1.0f / 64;
  }
  const spk_sparse A = {.format = SPK_CSR,
                        .dtype = SPK_F32,
                        .itype = SPK_I32,
                        .rows = 1,
                        .cols = COLUMNS_USED,
                        .nnz = ENTRIES,
                        .block_rows = 1,
                        .block_cols = 1,
                        .offsets = offsets,
                        .indices = indices,
                        .values = values};
  const matrix B = dense(SPK_F32, COLUMNS_USED, N, ROW_MAJOR), C = dense(SPK_F32, 1, N, ROW_MAJOR);
  matrix same = matrix_copy(&C);
  spk_workspace_drop();
  for (int storage = SPK_STORAGE_SAME; storage <= SPK_STORAGE_BF16; storage++) {
    spk_prepared *prepared = NULL;
    refuse = 0;
    CHECK(spk_prepare(&A, N, 0, (spk_storage)storage, 1, &prepared) == SPK_OK);
    largest = 0;
    const spk_dense *to = storage ? &C.view : &same.view;
    CHECK(spk_prepared_spmm(prepared, &B.view, to, NULL, 1) == SPK_OK);
    CHECK(largest <= spk_workspace_limit(), "%zu bytes", largest);
    if (storage) CHECK(matrix_same_bits(&same, &C), "storage %d", storage);
    spk_prepared_free(prepared);
  }
  exact_memory_release();
}

/* Attention takes a bounded workspace whatever the mask, and writes nothing without it. */
static void check_attention(ptrdiff_t n, int threads) {
  enum { D = 32 };
  test_case("attention, n = %td, %d threads", n, threads);
  const int64_t zero = 0;
  int64_t *offsets = exact_memory((size_t)(n + 1) * sizeof *offsets);
  int32_t *starts = exact_memory((size_t)n * sizeof *starts), *stops = exact_memory((size_t)n * 4);
  offsets[0] = zero;
  for (ptrdiff_t i = 0; i < n; i++) {
    offsets[i + 1] = i + 1;
    starts[i] = 0;
    stops[i] = (int32_t)i + 1;
  }
  const spk_runs runs = {n, n, offsets, starts, stops};
  spk_column_runs *mask = NULL;
  refuse = 0;
  CHECK(spk_column_runs_from(&runs, 1, &mask) == SPK_OK);
  const matrix Q = dense(SPK_F32, n, D, ROW_MAJOR), out = dense(SPK_F32, n, D, ROW_MAJOR);
  const matrix old = matrix_copy(&out);
  const ptrdiff_t none = 0;
  const spk_attention a = {SPK_F32,    1,    D, D, 1,    Q.memory, Q.memory, Q.memory,
                           out.memory, D,    D, D, D,    &none,    &none,    &none,
                           &none,      NULL, 0, 0, NULL, NULL};
  for (refuse = 1; refuse >= 0; refuse--) {
    spk_workspace_drop();
    largest = 0;
    allocations = 0;
    const spk_status status = spk_attend(mask, &a, threads);
    CHECK(status == (refuse ? SPK_ERR_MEMORY : SPK_OK), "%s", spk_status_string(status));
    CHECK(matrix_same_bits(&out, &old) == refuse);
    CHECK(allocations == 1 && largest <= (size_t)threads * (160 << 10) + (size_t)n, "%zu bytes",
          largest);
  }
  spk_column_runs_free(mask);
  exact_memory_release();
}

/* A second product takes what the first gave back, and a smaller one too. */
static void check_kept(void) {
  test_case("a workspace is kept");
  const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, 200, 300, 1, 1, 30000, 1};
  const sparse A = sparse_random(&shape);
  const matrix B = dense(SPK_F32, 300, 90, ROW_MAJOR), C = dense(SPK_F32, 200, 90, ROW_MAJOR);
  spk_dense b = B.view, c = C.view;
  spk_workspace_drop();
  refuse = 0;
  for (int call = 0; call < 3; call++) {
    allocations = 0;
    b.cols = c.cols = call < 2 ? 90 : 40;
    CHECK(spk_spmm(&A.view, &b, &c, NULL, 2) == SPK_OK);
    CHECK(allocations == (call == 0), "%d allocations at call %d", allocations, call);
  }
  exact_memory_release();
}

/* Of many workers, more than of few is kept. */
static void check_kept_of_many(void) {
  test_case("the workspace of many workers is kept");
  spk_workspace_drop();
  refuse = 0;
  for (int workers = 1; workers <= 64; workers += 63)
    for (int call = 0; call < 2; call++) {
      spk_workspace space;
      allocations = 0;
      CHECK(spk_workspace_take(&space, 0, ((size_t)100 << 20) / (size_t)workers, workers) ==
            SPK_OK);
      CHECK(allocations == (workers == 1 || call == 0), "%d workers, call %d", workers, call);
      spk_workspace_free(&space);
    }
  test_case("also by a call of one worker");
  for (int workers = 1; workers <= 64; workers += 63) {
    spk_workspace space;
    allocations = 0;
    CHECK(spk_workspace_take(&space, 0, 1000, workers) == SPK_OK);
    CHECK(allocations == 0);
    spk_workspace_free(&space);
  }
  CHECK(spk_workspace_drop() >= (size_t)100 << 20);
  CHECK(spk_workspace_drop() == 0);
}

/* The first region of a thread takes what stays with it: not of the workspace. */
static void open_a_region(void) {
  const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, 200, 300, 1, 1, 30000, 1};
  const sparse A = sparse_random(&shape);
  const matrix B = dense(SPK_F32, 300, 90, ROW_MAJOR), C = dense(SPK_F32, 200, 90, ROW_MAJOR);
  test_case("a region");
  CHECK(spk_spmm(&A.view, &B.view, &C.view, NULL, 4) == SPK_OK);
  exact_memory_release();
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(640);
  open_a_region();
  for (int p = 0; p < PRODUCTS; p++)
    for (int how = 0; how <= COLUMN_MAJOR; how++) {
      const operands o = random_operands(&products[p], (layout)how);
      for (int threads = 1; threads <= 3; threads += 2) {
        check_product(&products[p], &o, (layout)how, threads);
        for (ptrdiff_t width = 1; width <= 100; width *= 10)
          for (int storage = 0; storage < 2; storage++)
            check_prepared(&products[p], &o, (layout)how, threads, width, (spk_storage)storage);
      }
      exact_memory_release();
    }
  for (ptrdiff_t n = 100; n <= 10000; n *= 10)
    for (int threads = 1; threads <= 4; threads += 3) check_attention(n, threads);
  check_kept();
  check_kept_of_many();
  check_long_rows();
  return test_result();
}
