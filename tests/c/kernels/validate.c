#include "checks.h"
#include "fixtures.h"

/* Around the blocks of 4096 in which the kernels count. */
static const ptrdiff_t lengths[] = {0, 1, 2, 17, 4095, 4096, 4097, 9000};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

void check_validate_indices(spk_validate_fn kernel, spk_itype itype) {
  for (int l = 0; l < LENGTHS; l++) {
    const ptrdiff_t count = lengths[l], bound = 1000;
    test_case("validate_indices %s, %td of them", itype_names[itype], count);
    void *indices = exact_memory((size_t)count * spk_itype_size(itype));
    ptrdiff_t expected = 0, found = -1, last = 0;
    for (ptrdiff_t p = 0; p < count; p++) {
      const ptrdiff_t index = p == 0 ? bound - 1 : random_below(bound);
      put_index(indices, itype, p, index);
      expected += index < last;
      last = index;
    }
    CHECK(kernel(indices, count, bound, &found));
    CHECK(found == expected, "%td descents, not %td", found, expected);
    CHECK(kernel(indices, count, PTRDIFF_MAX, &found));
    CHECK(kernel(indices, count, 0, &found) == (count == 0));

    const int64_t outside[] = {-1, bound, INT32_MIN, INT32_MAX};
    const ptrdiff_t places[] = {0, count / 2, count - 1};
    for (size_t x = 0; count > 0 && x < 4; x++)
      for (size_t p = 0; p < 3; p++) {
        const int64_t was = spk_index(indices, itype, places[p]);
        put_index(indices, itype, places[p], outside[x]);
        CHECK(!kernel(indices, count, bound, &found), "index %td is %lld", places[p],
              (long long)outside[x]);
        /* A bound that no 32-bit index reaches still keeps negative ones out. */
        CHECK(kernel(indices, count, PTRDIFF_MAX, &found) == (outside[x] >= 0),
              "index %td is %lld, any bound", places[p], (long long)outside[x]);
        put_index(indices, itype, places[p], was);
      }
    exact_memory_release();
  }
}

/* Columns of one length, one after the other, of which every other one is looked at. */
void check_validate_columns(spk_validate_columns_fn kernel, spk_itype itype) {
  const ptrdiff_t columns = 7, rows = 9;
  for (ptrdiff_t length = 0; length < 40; length++) {
    test_case("validate_columns %s, %td each", itype_names[itype], length);
    const ptrdiff_t nnz = columns * length;
    void *offsets = exact_memory((size_t)(columns + 1) * spk_itype_size(itype));
    void *indices = exact_memory((size_t)nnz * spk_itype_size(itype));
    void *ids = exact_memory(3 * spk_itype_size(itype));
    for (ptrdiff_t k = 0; k <= columns; k++) put_index(offsets, itype, k, k * length);
    for (ptrdiff_t c = 0; c < 3; c++) put_index(ids, itype, c, 5 - 2 * c);
    for (ptrdiff_t p = 0; p < nnz; p++)
      put_index(indices, itype, p, p / length % 2 ? random_below(rows) : STRAY);
    CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_OK);
    CHECK(kernel(offsets, indices, ids, 0, 0, 0) == SPK_OK);
    const int64_t outside[] = {-1, rows, INT32_MIN, INT32_MAX};
    for (ptrdiff_t p = length; p < 2 * length; p++) {
      const int64_t was = spk_index(indices, itype, p);
      put_index(indices, itype, p, outside[p % 4]);
      CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_ERR_INDEX, "entry %td", p);
      put_index(indices, itype, p, was);
    }
    CHECK(length == 0 || kernel(offsets, indices, ids, 3, 0, nnz) == SPK_ERR_INDEX);
    for (ptrdiff_t k = 1; k <= 6; k++) {
      put_index(offsets, itype, k, -1);
      CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_ERR_INDPTR, "offset %td", k);
      put_index(offsets, itype, k, nnz + 1);
      CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_ERR_INDPTR, "offset %td", k);
      put_index(offsets, itype, k, k * length);
    }
    exact_memory_release();
  }
}

