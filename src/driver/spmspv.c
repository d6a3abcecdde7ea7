/* Sparse matrix times sparse vector, by columns.
 *
 * Active columns are cut into parts.  Each part adds to sums of its own, which are added in the
 * order of the parts at the end.  The number of parts follows from the operands and never from the
 * number of threads, so that the result has the same bits for any number of threads.  Parts are
 * ranges of A's columns, so that with another vector, a core finds in its L2 the columns that it
 * read in the last call. */
#include <stdatomic.h>

#include "../threads/partition.h"
#include "../plan/cost.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"

/* The elements of a dense vector that are searched together.  Its nonzeros stay in L2. */
#define CHUNK 8192
/* The least entries of a part.  They pay for sums that are cleared and added, and that come from
 * another core. */
#define PART_ENTRIES 8192
#define MAX_PARTS 8
/* The most bytes of all sums. */
#define MAX_SUMS ((ptrdiff_t)1 << 19)
/* The least rows of a task that adds up parts. */
#define RANGE_ROWS 512

typedef struct job {
  const spk_sparse *A;
  const spk_kernels *kernels;
  const void *ids, *x; /* those of `count` active columns */
  ptrdiff_t count;
  ptrdiff_t low, high; /* if ids are in order, they are in [low, high) */
  int in_order, first; /* first: sums hold nothing yet */
  ptrdiff_t parts, ranges;
  char *sums;
  ptrdiff_t pitch; /* elements from the sums of a part to those of the next */
  atomic_int status;
  void *y;
} job;

ptrdiff_t spk_usual_lines(const spk_sparse *A, ptrdiff_t columns) {
  const ptrdiff_t most = 8; /* the hardware prefetcher brings the rest of a longer column */
  const size_t size = spk_max(spk_dtype_size(A->dtype), spk_itype_size(A->itype));
  const double bytes = (double)A->nnz / (double)spk_max(columns, 1) * (double)size;
  return bytes < (double)(most * SPK_ALIGN) ? 1 + (ptrdiff_t)bytes / SPK_ALIGN : most;
}

/* Check the columns that are read; their ids have been checked.  Checking all of A would cost more
 * than the product. */
static spk_status check_columns(const job *j, ptrdiff_t begin, ptrdiff_t end) {
  const spk_sparse *A = j->A;
  if (A->flags & SPK_CHECKED || begin >= end) return SPK_OK;
  return j->kernels->validate_columns[A->itype](A->offsets, A->indices,
                                                spk_at(j->ids, begin, spk_itype_size(A->itype)),
                                                end - begin, A->rows, A->nnz);
}

static void add_columns(const job *j, ptrdiff_t begin, ptrdiff_t end, void *y) {
  const spk_sparse *A = j->A;
  if (begin >= end) return;
  const spk_spmspv_task task = {A->offsets,
                                A->indices,
                                A->values,
                                spk_at(j->ids, begin, spk_itype_size(A->itype)),
                                spk_at(j->x, begin, spk_dtype_size(A->dtype)),
                                end - begin,
                                spk_usual_lines(A, A->cols),
                                y};
  j->kernels->spmspv_csc[A->dtype][A->itype](&task);
}

static void clear(const spk_sparse *A, void *y) {
  if (A->rows > 0) memset(y, 0, (size_t)A->rows * spk_dtype_size(A->dtype));
}

/* The first index in array[low .. high) whose element is not below a target.  If elements do not
 * ascend, it is some index. */
