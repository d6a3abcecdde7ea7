#include "checks.h"
#include "fixtures.h"

#include <math.h>
#include <string.h>

typedef struct sampled {
  const char *field;
  spk_sddmm_fn kernel;
  spk_dtype dtype;
  spk_itype itype;
  ptrdiff_t k;
  layout x_layout, y_layout;
} sampled;

static void check_sampled(const sampled *s, const spk_sampling *how, int in_place) {
  const ptrdiff_t width = 9, base = 4, k = s->k;
  test_case("%s %s %s, k = %td, layouts %d %d, alpha = %g, beta = %g, scale = %d%s", s->field,
            dtype_names[s->dtype], itype_names[s->itype], k, s->x_layout, s->y_layout, how->alpha,
            how->beta, how->scale, in_place ? ", in place" : "");
  const entries p = random_entries(s->dtype, s->itype, width, base, 1);
  const matrix X = random_input(s->dtype, ROWS, k, s->x_layout);
  const matrix Yt = random_input(s->dtype, width, k, s->y_layout);
  exact_memory_freeze();
  matrix out = matrix_output(s->dtype, p.count, 1, 1, 1);
  if (in_place) memcpy(out.memory, p.values, (size_t)p.count * spk_dtype_size(s->dtype));
  const matrix old = matrix_copy(&out);
  const int reads = how->beta != 0 || how->scale;
  const spk_sddmm_task task = {.indices = p.indices,
                               .begin = p.begin,
                               .end = p.end,
                               .values = !reads     ? NULL
                                         : in_place ? out.memory
                                                    : p.values,
                               .out = out.memory,
                               .X = X.view.data,
                               .Yt = Yt.view.data,
                               .ldx = X.view.row_stride,
                               .ldy = Yt.view.row_stride,
                               .base = base,
                               .rows = ROWS,
                               .k = k,
                               .col_stridex = X.view.col_stride,
                               .col_stridey = Yt.view.col_stride,
                               .sampling = *how};
  s->kernel(&task);
  ptrdiff_t q = 0;
  for (ptrdiff_t i = 0; i < ROWS; i++) {
    for (; q < begin_of(&p, i); q++) {
      const double was = matrix_get(&old, q, 0), is = matrix_get(&out, q, 0);
      CHECK(is == was || (isnan(is) && isnan(was)), "entry %td is of no row", q);
    }
    for (; q < end_of(&p, i); q++) {
      exact e = {0};
      for (ptrdiff_t c = 0; c < k; c++)
        exact_add(&e, matrix_get(&X, i, c) * matrix_get(&Yt, index_of(&p, q) - base, c));
      e = exact_sampling(e, how, value_of(&p, q));
      CHECK(exact_matches(e, s->dtype, matrix_get(&out, q, 0)), "entry %td = %.17g, not %.17g", q,
            matrix_get(&out, q, 0), e.value);
    }
  }
  exact_memory_release();
}

static void check_samplings(const sampled *s) {
  const spk_sampling samplings[] = {{1, 0, 0},    {-0.5, 0, 0}, {1, 0.75, 0},
                                    {1.25, 0, 1}, {2, -1, 1},   {0, 1, 0}};
  for (size_t i = 0; i < sizeof samplings / sizeof *samplings; i++)
    for (int in_place = 0; in_place < 2; in_place++) check_sampled(s, &samplings[i], in_place);
}

void check_sddmm_csr(spk_sddmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (ptrdiff_t k = 0; k <= 3 * lanes_of(dtype) + 1; k++) {
    const sampled s = {"sddmm_csr", kernel, dtype, itype, k, tile_layout(), tile_layout()};
    check_samplings(&s);
  }
}

void check_sddmm_csr_strided(spk_sddmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (int x = 0; x < INPUT_LAYOUTS; x++)
    for (int y = 0; y < INPUT_LAYOUTS; y++) {
      const sampled s = {"sddmm_csr_strided", kernel, dtype, itype, random_below(20), x, y};
      check_samplings(&s);
    }
}
