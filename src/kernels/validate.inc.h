/* Validates index arrays: plain loops that the compiler turns into vector minima and counts. */
#include "names.inc.h"
#define U SPK_CAT2(u, I)

/* Whether indices lie in [0, bound): none of `i | (bound - 1 - i)` is negative, which every ISA
 * tests in three operations; AVX2 has no unsigned comparison.  Descents are counted over the whole
 * array; the caller subtracts those between rows. */
static int FI(validate_indices)(const void *indices, ptrdiff_t count, ptrdiff_t bound,
                                ptrdiff_t *descents) {
  const I *idx = indices;
  const ptrdiff_t most = sizeof(I) == 4 ? (ptrdiff_t)INT32_MAX : PTRDIFF_MAX;
  const U last = (U)(bound > most ? most : bound - 1);
  ptrdiff_t falls = 0;
  for (ptrdiff_t p = 0; p < count;) {
    /* Blocks keep the counters as narrow as the indices. */
    const ptrdiff_t stop = spk_min(count, p + 4096);
    U outside = 0;
    I fell = 0;
    for (ptrdiff_t q = p; q < stop; q++) outside |= (U)idx[q] | (last - (U)idx[q]);
    if (descents)
      for (ptrdiff_t q = spk_max(p, 1); q < stop; q++) fell += idx[q] < idx[q - 1];
    if ((I)outside < 0) return 0;
    falls += (ptrdiff_t)fell;
    p = stop;
  }
  if (descents) *descents = falls;
  return 1;
}

/* The bytes that are checked together: whole vectors of any ISA. */
#define TOGETHER 64
#define COUNT (TOGETHER / (ptrdiff_t)sizeof(I))
#ifdef __GNUC__
typedef U FI(many) __attribute__((vector_size(TOGETHER)));
#else
typedef struct FI(many) {
  U lane[TOGETHER / sizeof(U)];
} FI(many);
#endif

/* The sign of a lane says whether one of its indices is outside. */
SPK_INLINE void FI(look)(FI(many) * found, const I *idx, U last) {
  FI(many) i;
  memcpy(&i, idx, sizeof i);
#ifdef __GNUC__
  *found |= i | (last - i);
#else
  for (ptrdiff_t u = 0; u < COUNT; u++) found->lane[u] |= i.lane[u] | (last - i.lane[u]);
#endif
}

/* Validates columns of some dozens of indices each.  It avoids a call, a tail of single indices
 * (the last indices of a column are checked twice) and a sum of lanes per column: 1.2 us for 21,000
 * indices of 205 columns, where validate_indices column by column took 1.9
 * (doc/decisions/vectors.rst, decision-active-checks). */
static spk_status FI(validate_columns)(const void *offsets, const void *indices, const void *ids,
                                       ptrdiff_t count, ptrdiff_t rows, ptrdiff_t nnz) {
  const I *off = offsets, *idx = indices, *columns = ids;
  const ptrdiff_t most = sizeof(I) == 4 ? (ptrdiff_t)INT32_MAX : PTRDIFF_MAX;
  const U last = (U)(rows > most ? most : rows - 1);
  FI(many) found;
  U few = 0, lanes[TOGETHER / sizeof(U)];
  memset(&found, 0, sizeof found);
  for (ptrdiff_t c = 0; c < count; c++) {
    ptrdiff_t p = off[columns[c]];
    const ptrdiff_t stop = off[columns[c] + 1];
    if (p < 0 || stop < p || stop > nnz) return SPK_ERR_INDPTR;
    if (stop - p < COUNT) {
      for (; p < stop; p++) few |= (U)idx[p] | (last - (U)idx[p]);
    } else {
      for (; p < stop - COUNT; p += COUNT) FI(look)(&found, idx + p, last);
      FI(look)(&found, idx + stop - COUNT, last);
    }
  }
  memcpy(lanes, &found, sizeof lanes);
  for (ptrdiff_t u = 0; u < COUNT; u++) few |= lanes[u];
  return (I)few < 0 ? SPK_ERR_INDEX : SPK_OK;
}
#undef COUNT
#undef TOGETHER

static int FI(validate_offsets)(const void *offsets, ptrdiff_t count, ptrdiff_t nnz) {
  const I *off = offsets;
  int bad = 0;
  for (ptrdiff_t i = 1; i < count; i++) bad |= off[i] < off[i - 1];
  return !bad && off[0] == 0 && off[count - 1] >= 0 && (ptrdiff_t)off[count - 1] <= nnz;
}

static void FI(cut_rows)(const void *indices, const void *offsets, ptrdiff_t rows, ptrdiff_t width,
                         ptrdiff_t blocks, void *cuts, ptrdiff_t ld) {
  const I *idx = indices, *off = offsets;
  I *cut = cuts;
  for (ptrdiff_t i = 0; i < rows; i++) {
    I low = off[i];
    const I stop = off[i + 1];
    cut[i] = low;
    for (ptrdiff_t b = 1; b < blocks; b++) {
      /* Find the lower bound of b * width in the rest of the row, without branches that a predictor
       * would have to know. */
      const ptrdiff_t bound = b * width;
      ptrdiff_t length = stop - low;
      while (length > 0) {
        const ptrdiff_t half = length / 2;
        const int below = (ptrdiff_t)idx[low + half] < bound;
        low = below ? (I)(low + half + 1) : low;
        length = below ? length - half - 1 : half;
      }
      cut[b * ld + i] = low;
    }
    cut[blocks * ld + i] = stop;
  }
}

/* Whether `count` indices are first, first + 1, ... */
SPK_INLINE int FI(follow)(const I *idx, U first, const int count) {
  U different = 0;
  for (int u = 0; u < count; u++) different |= (U)idx[u] - (first + (U)u);
  return different == 0;
}

/* The last index of a block rules out most blocks that are no run at once.  All indices are
 * compared then, because repeated indices may make up for missing ones. */
static ptrdiff_t FI(run_length)(const void *indices, ptrdiff_t count) {
  const I *idx = indices;
  const U first = (U)idx[0];
  ptrdiff_t p = 1;
  for (; p + 64 <= count; p += 64) {
    const ptrdiff_t last = p + 63;
    if ((U)idx[last] != first + (U)last || !FI(follow)(idx + p, first + (U)p, 64)) break;
  }
  for (; p + 8 <= count; p += 8) {
    const ptrdiff_t last = p + 7;
    if ((U)idx[last] != first + (U)last || !FI(follow)(idx + p, first + (U)p, 8)) break;
  }
  while (p < count && (U)idx[p] == first + (U)p) p++;
  return p;
}

#undef U
