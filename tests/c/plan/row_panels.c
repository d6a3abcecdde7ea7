#include "../../../src/plan/row_panels_plan.h"

#include <stdlib.h>

#include "../../../src/plan/blocks.h"
#include "../../../src/plan/cost.h"
#include "plan.h"

/* Of a height that is given, so that no entry is looked at. */
static spk_status choose(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                         const spk_machine *machine, spk_row_panels_shape *chosen) {
  const spk_kernels *kernels = spk_active_kernels();
  spk_row_panels_shape one = {0};
  spk_status status = SPK_OK;
  for (int t = 0; t < THREAD_COUNTS; t++) {
    spk_row_panels_shape s = {0};
    const spk_status here =
        spk_choose_row_panels(A, width, block_rows, thread_counts[t], kernels, machine, &s);
    if (t == 0) one = s, status = here;
    CHECK(here == status, "%d threads decide", thread_counts[t]);
    if (here != SPK_OK) continue;
    /* Row panels may be lower for more threads: no sum depends on it. */
    CHECK(s.kernels == one.kernels && s.group == one.group && s.vectors == one.vectors &&
              s.paired_rows == one.paired_rows && s.blocks == one.blocks &&
              s.block_rows == one.block_rows,
          "%d threads", thread_counts[t]);
    CHECK(covers(s.block_rows, s.blocks, A->cols), "%td blocks of %td", s.blocks, s.block_rows);
    CHECK(s.block_rows <= SPK_MAX_BLOCK_ROWS, "blocks of %td", s.block_rows);
    CHECK(s.row_panel_rows > 0 && s.row_panel_rows <= SPK_ROW_PANEL_ROWS, "%td rows",
          s.row_panel_rows);
    CHECK(s.vectors >= 1 && s.vectors <= SPK_MAX_ROW_PANEL_VECTORS, "%d vectors", s.vectors);
    CHECK(s.group == 2 || s.group == 4 || (s.group == 8 && s.vectors == 1), "%d rows", s.group);
  }
  *chosen = one;
  return status;
}

static void check_product(const spk_row_panels *A, ptrdiff_t n, const spk_machine *machine) {
  for (int how = 0; how < DENSE_LAYOUTS * DENSE_LAYOUTS; how++) {
    const spk_dense B = dense_of(A->dtype, A->cols, n, dense_layouts[how % DENSE_LAYOUTS]);
    const spk_dense C = dense_of(A->dtype, A->rows, n, dense_layouts[how / DENSE_LAYOUTS]);
    spk_row_panels_plan one = {0};
    for (int t = 0; t < THREAD_COUNTS; t++) {
      spk_row_panels_plan p;
      spk_plan_row_panels(A, &B, &C, thread_counts[t], machine, &p);
      if (t == 0) one = p;
      CHECK(p.tile == one.tile && p.tiles == one.tiles && p.direct == one.direct &&
                p.stage == one.stage && p.in_place == one.in_place,
            "%d threads", thread_counts[t]);
      CHECK(covers(p.tile, p.tiles, n), "%td tiles of %td", p.tiles, p.tile);
      CHECK(p.parts >= 1 && p.parts <= spk_max(1, A->row_panels), "%td parts", p.parts);
      CHECK(p.threads >= 1 && p.threads <= p.parts * p.tiles, "%d threads", p.threads);
      CHECK(p.panel_bytes + p.stage_bytes + p.value_bytes <= spk_row_panels_workspace_limit(),
            "panel %zu, stage %zu, values %zu", p.panel_bytes, p.stage_bytes, p.value_bytes);
      ptrdiff_t next = 0;
      for (ptrdiff_t part = 0; part < p.parts; part++) {
        CHECK(spk_row_panels_part(A, part, p.parts) == next, "part %td", part);
        next = spk_row_panels_part(A, part + 1, p.parts);
      }
      CHECK(next == A->row_panels, "%td of %td row panels", next, A->row_panels);
    }
  }
}

