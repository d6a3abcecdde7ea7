#include "checks.h"
#include "fixtures.h"

#include <math.h>

typedef struct scatter {
  const char *field;
  spk_spmm_fn kernel;
  spk_dtype dtype;
  spk_itype itype;
  ptrdiff_t n;
  layout b_layout, c_layout;
  int coo;
} scatter;

/* The task owns rows 3 .. 8 of the 12 that entries name. */
enum { ROW_LOW = 3, ROW_HIGH = 9, C_ROWS = 12, STRAYS = 2 };

static void check_scatter(const scatter *s) {
  test_case("%s %s %s, n = %td, layouts %d %d", s->field, dtype_names[s->dtype],
            itype_names[s->itype], s->n, s->b_layout, s->c_layout);
  const size_t isize = spk_itype_size(s->itype);
  entries a = random_entries(s->dtype, s->itype, C_ROWS, 0, 1);
  const matrix B = random_input(s->dtype, ROWS, s->n, s->b_layout);
  void *rows_coo = NULL;
  if (s->coo) {
    /* Indices are columns then; all strays lie before the first entry and after the last one. */
    rows_coo = exact_memory((size_t)a.count * isize);
    for (ptrdiff_t p = 0; p < a.count; p++) {
      const int stray = p < STRAYS || p >= a.count - STRAYS;
      put_index(rows_coo, s->itype, p, stray ? ROW_LOW : random_below(C_ROWS));
      put_index(a.indices, s->itype, p, stray ? STRAY : random_below(ROWS));
      put_value(a.values, s->dtype, p, stray ? NAN : random_number());
    }
    put_index(a.begin, s->itype, 0, STRAYS);
    put_index(a.end, s->itype, 0, a.count - STRAYS);
    a.rows = 1;
  }
  exact_memory_freeze();
  const ptrdiff_t owned = ROW_HIGH - ROW_LOW;
  matrix C = random_output(s->dtype, owned, s->n, s->c_layout);
  const matrix old = matrix_copy(&C);
  const spk_spmm_task task = {.indices = a.indices,
                              .values = a.values,
                              .begin = a.begin,
                              .end = a.end,
                              .rows_coo = rows_coo,
                              .B = B.view.data,
                              .C = C.view.data,
                              .ldb = B.view.row_stride,
                              .ldc = C.view.row_stride,
                              .rows = a.rows,
                              .n = s->n,
                              .col_strideb = B.view.col_stride,
                              .col_stridec = C.view.col_stride,
                              .row_low = ROW_LOW,
                              .row_high = ROW_HIGH};
  s->kernel(&task);
  for (ptrdiff_t i = 0; i < owned; i++)
    for (ptrdiff_t j = 0; j < s->n; j++) {
      exact e = {0};
      for (ptrdiff_t k = 0; k < a.rows; k++)
        for (ptrdiff_t p = begin_of(&a, k); p < end_of(&a, k); p++) {
          const ptrdiff_t row = s->coo ? spk_index(rows_coo, s->itype, p) : index_of(&a, p);
          const ptrdiff_t col = s->coo ? index_of(&a, p) : k;
          if (row == ROW_LOW + i) exact_add(&e, value_of(&a, p) * matrix_get(&B, col, j));
        }
      exact_add(&e, matrix_get(&old, i, j)); /* the kernel adds to what C holds */
      CHECK(exact_matches(e, s->dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
            j, matrix_get(&C, i, j), e.value);
    }
  CHECK(matrix_gaps_intact(&C));
  exact_memory_release();
}

void check_spmm_csc(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors)
  for (int repeat = 0; repeat < 3; repeat++) {
    const scatter s = {"spmm_csc", kernel, dtype, itype, n, tile_layout(), tile_layout(), 0};
    check_scatter(&s);
  }
}

static void check_scatter_layouts(const char *field, spk_spmm_fn kernel, spk_dtype dtype,
                                  spk_itype itype, int coo) {
  for (ptrdiff_t n = 1; n <= 2 * lanes_of(dtype) + 1; n++)
    for (int b = 0; b < INPUT_LAYOUTS; b++)
      for (int c = 0; c < OUTPUT_LAYOUTS; c++) {
        const scatter s = {field, kernel, dtype, itype, n, b, c, coo};
        check_scatter(&s);
      }
}

void check_spmm_csc_strided(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_scatter_layouts("spmm_csc_strided", kernel, dtype, itype, 0);
}

void check_spmm_coo(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_scatter_layouts("spmm_coo", kernel, dtype, itype, 1);
}
