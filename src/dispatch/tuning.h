/* Numbers that plans rest on and that differ between instruction sets. */
#ifndef SPK_DISPATCH_TUNING_H
#define SPK_DISPATCH_TUNING_H

typedef struct spk_tuning {
  double l1_share; /* the share of L1 that a block of rows of B may take */
  /* Vector FMAs per row of A and block of B that fits L1 from which on such blocks pay. */
  double segment;
  /* Vector FMAs per row and block from which on tiles of 8 vectors are faster than tiles of 4. */
  double wide_segment;
  /* SDDMM: entries per row of P and panel of Y transposed from which on panels that fit L1 pay. */
  double sddmm_entries;
  /* SDDMM: bytes of Y transposed that a row of P reads of a panel, from which on such panels pay.
   */
  double sddmm_bytes;
  /* Row panels: the widest tile, in vectors.  In vector FMAs: what a load from L2 costs more than a
   * load from L1, and what an entry costs besides its own FMAs. */
  int row_panel_vectors;
  double row_panel_miss, row_panel_entry;
  double fmas; /* vector FMAs per cycle */
} spk_tuning;

/* The numbers of an ISA, by its name; the general ones if it has no numbers of its own. */
const spk_tuning *spk_tuning_of(const char *isa);

#endif
