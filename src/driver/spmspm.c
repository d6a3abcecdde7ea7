/* Sparse times sparse with a dense result.  A row of the result is B^T, whose columns are B's rows,
 * times a row of A. */
#include "drivers.h"
#include "../threads/parallel.h"
#include "rows.h"

#define PARTS_PER_THREAD 4

typedef struct job {
  const spk_sparse *A, *B;
  void *C;
  ptrdiff_t ldc, parts, lines;
  spk_spmspv_fn kernel;
} job;

static void run_part(void *context, ptrdiff_t part, int worker) {
  (void)worker;
  const job *j = context;
  const spk_sparse *A = j->A, *B = j->B;
  const size_t size = spk_dtype_size(A->dtype);
  const ptrdiff_t last = spk_partition_begin(A, 0, A->rows, part + 1, j->parts);
  for (ptrdiff_t i = spk_partition_begin(A, 0, A->rows, part, j->parts); i < last; i++) {
    const ptrdiff_t p = spk_index(A->offsets, A->itype, i);
    void *row = spk_at_mut(j->C, i * j->ldc, size);
    memset(row, 0, (size_t)B->cols * size);
    const ptrdiff_t count = spk_index(A->offsets, A->itype, i + 1) - p;
    if (count == 0) continue;
    const spk_spmspv_task task = {B->offsets,
                                  B->indices,
                                  B->values,
                                  spk_at(A->indices, p, spk_itype_size(A->itype)),
                                  spk_at(A->values, p, size),
                                  count,
                                  j->lines,
                                  row};
    j->kernel(&task);
  }
}

void spk_drive_spmspm(const spk_sparse *A, const spk_sparse *B, void *C, ptrdiff_t ldc, int threads,
                      const spk_kernels *kernels) {
  /* The estimate takes all rows of B to have the same number of entries. */
  const double each = (double)B->nnz / (double)spk_max(B->rows, 1);
  threads = spk_choose_threads(threads, (double)A->nnz * each + (double)A->rows * (double)B->cols);
  const ptrdiff_t parts = threads > 1 ? (ptrdiff_t)threads * PARTS_PER_THREAD : 1;
  job j = {A,
           B,
           C,
           ldc,
           spk_min(A->rows, parts),
           spk_usual_lines(B, B->rows),
           kernels->spmspv_csc[A->dtype][A->itype]};
  spk_parallel(threads, (spk_phase){0}, (spk_phase){j.parts, run_part}, &j);
}
