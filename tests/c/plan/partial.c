#include "../../../src/plan/partial_plan.h"

#include "plan.h"

/* Sums of parts are added in the order of the parts: these must not depend on the threads. */
static int same_bits(const spk_partial_plan *a, const spk_partial_plan *b, spk_format format) {
  return (format == SPK_CSR || (a->parts == b->parts && a->arrays == b->arrays)) &&
         a->tile == b->tile && a->tiles == b->tiles && a->by_blocks == b->by_blocks &&
         a->several == b->several && a->pack == b->pack;
}

static void check_plan(const spk_sparse *A, const spk_dense *B, const spk_machine *machine) {
  spk_partial_plan one = {0};
  int planned = 0;
  for (int t = 0; t < THREAD_COUNTS; t++) {
    spk_partial_plan p;
    const int how = spk_plan_partial(A, B, thread_counts[t], spk_active_kernels(), machine, &p);
    if (t == 0) planned = how;
    CHECK(how == planned, "%d threads decide", thread_counts[t]);
    if (!how) continue;
    if (t == 0) one = p;
    CHECK(same_bits(&p, &one, A->format), "%d threads", thread_counts[t]);
    CHECK(covers(p.tile, p.tiles, B->cols), "%td tiles of %td", p.tiles, p.tile);
    CHECK(p.parts > 0 && p.arrays > 0 && p.arrays <= p.parts && p.band > 0);
    /* CSR reads x where it lies. */
    CHECK(A->format == SPK_CSR || p.panel_rows > 0);
    CHECK(p.threads > 0, "%d threads", p.threads);
    CHECK(A->format == SPK_CSR || (p.parts <= 16 && p.threads <= p.parts), "%d threads, %td parts",
          p.threads, p.parts);
    const double bytes = (double)p.arrays * (double)p.sums_bytes + (double)p.copy_bytes;
    CHECK(bytes <= (double)SPK_MAX_PARTIAL_BYTES, "%g bytes of sums and copies", bytes);
    CHECK(p.panel_bytes <= spk_workspace_limit());
    const double sums = (double)A->rows * (double)p.tile * (double)spk_dtype_size(A->dtype);
    CHECK((double)p.sums_bytes >= sums, "%zu bytes", p.sums_bytes);
  }
}

void check_partial(void) {
  static const spk_format formats[] = {SPK_CSC, SPK_COO, SPK_CSR};
  for (int s = 0; s < SHAPES; s++)
    for (int f = 0; f < 3; f++)
      for (int dtype = 0; dtype < 2; dtype++)
        for (int w = 0; w < WIDTHS && (w == 0 || formats[f] != SPK_CSR); w++)
          for (int b = 0; b < DENSE_LAYOUTS; b++) {
            const spk_sparse A = sparse_of(formats[f], (spk_dtype)dtype, &shapes[s], 0);
            const spk_dense B = dense_of(A.dtype, A.cols, widths[w], dense_layouts[b]);
            test_case("partial sums, format %d, %td x %td, %td entries, %td columns, layout %d",
                      A.format, A.rows, A.cols, A.nnz, widths[w], dense_layouts[b]);
            check_plan(&A, &B, &machines[(s + w + b) % MACHINES]);
          }
}
