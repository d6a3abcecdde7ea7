#include "dispatch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../threads/parallel.h"
#include "cpu.h"

#define MAX_ISAS 4

static pthread_once_t once = PTHREAD_ONCE_INIT;
static spk_kernels active; /* the portable kernels, overridden by those of the chosen ISA */
static spk_kernels narrow; /* the same for an ISA with half the lanes */
static spk_kernels bytes;  /* the same for values of int8_block4, numbers of four bytes */
static spk_machine machine;
static const char *available[MAX_ISAS + 1];
static int usable;

static int always(void) { return 1; }

#ifdef SPK_HAVE_AVX2
#define AVX2_KERNELS (&spk_kernels__avx2)
#else
#define AVX2_KERNELS NULL
#endif

#ifdef SPK_HAVE_AVX512_VNNI
#define VNNI_KERNELS (&spk_kernels__avx512_vnni)
#define VNNI_BYTES (&spk_kernels__avx512_vnni_bytes)
#else
#define VNNI_KERNELS NULL
#define VNNI_BYTES NULL
#endif

#ifdef SPK_HAVE_AVX512_VBMI2
#define VBMI2_KERNELS (&spk_kernels__avx512_vbmi2)
#else
#define VBMI2_KERNELS NULL
#endif

#ifdef SPK_HAVE_AVX2_VNNI
#define AVX_VNNI_KERNELS (&spk_kernels__avx2_vnni)
#define AVX_VNNI_BYTES (&spk_kernels__avx2_vnni_bytes)
#else
#define AVX_VNNI_KERNELS NULL
#define AVX_VNNI_BYTES NULL
#endif

/* From the narrowest to the widest ISA.  narrow: an ISA with half the lanes that every CPU with
 * this ISA has, too.  more, bytes: overlay tables for CPUs that pass has_more; `bytes` is for
 * numbers of four bytes.  other_bytes: the same for other CPUs.  expanding: an overlay table for
 * CPUs that pass has_expanding. */
static const struct {
  const spk_kernels *kernels, *narrow;
  int (*supported)(void);
  int (*has_more)(void);
  const spk_kernels *more, *bytes, *other_bytes;
  int (*has_expanding)(void);
  const spk_kernels *expanding;
} builds[] = {
    {&spk_kernels__scalar, NULL, always, NULL, NULL, NULL, NULL, NULL, NULL},
#ifdef SPK_HAVE_AVX2
    {&spk_kernels__avx2, NULL, spk_cpu_has_avx2, spk_cpu_has_avx_vnni, AVX_VNNI_KERNELS,
     AVX_VNNI_BYTES, &spk_kernels__avx2_pairs_bytes, NULL, NULL},
#endif
#ifdef SPK_HAVE_AVX512
    {&spk_kernels__avx512, AVX2_KERNELS, spk_cpu_has_avx512, spk_cpu_has_avx512_vnni, VNNI_KERNELS,
     VNNI_BYTES, NULL, spk_cpu_has_avx512_vbmi2, VBMI2_KERNELS},
#endif
#ifdef SPK_HAVE_NEON
    {&spk_kernels__neon, NULL, always, NULL, NULL, NULL, NULL, NULL, NULL},
#endif
};

