#include "../../../src/plan/sddmm_plan.h"

#include "plan.h"

static int same_bits(const spk_sddmm_plan *a, const spk_sddmm_plan *b) {
  return a->strided == b->strided && a->tiles == b->tiles && a->pack_x == b->pack_x &&
         a->pack_y == b->pack_y && a->copy_y == b->copy_y && a->ld == b->ld &&
         a->panel_rows == b->panel_rows && a->panels == b->panels;
}

static void check_plan(const spk_sparse *P, const spk_column_runs *runs, const spk_dense *X,
                       const spk_dense *Yt, const spk_machine *machine) {
  spk_sddmm_plan one = {0};
  for (int t = 0; t < THREAD_COUNTS; t++) {
    spk_sddmm_plan p;
    spk_plan_sddmm(P, runs, X, Yt, thread_counts[t], machine, &p);
    if (t == 0) one = p;
    CHECK(same_bits(&p, &one), "%d threads", thread_counts[t]);
    CHECK(covers(p.panel_rows, p.panels, Yt->rows), "%td panels of %td", p.panels, p.panel_rows);
    CHECK(p.panels == 1 || (P->flags & SPK_SORTED), "%td panels of rows in any order", p.panels);
    CHECK(p.ld >= X->cols && p.ld * (ptrdiff_t)spk_dtype_size(P->dtype) % SPK_ALIGN == 0);
    CHECK(p.row_chunk > 0 && p.threads > 0 && p.threads <= p.parts, "%d threads, %td parts",
          p.threads, p.parts);
    CHECK(!p.strided || !(p.pack_x || p.pack_y || p.copy_y || p.tiles));
    const size_t each = p.x_bytes + p.y_bytes + p.offset_bytes + p.block_bytes + p.tile_bytes;
    CHECK(each + (size_t)spk_min((ptrdiff_t)p.cut_bytes, MAX_CUTS) <= spk_workspace_limit(),
          "%zu bytes", each);
    CHECK(cuts_fit(p.cut_bytes, 1, p.panels, P->itype), "%zu bytes of cuts", p.cut_bytes);
    CHECK(p.copy_bytes <= (size_t)16 << 20, "%zu bytes are copied", p.copy_bytes);
  }
}

static void check_formats(const shape *s, spk_dtype dtype, ptrdiff_t k) {
  static const spk_format formats[] = {SPK_CSR, SPK_COO, SPK_BSR};
  /* Whose tiles have few columns together, and so are worth it. */
  const spk_column_runs none = {.rows = s->rows, .cols = s->cols, .nnz = s->entries};
  for (int f = 0; f < 3; f++)
    for (int how = 0; how < DENSE_LAYOUTS * DENSE_LAYOUTS * 2; how++) {
      const layout x_layout = dense_layouts[how % DENSE_LAYOUTS];
      const layout y_layout = dense_layouts[how / DENSE_LAYOUTS % DENSE_LAYOUTS];
      const int sorted = how / (DENSE_LAYOUTS * DENSE_LAYOUTS);
      spk_sparse P = sparse_of(formats[f], dtype, s, sorted);
      if (P.format == SPK_BSR) {
        if (P.rows % 8 || P.cols % 8) continue;
        P.block_rows = P.block_cols = 8;
      }
      const spk_dense X = dense_of(dtype, P.rows, k, x_layout);
      const spk_dense Yt = dense_of(dtype, P.cols, k, y_layout);
      test_case("sampled, format %d, %td x %td, %td entries, k = %td, layouts %d %d, sorted %d",
                P.format, P.rows, P.cols, P.nnz, k, x_layout, y_layout, sorted);
      check_plan(&P, &none, &X, &Yt, &machines[how % MACHINES]);
    }
}

/* What makes a tile worth it: more entries, and fewer columns and runs. */
static void check_worth(void) {
  for (double k = 8; k <= 512; k *= 4)
    for (double entries = 32; entries < 20000; entries *= 3)
      for (double columns = entries / 16; columns <= entries; columns *= 2) {
        test_case("tile of %g entries in %g columns, k = %g", entries, columns, k);
        if (!spk_worth_a_tile(k, entries, columns, 16)) continue;
        CHECK(spk_worth_a_tile(k, entries + 1, columns, 16));
        CHECK(spk_worth_a_tile(k, entries, columns - 1, 16));
        CHECK(spk_worth_a_tile(k, entries, columns, 15));
        CHECK(columns < entries, "of columns that no two rows have");
      }
}

static void check_consecutive(void) {
  test_case("consecutive columns");
  enum { COUNT = 65 };
  int32_t indices[COUNT];
  for (int p = 0; p < COUNT; p++) indices[p] = p;
  CHECK(spk_consecutive(indices, SPK_I32, 0, COUNT, COUNT - 1) == COUNT - 1);
  for (int p = 0; p < COUNT; p++) indices[p] = 2 * p;
  CHECK(spk_consecutive(indices, SPK_I32, 0, COUNT, COUNT - 1) == 0);
  CHECK(spk_consecutive(indices, SPK_I32, 0, 0, 0) == 0);
}

void check_sddmm(void) {
  static const ptrdiff_t inner[] = {0, 1, 8, 64, 129, 4096, (ptrdiff_t)1 << 30};
  for (int s = 0; s < SHAPES; s++)
    for (int dtype = 0; dtype < 2; dtype++)
      for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        check_formats(&shapes[s], (spk_dtype)dtype, inner[i]);
  check_worth();
  check_consecutive();
}
