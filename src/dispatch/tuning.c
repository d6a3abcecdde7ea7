#include "tuning.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "cpu.h"

/* Blocking for L1 costs a store and a mispredicted loop end per row and block. So it pays only for
 * long segments, and the limits differ between machines.
 *
 * General: measured with AVX-512 (L1 48 KiB, L2 64 bytes a cycle): 83 against 53 GFLOP/s at 288
 * FMAs per segment, 47 against 71 at 172.  Tiles of 8 vectors were slower than 4 everywhere, as the
 * panel leaves L1 earlier.
 *
 * AVX2: measured on Zen 3 (L1 32 KiB, L2 32 bytes a cycle, so that products from L2 reach half of
 * peak at most).  Of the deep-learning matrices at N = 512, those below 75% sparsity ran 1.05 to
 * 1.14 times as fast with tiles of 8 vectors, and those above 80% up to 1.2 times slower.  In
 * SDDMM, panels that fit L1 gave 1.08 to 1.3 at k = 128 from 16 entries per row and panel on.  They
 * cost a third at k = 64 with 16 to 27 entries, because the ragged end of each row of a panel
 * weighs more where dot products are short.
 *
 * AVX-512 of AMD: measured on Zen 4 (L1 32 KiB, L2 32 bytes a cycle, one load of 64 bytes a cycle).
 * Per core, the general numbers gave 51 GFLOP/s below 55% sparsity and up to 75%; the numbers of
 * this row give 73 to 77, and 58 to 64.  Above 75%, all are within 4%.  In SDDMM, panels that fit
 * L1 never paid (random masks, k = 128: 44 GFLOP/s with panels, 47 without).
 *
 * row_panel_miss: 1 is right for blocks of 64 to 512 rows with AVX-512 on Zen 4.  With AVX2 there,
 * 1 chose blocks larger than L1 that gave 72 GFLOP/s below 55% sparsity, while blocks of L1 and of
 * half of L1 gave 79 and 80.  Above 75% sparsity, the larger blocks were right.  row_panel_entry:
 * one vector of columns takes 1.5 cycles per entry with AVX-512 on Zen 4, and four vectors take
 * 4.75; with AVX2, 1 and 2.7. */
static const struct {
  const char *isa;
  int (*machine)(void); /* NULL: any machine */
  spk_tuning tuning;
} rows[] = {
    {NULL,
     NULL,
     {.l1_share = 0.75,
      .segment = 256,
      .wide_segment = INFINITY,
      .sddmm_entries = 24,
      .sddmm_bytes = 0,
      .row_panel_vectors = 4,
      .row_panel_miss = 1.0,
      .row_panel_entry = 0.75,
      .fmas = 2.0}},
    {"avx512",
     spk_cpu_is_amd,
     {.l1_share = 0.9,
      .segment = 100,
      .wide_segment = 150,
      .sddmm_entries = INFINITY,
      .sddmm_bytes = 0,
      .row_panel_vectors = 4,
      .row_panel_miss = 1.0,
      .row_panel_entry = 0.5,
      .fmas = 1.0}},
    {"avx2",
     NULL,
     {.l1_share = 0.9,
      .segment = 160,
      .wide_segment = 200,
      .sddmm_entries = 16,
      .sddmm_bytes = 11 << 10,
      .row_panel_vectors = 4,
      .row_panel_miss = 1.5,
      .row_panel_entry = 1.0,
      .fmas = 2.0}},
};

const spk_tuning *spk_tuning_of(const char *isa) {
  for (size_t i = 1; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].isa, isa) == 0 && (!rows[i].machine || rows[i].machine()))
      return &rows[i].tuning;
  return &rows[0].tuning;
}
