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

/* Rows of entries from a to b - 1, of which a range of columns is taken, then the rest. */
void check_sddmm_take(spk_take_fn kernel, spk_dtype dtype, spk_itype itype) {
  enum { COLUMNS = 23, LD = COLUMNS + 2 };
  const spk_sampling samplings[] = {{1, 0, 0}, {-0.5, 0, 0}, {1, 0.75, 0}, {1.25, 0, 1}};
  for (size_t how = 0; how < sizeof samplings / sizeof *samplings; how++)
    for (ptrdiff_t first = 0; first <= COLUMNS; first += 1 + first / 2) {
      const spk_sampling *sampling = &samplings[how];
      const int reads = sampling->beta != 0 || sampling->scale;
      test_case("sddmm_take %s %s, %td columns first, sampling %zu", dtype_names[dtype],
                itype_names[itype], first, how);
      const ptrdiff_t base = 1000;
      const matrix scores = matrix_input(dtype, ROWS, COLUMNS, LD, 1);
      const matrix values = matrix_input(dtype, ROWS * COLUMNS, 1, 1, 1);
      void *indices = exact_memory(ROWS * COLUMNS * spk_itype_size(itype));
      ptrdiff_t columns[ROWS * COLUMNS], next[ROWS], end[ROWS], count = 0;
      for (ptrdiff_t i = 0; i < ROWS; i++) {
        next[i] = count;
        for (ptrdiff_t c = 0; c < COLUMNS; c++)
          if (random_below(3) < i % 4) columns[count++] = c;
        end[i] = count;
      }
      for (ptrdiff_t p = 0; p < ROWS * COLUMNS; p++) {
        const ptrdiff_t column = base + (p < count ? columns[p] : 0);
        if (itype == SPK_I32)
          ((int32_t *)indices)[p] = (int32_t)column;
        else
          ((int64_t *)indices)[p] = column;
      }
      exact_memory_freeze();
      const matrix out = matrix_output(dtype, ROWS * COLUMNS, 1, 1, 1);
      spk_take_task task = {.indices = indices,
                            .next = next,
                            .end = end,
                            .rows = ROWS,
                            .from = base,
                            .count = first,
                            .scores = scores.memory,
                            .ld = LD,
                            .out = out.memory,
                            .values = reads ? values.memory : NULL,
                            .sampling = *sampling};
      kernel(&task);
      for (ptrdiff_t i = 0; i < ROWS; i++)
        CHECK(next[i] == end[i] || columns[next[i]] >= first, "row %td ends early", i);
      task.from = base + first;
      task.count = COLUMNS - first;
      task.scores = spk_at(scores.memory, first, spk_dtype_size(dtype));
      kernel(&task);
      for (ptrdiff_t i = 0, p = 0; i < ROWS; i++) {
        CHECK(next[i] == end[i], "row %td is not finished", i);
        for (; p < end[i]; p++) {
          const double x = matrix_get(&scores, i, columns[p]);
          const exact dot = {x, fabs(x), 0};
          const exact e = exact_sampling(dot, sampling, reads ? matrix_get(&values, p, 0) : 0);
          CHECK(exact_matches(e, dtype, matrix_get(&out, p, 0)), "entry %td", p);
        }
      }
      exact_memory_release();
    }
}