/* An ISA may leave an entry NULL if it has no better kernel than the table has already. */
static void override(spk_kernels *table, const spk_kernels *with) {
#define SPK_KERNEL_I(field, fn) \
  for (int i = 0; i < 2; i++)   \
    if (with->field[i]) table->field[i] = with->field[i];
#define SPK_KERNEL(field, fn) \
  if (with->field) table->field = with->field;
#define SPK_KERNEL_T(field, fn) SPK_KERNEL_I(field, fn)
#define SPK_KERNEL_T_PERMUTE SPK_KERNEL_T
#define SPK_KERNEL_T_PAIRED SPK_KERNEL_T
#define SPK_KERNEL_TV(field, fn, most) \
  for (int t = 0; t < 2; t++)          \
    for (int v = 0; v < most; v++)     \
      if (with->field[t][v]) table->field[t][v] = with->field[t][v];
#define SPK_KERNEL_TI(field, fn) \
  for (int t = 0; t < 2; t++) SPK_KERNEL_I(field[t], fn)
#define SPK_KERNEL_TIV(field, fn, most) \
  for (int t = 0; t < 2; t++)           \
    for (int j = 0; j < 2; j++)         \
      for (int v = 0; v < most; v++)    \
        if (with->field[t][j][v]) table->field[t][j][v] = with->field[t][j][v];
#include "../kernels/kernels.def"
#undef SPK_KERNEL
#undef SPK_KERNEL_I
#undef SPK_KERNEL_T
#undef SPK_KERNEL_T_PERMUTE
#undef SPK_KERNEL_T_PAIRED
#undef SPK_KERNEL_TI
#undef SPK_KERNEL_TIV
#undef SPK_KERNEL_TV
}

static void become(spk_kernels *table, const spk_kernels *with) {
  *table = spk_kernels__scalar;
  override(table, with);
  table->isa = with->isa;
  memcpy(table->lanes, with->lanes, sizeof table->lanes);
  table->registers = with->registers;
  table->permute_bits = with->permute_bits;
}

/* Whether an overlay may be used: the kernels below it can be tested, and measured, where the CPU
 * has more. */
static int allowed(const char *variable) {
  const char *value = getenv(variable);
  return !value || strcmp(value, "0");
}

static void choose(void) {
  spk_parallel_init();
  const char *forced = getenv("SPKERNELS_ISA");
  const int vnni = allowed("SPKERNELS_VNNI"), vbmi2 = allowed("SPKERNELS_VBMI2");
  const spk_kernels *chosen = NULL, *half = NULL, *more = NULL, *with_bytes = NULL,
                    *expanding = NULL;
  int count = 0;
  for (size_t i = 0; i < sizeof builds / sizeof *builds; i++) {
    if (!builds[i].supported()) continue;
    available[count++] = builds[i].kernels->isa;
    if (forced && *forced && strcmp(forced, builds[i].kernels->isa)) continue;
    chosen = builds[i].kernels;
    half = builds[i].narrow;
    const int has_more = builds[i].more && vnni && builds[i].has_more();
    more = has_more ? builds[i].more : NULL;
    expanding =
        builds[i].expanding && vbmi2 && builds[i].has_expanding() ? builds[i].expanding : NULL;
    with_bytes = has_more ? builds[i].bytes : builds[i].other_bytes;
  }
  machine.l1_bytes = spk_cpu_l1_bytes();
  machine.l2_bytes = spk_cpu_l2_bytes();
  if (!chosen) return;
  become(&active, chosen);
  if (more) override(&active, more);
  if (expanding) override(&active, expanding);
  if (with_bytes) {
    bytes = active;
    bytes.number_values = with_bytes->number_values;
    override(&bytes, with_bytes);
    active.bytes = &bytes;
  }
  if (half) {
    become(&narrow, half);
    narrow.halved = 1;
    /* The narrow table takes these kernels, too: they handle a panel of half a vector with whole
     * vectors. */
    memcpy(narrow.spmm_paired_rows_half, active.spmm_paired_rows_half,
           sizeof narrow.spmm_paired_rows_half);
    active.narrow = &narrow;
    machine.narrow_tuning = *spk_tuning_of(half->isa);
  }
  machine.tuning = *spk_tuning_of(chosen->isa);
  usable = 1;
}

const spk_kernels *spk_active_kernels(void) {
  pthread_once(&once, choose);
  return usable ? &active : NULL;
}

const spk_machine *spk_active_machine(void) {
  pthread_once(&once, choose);
  return &machine;
}

const char *const *spk_available_isas(void) {
  pthread_once(&once, choose);
  return available;
}
