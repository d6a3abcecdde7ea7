/* Numbers that plans rest on and that differ between instruction sets. */
#ifndef SPK_DISPATCH_TUNING_H
#define SPK_DISPATCH_TUNING_H

typedef struct spk_tuning {
  double l1_share; /* of L1, that a block of rows of B may take */
  /* FMAs on vectors per row of A and block of B that fits L1, from which on such blocks pay, */
  double segment;
  double wide_segment; /* and from which on tiles of 8 vectors are faster than those of 4. */
  /* SDDMM: entries per row of P and panel of Yt that fits L1, from which on such panels pay, */
  double sddmm_entries;
  double sddmm_bytes; /* and the bytes of Yt that these read. */
  /* Row panels: the widest tile, in vectors; in vector FMAs, what a load from L2 costs more and
   * what an entry costs besides its own; */
  int row_panel_vectors;
  double row_panel_miss, row_panel_entry;
  double fmas; /* vector FMAs a cycle. */
} spk_tuning;

/* For an ISA by its name; the general numbers where it has none of its own. */
const spk_tuning *spk_tuning_of(const char *isa);

#endif
