#include "../../../src/plan/int8_plan.h"

#include <stdlib.h>

#include "../../../src/pack/int8_gather4.h"
#include "plan.h"

static void check_product(const spk_int8_gather4 *A, ptrdiff_t n, const spk_machine *machine) {
  spk_int8_gather4_plan one = {0};
  for (int t = 0; t < THREAD_COUNTS; t++) {
    spk_int8_gather4_plan p;
    spk_plan_int8_gather4(A, n, thread_counts[t], machine, &p);
    if (t == 0) one = p;
    CHECK(p.tiles == one.tiles && p.stage_row_panels == one.stage_row_panels, "%d threads",
          thread_counts[t]);
    CHECK(covers(A->tile, p.tiles, n), "%td tiles", p.tiles);
    CHECK(p.parts >= 1 && p.parts <= spk_max(1, A->row_panels), "%td parts", p.parts);
    CHECK(p.threads >= 1 && p.threads <= p.parts * p.tiles, "%d threads", p.threads);
    CHECK(p.panel_bytes + p.stage_bytes <= spk_int8_gather4_workspace_limit(),
          "panel %zu, stage %zu", p.panel_bytes, p.stage_bytes);
    ptrdiff_t next = 0;
    for (ptrdiff_t part = 0; part < p.parts; part++) {
      CHECK(spk_int8_gather4_part(A, part, p.parts) == next, "part %td", part);
      next = spk_int8_gather4_part(A, part + 1, p.parts);
    }
    CHECK(next == A->row_panels, "%td of %td row panels", next, A->row_panels);
  }
}

static void check_packed(const spk_sparse *A, const spk_int8_gather4_shape *s,
                         const spk_machine *machine) {
  spk_int8_gather4 packed = {.kernels = s->kernels,
                             .rows = A->rows,
                             .cols = A->cols,
                             .nnz = A->nnz,
                             .tile = s->tile,
                             .row_panel_rows = s->row_panel_rows,
                             .row_panels = spk_ceil_div(A->rows, s->row_panel_rows),
                             .block_rows = s->block_rows,
                             .blocks = s->blocks};
  const size_t count = (size_t)packed.row_panels + 1;
  packed.weights = malloc(count * sizeof *packed.weights);
  for (size_t i = 0; i < count; i++) packed.weights[i] = (ptrdiff_t)(i * i);
  for (int w = 0; w < WIDTHS; w++) {
    test_case("int8, %td row panels, %td blocks, times %td columns", packed.row_panels, s->blocks,
              widths[w]);
    check_product(&packed, widths[w], machine);
  }
  free(packed.weights);
}

void check_int8(void) {
  const spk_kernels *kernels = spk_active_kernels();
  for (int s = 0; s < SHAPES; s++)
    for (int m = 0; m < MACHINES; m++) {
      const spk_sparse A = sparse_of(SPK_CSR, SPK_F32, &shapes[s], 1);
      spk_int8_gather4_shape one = {0};
      spk_status status = SPK_OK;
      for (int t = 0; t < THREAD_COUNTS; t++) {
        test_case("int8 of %td x %td, %td entries, %d threads", A.rows, A.cols, A.nnz,
                  thread_counts[t]);
        spk_int8_gather4_shape shape = {0};
        const spk_status here =
            spk_choose_int8_gather4(&A, thread_counts[t], kernels, &machines[m], &shape);
        if (t == 0) one = shape, status = here;
        CHECK(here == status, "threads decide");
        CHECK(here == SPK_OK || here == SPK_ERR_SPARSE, "%s", spk_status_string(here));
        if (here != SPK_OK) continue;
        CHECK(covers(shape.block_rows, shape.blocks, A.cols), "%td blocks of %td", shape.blocks,
              shape.block_rows);
        CHECK(shape.block_rows * shape.tile <= SPK_MAX_PANEL_BYTES, "blocks of %td",
              shape.block_rows);
        CHECK(shape.row_panel_rows > 0 && shape.row_panel_rows <= SPK_INT8_GATHER4_PANEL_ROWS);
        CHECK(shape.block_rows == one.block_rows && shape.tile == one.tile);
      }
      if (status == SPK_OK && A.rows <= 1000000) check_packed(&A, &one, &machines[m]);
    }
}