/* As if A were packed so, with rows of about as many entries. */
static void check_packed(const spk_sparse *A, const spk_row_panels_shape *s, spk_storage storage,
                         const spk_machine *machine) {
  spk_row_panels packed = {.kernels = s->kernels,
                           .group = s->group,
                           .vectors = s->vectors,
                           .paired_rows = s->paired_rows,
                           .dtype = A->dtype,
                           .storage = storage,
                           .rows = A->rows,
                           .cols = A->cols,
                           .nnz = A->nnz,
                           .longest = spk_min(s->block_rows, A->nnz),
                           .row_panel_rows = s->row_panel_rows,
                           .row_panels = spk_ceil_div(A->rows, s->row_panel_rows),
                           .block_rows = s->block_rows,
                           .blocks = s->blocks};
  const size_t count = (size_t)packed.row_panels + 1;
  packed.weights = malloc(count * sizeof *packed.weights);
  const ptrdiff_t each = A->nnz / spk_max(1, packed.row_panels) + s->row_panel_rows;
  packed.weights[0] = 0;
  for (size_t i = 1; i < count; i++)
    packed.weights[i] = packed.weights[i - 1] + random_below(2 * each) + 1;
  for (int w = 0; w < WIDTHS; w++) {
    test_case("%td row panels, %td blocks of %td, times %td columns", packed.row_panels, s->blocks,
              s->block_rows, widths[w]);
    check_product(&packed, widths[w], machine);
  }
  free(packed.weights);
}

/* Row panels of which no thread has many more rows than another. */
static void check_even(void) {
  static const ptrdiff_t heights[] = {64, 128, 256};
  for (ptrdiff_t rows = 1; rows < 3000; rows += 1 + random_below(40))
    for (int h = 0; h < 3; h++)
      for (int t = 1; t <= 5; t++) {
        const ptrdiff_t height = spk_even_row_panels(rows, heights[h], t);
        const ptrdiff_t row_panels = spk_ceil_div(rows, height);
        test_case("%td rows by %td at most, %d threads", rows, heights[h], t);
        CHECK(height >= 1 && height <= heights[h], "%td rows", height);
        if (rows < t * heights[h]) continue;
        /* Heights are rounded to 8 rows. */
        const ptrdiff_t most = spk_ceil_div(row_panels, t) * height;
        const ptrdiff_t rounded = 8 * spk_round_up(spk_ceil_div(rows, heights[h]), t);
        CHECK(most * t <= rows + rounded, "%td of %td rows", most, rows);
      }
}

/* The height that the model says is best, against those that it was chosen among. */
static void check_block(const spk_sparse *A, ptrdiff_t vectors, const spk_machine *machine) {
  const spk_kernels *kernels = spk_active_kernels();
  const ptrdiff_t row = vectors * kernels->lanes[A->dtype] * (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t block = spk_row_panels_block(A, 0, vectors, kernels, machine);
  const ptrdiff_t most =
      spk_max(1, spk_min((ptrdiff_t)machine->l2_bytes / 2, SPK_MAX_PANEL_BYTES) / row);
  test_case("blocks of %td x %td, %td entries, %td vectors", A->rows, A->cols, A->nnz, vectors);
  CHECK(block >= 1 && block <= spk_min(most, A->cols), "%td rows, at most %td", block, most);
  const double cost = spk_row_panel_row_cost(A, 0, block, vectors, kernels, machine);
  const ptrdiff_t highest = spk_ceil_div(A->cols, spk_ceil_div(A->cols, most));
  CHECK(cost <= spk_row_panel_row_cost(A, 0, highest, vectors, kernels, machine),
        "%td rows, not %td", block, highest);
}

void check_row_panels(void) {
  check_even();
  static const ptrdiff_t heights[] = {1, 64, 1000, PTRDIFF_MAX};
  for (int s = 0; s < SHAPES; s++)
    for (int dtype = 0; dtype < 2; dtype++) {
      const spk_sparse A = sparse_of(SPK_CSR, (spk_dtype)dtype, &shapes[s], 1);
      const spk_machine *machine = &machines[(s + dtype) % MACHINES];
      for (int vectors = 1; vectors <= SPK_MAX_ROW_PANEL_VECTORS; vectors++)
        check_block(&A, vectors, machine);
      for (int w = 0; w < WIDTHS; w++)
        for (int h = 0; h < 4; h++) {
          test_case("row panels of %td x %td, %td entries, for %td columns, blocks of %td", A.rows,
                    A.cols, A.nnz, widths[w], heights[h]);
          spk_row_panels_shape chosen;
          const spk_status status = choose(&A, widths[w], heights[h], machine, &chosen);
          CHECK(status == SPK_OK || status == SPK_ERR_SPARSE, "%s", spk_status_string(status));
          if (status != SPK_OK || A.rows > 1000000 || (w + h) % 3) continue;
          check_packed(&A, &chosen, h % 2 && !dtype ? SPK_STORAGE_F16 : SPK_STORAGE_SAME, machine);
        }
    }
}
