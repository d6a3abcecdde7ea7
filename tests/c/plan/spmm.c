#include "../../../src/plan/spmm_plan.h"

#include "plan.h"

/* What the order of a sum, or the kernel, follows from. */
static int same_bits(const spk_spmm_plan *a, const spk_spmm_plan *b) {
  return a->strided == b->strided && a->pack == b->pack && a->copy == b->copy &&
         a->stage == b->stage && a->apart == b->apart && a->hollow == b->hollow &&
         a->tile == b->tile && a->tiles == b->tiles && a->copy_ld == b->copy_ld &&
         a->panel_rows == b->panel_rows && a->block_rows == b->block_rows && a->blocks == b->blocks;
}

static void check_gather_plan(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                              int keeps, const spk_machine *machine) {
  const spk_kernels *kernels = spk_active_kernels();
  const ptrdiff_t n = B->cols, k = B->rows, lanes = kernels->lanes[A->dtype];
  spk_spmm_plan one = {0};
  for (int t = 0; t < THREAD_COUNTS; t++) {
    spk_spmm_plan p;
    spk_plan_gather(A, B, C, keeps, thread_counts[t], kernels, machine, &p);
    CHECK(covers(p.tile, p.tiles, n), "%td tiles of %td", p.tiles, p.tile);
    CHECK(p.strided || p.tile % lanes == 0, "tiles of %td", p.tile);
    CHECK(covers(p.block_rows, p.blocks, k), "%td blocks of %td", p.blocks, p.block_rows);
    CHECK(p.panel_rows >= k || p.panel_rows % p.block_rows == 0, "panels of %td, blocks of %td",
          p.panel_rows, p.block_rows);
    CHECK(p.copy_tiles > 0 && p.row_chunk > 0 && p.band_rows > 0);
    CHECK(p.col_parts > 0 && p.row_parts > 0 && p.threads > 0);
    CHECK(p.threads <= p.col_parts * p.row_parts, "%d threads", p.threads);
    const size_t each = p.panel_bytes + p.stage_bytes + p.offset_bytes;
    CHECK(each + MAX_CUTS <= spk_gather_workspace_limit(), "panel %zu, stage %zu, offsets %zu",
          p.panel_bytes, p.stage_bytes, p.offset_bytes);
    CHECK(cuts_fit(p.cut_bytes, thread_counts[t], p.blocks, A->itype), "%zu bytes of cuts",
          p.cut_bytes);
    CHECK(p.copy_bytes <= spk_shared_limit(k), "%zu bytes are copied", p.copy_bytes);
    if (t == 0) one = p;
    CHECK(same_bits(&p, &one), "%d threads", thread_counts[t]);
  }
}

static void check_scatter_plan(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                               int keeps, const spk_machine *machine) {
  for (int t = 0; t < THREAD_COUNTS; t++) {
    spk_spmm_plan p;
    spk_plan_scatter(A, B, C, keeps, thread_counts[t], spk_active_kernels(), machine, &p);
    CHECK(covers(p.tile, p.tiles, B->cols), "%td tiles of %td", p.tiles, p.tile);
    CHECK(p.row_chunk > 0 && p.threads > 0 && p.threads <= p.col_parts, "%d threads", p.threads);
    CHECK(p.col_parts <= p.tiles, "%td parts of %td tiles", p.col_parts, p.tiles);
    CHECK(p.panel_bytes + p.stage_bytes <= spk_gather_workspace_limit(), "panel %zu, stage %zu",
          p.panel_bytes, p.stage_bytes);
    /* Threads have columns of their own, and stages where these may meet. */
    if (p.threads > 1)
      CHECK(p.strided || (p.stage && p.row_chunk == spk_max(1, A->rows)), "%td of %td rows",
            p.row_chunk, A->rows);
  }
}

typedef void (*check_plan)(const spk_sparse *, const spk_dense *, const spk_dense *, int,
                           const spk_machine *);

static void check_layouts(spk_sparse A, ptrdiff_t block, check_plan check) {
  A.block_rows = A.block_cols = block;
  for (int w = 0; w < WIDTHS; w++)
    for (int how = 0; how < DENSE_LAYOUTS * DENSE_LAYOUTS * 2 * MACHINES; how++) {
      const layout b_layout = dense_layouts[how % DENSE_LAYOUTS];
      const layout c_layout = dense_layouts[how / DENSE_LAYOUTS % DENSE_LAYOUTS];
      const int keeps = how / (DENSE_LAYOUTS * DENSE_LAYOUTS) % 2;
      const spk_machine *machine = &machines[how % MACHINES];
      const spk_dense B = dense_of(A.dtype, A.cols, widths[w], b_layout);
      const spk_dense C = dense_of(A.dtype, A.rows, widths[w], c_layout);
      test_case(
          "format %d, %td x %td, %td entries, blocks of %td, %td columns, layouts %d %d, "
          "keeps %d, flags %d",
          A.format, A.rows, A.cols, A.nnz, block, widths[w], b_layout, c_layout, keeps,
          (int)A.flags);
      check(&A, &B, &C, keeps, machine);
    }
}

void check_gather(void) {
  for (int s = 0; s < SHAPES; s++)
    for (int dtype = 0; dtype < 2; dtype++)
      for (int sorted = 0; sorted < 2; sorted++) {
        check_layouts(sparse_of(SPK_CSR, (spk_dtype)dtype, &shapes[s], sorted), 1,
                      check_gather_plan);
        if (sorted)
          check_layouts(sparse_of(SPK_COO, (spk_dtype)dtype, &shapes[s], 1), 1, check_gather_plan);
        if (shapes[s].rows % 8 == 0 && shapes[s].cols % 8 == 0)
          for (ptrdiff_t block = 2; block <= 8; block *= 2)
            check_layouts(sparse_of(SPK_BSR, (spk_dtype)dtype, &shapes[s], sorted), block,
                          check_gather_plan);
      }
}

void check_scatter(void) {
  for (int s = 0; s < SHAPES; s++)
    for (int dtype = 0; dtype < 2; dtype++) {
      check_layouts(sparse_of(SPK_CSC, (spk_dtype)dtype, &shapes[s], 1), 1, check_scatter_plan);
      check_layouts(sparse_of(SPK_COO, (spk_dtype)dtype, &shapes[s], 0), 1, check_scatter_plan);
    }
}