static ptrdiff_t first_from(const void *array, spk_itype itype, ptrdiff_t low, ptrdiff_t high,
                            double target) {
  while (low < high) {
    const ptrdiff_t middle = low + (high - low) / 2;
    if ((double)spk_index(array, itype, middle) < target)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The first column of a part.  Parts hold about the same number of entries of A.  Offsets have not
 * been checked; whatever they are, the columns of a part come before those of the next. */
static ptrdiff_t part_column(const job *j, ptrdiff_t part) {
  const spk_sparse *A = j->A;
  const double from = (double)spk_index(A->offsets, A->itype, j->low);
  const double to = (double)spk_index(A->offsets, A->itype, j->high);
  const double target = from + (to > from ? to - from : 0) * (double)part / (double)j->parts;
  return first_from(A->offsets, A->itype, j->low, j->high, target);
}

/* The first active column of a part. */
static ptrdiff_t part_begin(const job *j, ptrdiff_t part) {
  if (part == 0 || part == j->parts) return part == 0 ? 0 : j->count;
  if (!j->in_order) return spk_partition_even(j->count, part, j->parts);
  return first_from(j->ids, j->A->itype, 0, j->count, (double)part_column(j, part));
}

static void *sums_of(const job *j, ptrdiff_t part) {
  return spk_at_mut(j->sums, part * j->pitch, spk_dtype_size(j->A->dtype));
}

static void run_part(void *context, ptrdiff_t part, int worker) {
  (void)worker;
  job *j = context;
  const ptrdiff_t begin = part_begin(j, part), end = part_begin(j, part + 1);
  const spk_status status = check_columns(j, begin, end);
  if (status != SPK_OK) {
    atomic_store_explicit(&j->status, status, memory_order_relaxed);
    return;
  }
  if (j->first) clear(j->A, sums_of(j, part));
  add_columns(j, begin, end, sums_of(j, part));
}

static void add_parts(void *context, ptrdiff_t range, int worker) {
  (void)worker;
  const job *j = context;
  if (atomic_load_explicit(&j->status, memory_order_relaxed) != SPK_OK) return;
  const spk_dtype dtype = j->A->dtype;
  const size_t size = spk_dtype_size(dtype);
  const ptrdiff_t row = spk_partition_even(j->A->rows, range, j->ranges);
  const ptrdiff_t rows = spk_partition_even(j->A->rows, range + 1, j->ranges) - row;
  spk_epilogue e = {.alpha = 1};
  for (ptrdiff_t part = 0; part < j->parts; part++, e.beta = 1)
    j->kernels->tile_store[dtype](spk_at(sums_of(j, part), row, size), rows,
                                  spk_at_mut(j->y, row, size), rows, 1, 1, rows, &e);
}

/* The number of parts for `count` active columns, if they have the mean number of entries. */
static ptrdiff_t parts_for(const spk_sparse *A, ptrdiff_t count, ptrdiff_t pitch, double *entries) {
  const ptrdiff_t bytes = spk_product(pitch, (ptrdiff_t)spk_dtype_size(A->dtype));
  const ptrdiff_t most = spk_min(MAX_PARTS, MAX_SUMS / spk_max(bytes, 1));
  *entries = (double)count * (double)A->nnz / (double)spk_max(A->cols, 1);
  const double useful = *entries / (double)spk_max(PART_ENTRIES, spk_product(2, A->rows));
  return spk_max(1, useful < (double)most ? (ptrdiff_t)useful : most);
}

/* Elements from the sums of a part to those of the next, in whole cache lines. */
static ptrdiff_t pitch_of(const spk_sparse *A) {
  return spk_round_up(A->rows, SPK_ALIGN / (ptrdiff_t)spk_dtype_size(A->dtype));
}

static size_t sum_bytes(const spk_sparse *A, ptrdiff_t parts, ptrdiff_t pitch) {
  return spk_size_product(spk_size_product((size_t)parts, (size_t)pitch), spk_dtype_size(A->dtype));
}

/* Add the columns that the job has now.  `last`: no more columns will come. */
static spk_status run_parts(job *j, int threads, int last) {
  j->ranges = last ? spk_max(1, spk_min(j->A->rows / RANGE_ROWS, 2 * (ptrdiff_t)threads)) : 0;
  spk_parallel(threads, (spk_phase){j->parts, run_part}, (spk_phase){j->ranges, add_parts}, j);
  j->first = 0;
  return (spk_status)atomic_load_explicit(&j->status, memory_order_relaxed);
}

spk_status spk_drive_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count,
                            void *y, int threads, const spk_kernels *kernels) {
  if (!kernels->validate_indices[A->itype](ids, count, A->cols, NULL)) return SPK_ERR_INDEX;
  job j = {.A = A, .kernels = kernels, .ids = ids, .x = x, .count = count, .first = 1, .y = y};
  double entries;
  j.pitch = pitch_of(A);
  j.parts = parts_for(A, count, j.pitch, &entries);
  if (j.parts == 1) {
    const spk_status status = check_columns(&j, 0, count);
    if (status != SPK_OK) return status;
    clear(A, y);
    add_columns(&j, 0, count, y);
    return SPK_OK;
  }
  spk_workspace space;
  spk_status status = spk_workspace_take(&space, sum_bytes(A, j.parts, j.pitch), 0, 1);
  if (status != SPK_OK) return status;
  j.sums = space.shared;
  status = run_parts(&j, spk_choose_threads(threads, SPK_WORK_SPMSPV_ENTRY * entries), 1);
  spk_workspace_free(&space);
  return status;
}

/* Find the active columns of a chunk of x, and write them to the arrays of the job. */
static void look(job *j, const void *x, ptrdiff_t stride, ptrdiff_t chunk, void *ids, void *kept) {
  const spk_sparse *A = j->A;
  j->low = chunk * CHUNK;
  j->high = spk_min(A->cols, j->low + CHUNK);
  const void *from = spk_at(x, j->low * stride, spk_dtype_size(A->dtype));
  j->count = j->kernels->spmspv_nonzeros[A->dtype][A->itype](from, stride, j->high - j->low, j->low,
                                                             ids, kept);
}

spk_status spk_drive_spmspv_dense(const spk_sparse *A, const void *x, ptrdiff_t stride, void *y,
                                  int threads, const spk_kernels *kernels) {
  const size_t size = spk_dtype_size(A->dtype);
  const ptrdiff_t room = spk_min(A->cols, CHUNK), chunks = spk_ceil_div(A->cols, CHUNK);
  const size_t id_bytes = spk_aligned_size((size_t)room * spk_itype_size(A->itype));
  const size_t kept_bytes = spk_aligned_size((size_t)room * size);
  double entries;
  job j = {.A = A, .kernels = kernels, .in_order = 1, .first = 1, .pitch = pitch_of(A), .y = y};
  const ptrdiff_t most = parts_for(A, A->cols, j.pitch, &entries);
  const size_t summed = most > 1 ? sum_bytes(A, most, j.pitch) : 0;
  spk_workspace space;
  spk_status status = spk_workspace_take(&space, spk_size_sum(id_bytes + kept_bytes, summed), 0, 1);
  if (status != SPK_OK) return status;
  void *ids = space.shared, *kept = ids ? space.shared + id_bytes : NULL;
  if (summed > 0) j.sums = space.shared + id_bytes + kept_bytes;
  j.ids = ids;
  j.x = kept;
  ptrdiff_t active = 0;
  for (ptrdiff_t chunk = 0; chunk < chunks; chunk++, active += j.count)
    look(&j, x, stride, chunk, ids, kept);
  j.parts = parts_for(A, active, j.pitch, &entries);
  threads = spk_choose_threads(threads, SPK_WORK_SPMSPV_ENTRY * entries);
  /* With one part, all columns are checked before y is written. */
  for (int checking = j.parts == 1; checking >= 0; checking--) {
    if (j.parts == 1 && !checking) clear(A, y);
    for (ptrdiff_t chunk = 0; chunk < chunks && status == SPK_OK; chunk++) {
      if (chunks > 1) look(&j, x, stride, chunk, ids, kept);
      if (j.parts > 1)
        status = run_parts(&j, threads, chunk == chunks - 1);
      else if (checking)
        status = check_columns(&j, 0, j.count);
      else
        add_columns(&j, 0, j.count, y);
    }
    if (status != SPK_OK) break;
  }
  spk_workspace_free(&space);
  return status;
}
