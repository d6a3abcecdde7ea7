#include "checks.h"

#include <math.h>

#include "../../../src/common/float16.h"
#include "fixtures.h"

static const spk_storage storages[] = {SPK_STORAGE_F16, SPK_STORAGE_BF16, SPK_STORAGE_S8,
                                       SPK_STORAGE_S4};
static const char *const names[] = {"float16", "bfloat16", "int8", "int4"};
enum { STORAGES = 4, MAX_PIECES = 6, BITMAP_ROWS = 9 };

/* A bitmap, and each of its elements as a number. */
typedef struct bitmap {
  spk_storage storage;
  ptrdiff_t pieces, group, groups;
  uint64_t *bits;
  ptrdiff_t *begin;
  uint8_t *values;
  float *scales;
  double dense[BITMAP_ROWS][MAX_PIECES * SPK_PIECE];
} bitmap;

static ptrdiff_t bytes_of(spk_storage storage, ptrdiff_t count) {
  return storage == SPK_STORAGE_S4   ? (count + 1) / 2
         : storage == SPK_STORAGE_S8 ? count
                                     : 2 * count;
}

/* Store a random value as number `at` of a row, and return it. */
static double put_random(bitmap *m, uint8_t *row, ptrdiff_t at) {
  const int number = (int)random_below(15) - 7;
  if (m->storage == SPK_STORAGE_S8) {
    const int8_t value = (int8_t)(random_below(255) - 127);
    memcpy(row + at, &value, 1);
    return value;
  }
  if (m->storage == SPK_STORAGE_S4) {
    row[at / 2] =
        at % 2 ? (uint8_t)((row[at / 2] & 15) | (number & 15) << 4) : (uint8_t)(number & 15);
    return number;
  }
  const float value = (float)number / 4;
  const uint16_t half = m->storage == SPK_STORAGE_F16 ? spk_to_f16(value) : spk_to_bf16(value);
  memcpy(row + 2 * at, &half, sizeof half);
  return value;
}

/* Rows from empty to full.  What lies behind the values is not zero. */
static bitmap random_bitmap(spk_storage storage, ptrdiff_t pieces, ptrdiff_t group) {
  const ptrdiff_t cols = pieces * SPK_PIECE, scaled = storage >= SPK_STORAGE_S8;
  bitmap m = {.storage = storage, .pieces = pieces, .group = group};
  m.groups = scaled ? spk_ceil_div(cols, group) : 0;
  m.bits = exact_memory((size_t)(BITMAP_ROWS * pieces) * sizeof *m.bits);
  m.begin = exact_memory((BITMAP_ROWS + 1) * sizeof *m.begin);
  m.begin[0] = 0;
  for (int i = 0; i < BITMAP_ROWS; i++) {
    ptrdiff_t count = 0;
    for (ptrdiff_t c = 0; c < cols; c++) {
      const uint64_t bit = random_below(BITMAP_ROWS - 1) < i;
      if (c % SPK_PIECE == 0) m.bits[i * pieces + c / SPK_PIECE] = 0;
      m.bits[i * pieces + c / SPK_PIECE] |= bit << c % SPK_PIECE;
      count += (ptrdiff_t)bit;
    }
    m.begin[i + 1] = m.begin[i] + (storage == SPK_STORAGE_S4 ? count + count % 2 : count);
  }
  const ptrdiff_t bytes = bytes_of(storage, m.begin[BITMAP_ROWS]) + SPK_EXPAND_BYTES;
  m.values = exact_memory((size_t)bytes);
  memset(m.values, 0x7f, (size_t)bytes);
  if (scaled) m.scales = exact_memory((size_t)(BITMAP_ROWS * m.groups) * sizeof *m.scales);
  for (ptrdiff_t i = 0; i < BITMAP_ROWS * m.groups; i++) m.scales[i] = (float)random_number();
  for (int i = 0; i < BITMAP_ROWS; i++) {
    uint8_t *row = m.values + bytes_of(storage, m.begin[i]);
    ptrdiff_t at = 0;
    for (ptrdiff_t c = 0; c < cols; c++) {
      m.dense[i][c] = 0;
      if (!(m.bits[i * pieces + c / SPK_PIECE] >> c % SPK_PIECE & 1)) continue;
      m.dense[i][c] = put_random(&m, row, at++);
      if (scaled) m.dense[i][c] *= m.scales[i * m.groups + c / group];
    }
  }
  return m;
}