void check_validate_offsets(spk_offsets_fn kernel, spk_itype itype) {
  for (int l = 1; l < LENGTHS; l++) {
    const ptrdiff_t count = lengths[l];
    test_case("validate_offsets %s, %td of them", itype_names[itype], count);
    void *offsets = exact_memory((size_t)count * spk_itype_size(itype));
    for (ptrdiff_t i = 0, at = 0; i < count; i++, at += random_below(3))
      put_index(offsets, itype, i, at);
    const ptrdiff_t entries = spk_index(offsets, itype, count - 1);
    CHECK(kernel(offsets, count, entries));
    CHECK(kernel(offsets, count, entries + 1));
    CHECK(!kernel(offsets, count, entries - 1));
    const ptrdiff_t places[] = {0, count / 2, count - 1};
    for (size_t p = 0; p < 3; p++) {
      const int64_t was = spk_index(offsets, itype, places[p]);
      const int64_t wrong[] = {-1, INT32_MIN, entries + 1, INT32_MAX};
      for (size_t x = 0; x < 4; x++) {
        put_index(offsets, itype, places[p], wrong[x]);
        CHECK(!kernel(offsets, count, entries), "offset %td is %lld", places[p],
              (long long)wrong[x]);
      }
      put_index(offsets, itype, places[p], was);
    }
    exact_memory_release();
  }
}

void check_cut_rows(spk_cut_fn kernel, spk_itype itype) {
  for (ptrdiff_t width = 1; width <= 9; width++)
    for (ptrdiff_t blocks = 1; blocks <= 6; blocks++) {
      test_case("cut_rows %s, %td blocks of %td", itype_names[itype], blocks, width);
      const ptrdiff_t rows = 11, ld = rows + random_below(3);
      const size_t isize = spk_itype_size(itype);
      ptrdiff_t starts[12] = {random_below(4)};
      for (ptrdiff_t i = 0; i < rows; i++) starts[i + 1] = starts[i] + random_below(20);
      void *offsets = exact_memory((size_t)(rows + 1) * isize);
      void *indices = exact_memory((size_t)starts[rows] * isize);
      for (ptrdiff_t i = 0; i <= rows; i++) put_index(offsets, itype, i, starts[i]);
      for (ptrdiff_t p = 0; p < starts[0]; p++) put_index(indices, itype, p, STRAY);
      for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t p = starts[i], at = 0; p < starts[i + 1]; p++) {
          /* Sorted, with repeats, up to the last block and none beyond it. */
          at = spk_min(at + random_below(4), width * blocks - 1);
          put_index(indices, itype, p, at);
        }
      exact_memory_freeze();
      const ptrdiff_t held = blocks * ld + rows;
      void *cuts = exact_memory((size_t)held * isize);
      for (ptrdiff_t c = 0; c < held; c++) put_index(cuts, itype, c, -7);
      kernel(indices, offsets, rows, width, blocks, cuts, ld);
      for (ptrdiff_t b = 0; b <= blocks; b++)
        for (ptrdiff_t i = 0; i < ld && b * ld + i < held; i++) {
          ptrdiff_t expected = -7;
          if (i < rows)
            for (expected = starts[i]; expected < starts[i + 1]; expected++)
              if (spk_index(indices, itype, expected) >= b * width) break;
          CHECK(spk_index(cuts, itype, b * ld + i) == expected, "block %td, row %td", b, i);
        }
      exact_memory_release();
    }
}

void check_run_length(spk_run_length_fn kernel, spk_itype itype) {
  for (ptrdiff_t count = 1; count < 70; count++)
    for (ptrdiff_t run = 1; run <= count; run += 1 + run / 4) {
      test_case("run_length %s, %td of %td", itype_names[itype], run, count);
      void *indices = exact_memory((size_t)count * spk_itype_size(itype));
      for (ptrdiff_t p = 0; p < count; p++)
        put_index(indices, itype, p, p < run ? 1000 + p : 1000 + p - random_below(2) * 2 + 1);
      exact_memory_freeze();
      CHECK(kernel(indices, count) == run);
      exact_memory_release();
    }
}