/* Some elements of x are not finite if `finite` is 0; then only entries meet them. */
static void check_product(spk_bitmap_fn kernel, int storage, ptrdiff_t pieces, ptrdiff_t group,
                          ptrdiff_t n, int finite) {
  const ptrdiff_t cols = pieces * SPK_PIECE;
  test_case("bitmap of %s, %td pieces, groups of %td, %td columns, finite %d", names[storage],
            pieces, group, n, finite);
  const bitmap m = random_bitmap(storages[storage], pieces, group);
  matrix B = matrix_input(SPK_F32, cols, n, 1, cols);
  if (!finite)
    for (ptrdiff_t c = 0; c < cols; c += 5) matrix_put(&B, c, 0, c % 2 ? INFINITY : NAN);
  const ptrdiff_t ldx = spk_bitmap_x_floats(pieces);
  float *x = exact_memory((size_t)(ldx * n) * sizeof *x);
  const ptrdiff_t of = m.groups > 1 ? group : cols;
  int floats = 0, taken = 0;
  for (; floats < 2 && !taken; floats++) {
    taken = 1;
    for (ptrdiff_t j = 0; j < n; j++)
      taken &= checked->bitmap_x(x + j * ldx, (const float *)B.view.data + j * cols, 1, cols,
                                 m.storage, of, floats);
  }
  CHECK(taken == (finite || cols == 0));
  int8_t *unpacked = NULL;
  exact_memory_freeze();
  float *sums = exact_memory((size_t)(BITMAP_ROWS * n) * sizeof *sums);
  if (m.storage == SPK_STORAGE_S4) unpacked = exact_memory((size_t)cols + 1 + SPK_EXPAND_BYTES);
  const spk_bitmap_task task = {.storage = m.storage,
                                .rows = BITMAP_ROWS,
                                .pieces = pieces,
                                .bits = m.bits,
                                .begin = m.begin,
                                .values = m.values,
                                .scales = m.scales,
                                .group = m.group,
                                .groups = m.groups,
                                .x = x,
                                .n = n,
                                .finite = taken,
                                .floats = floats - 1,
                                .unpacked = unpacked,
                                .sums = sums};
  kernel(&task);
  for (int i = 0; i < BITMAP_ROWS; i++)
    for (ptrdiff_t j = 0; j < n; j++) {
      exact e = {0};
      for (ptrdiff_t c = 0; c < cols; c++)
        if (m.bits[i * pieces + c / SPK_PIECE] >> c % SPK_PIECE & 1)
          exact_add(&e, m.dense[i][c] * matrix_get(&B, c, j));
      e.roundings += 2.0 * (double)m.groups;
      CHECK(exact_matches(e, SPK_F32, sums[i * n + j]), "row %d, column %td: %.9g, not %.9g", i, j,
            (double)sums[i * n + j], e.value);
    }
  exact_memory_release();
}

void check_spmm_bitmap(spk_bitmap_fn kernel) {
  static const ptrdiff_t groups[] = {32, 64, 128, 192, MAX_PIECES * SPK_PIECE};
  for (int storage = 0; storage < STORAGES; storage++)
    for (ptrdiff_t pieces = 0; pieces <= MAX_PIECES; pieces++)
      for (int g = 0; g < (storages[storage] >= SPK_STORAGE_S8 ? 5 : 1); g++)
        for (ptrdiff_t n = 1; n <= SPK_BITMAP_COLUMNS; n++)
          for (int finite = 0; finite < 2; finite++)
            check_product(kernel, storage, pieces, groups[g], n, finite);
}

/* Each element has a place of its own, the same for each piece, and zeros fill the last one.  What
 * is written of columns for integers is the kernel's own affair, unless they are `floats`. */
void check_bitmap_x(spk_bitmap_x_fn kernel) {
  for (int storage = 0; storage < STORAGES; storage++)
    for (ptrdiff_t count = 0; count < 3 * SPK_PIECE; count += count < 3 ? 1 : 13)
      for (ptrdiff_t stride = 1; stride < 4; stride += 2)
        for (ptrdiff_t bad = -1; bad < count; bad += 1 + count / 3) {
          test_case("x for %s, %td elements, stride %td", names[storage], count, stride);
          const ptrdiff_t held = spk_ceil_div(count, SPK_PIECE) * SPK_PIECE;
          const ptrdiff_t room = spk_bitmap_x_floats(held / SPK_PIECE);
          const int floats = stride != 1;
          matrix src = matrix_input(SPK_F32, count, 1, stride, 1);
          for (ptrdiff_t i = 0; i < count; i++) matrix_put(&src, i, 0, (double)(i + 1));
          if (bad >= 0) matrix_put(&src, bad, 0, bad % 2 ? -INFINITY : NAN);
          exact_memory_freeze();
          float *to = exact_memory((size_t)room * sizeof *to);
          CHECK(kernel(to, src.view.data, stride, count, storages[storage], SPK_PIECE, floats) ==
                (bad < 0));
          double sum = 0;
          for (ptrdiff_t i = 0; i < held; i++) {
            if (storages[storage] >= SPK_STORAGE_S8 && !floats) continue;
            const ptrdiff_t number = (ptrdiff_t)to[i];
            if (bad >= 0) continue;
            CHECK(number == 0 || (number - 1) / SPK_PIECE == i / SPK_PIECE, "place %td", i);
            if (number && i >= SPK_PIECE)
              CHECK((ptrdiff_t)to[i - SPK_PIECE] == number - SPK_PIECE, "place %td", i);
            sum += (double)to[i];
          }
          CHECK(bad >= 0 || (storages[storage] >= SPK_STORAGE_S8 && !floats) ||
                sum == (double)count * (double)(count + 1) / 2);
          exact_memory_release();
        }
}
