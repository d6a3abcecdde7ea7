/* spkernels on NVIDIA GPUs: the C interface of libspkernels_cuda, a library of its own.
 *
 * Plain C11; of CUDA it needs the driver at run time and nothing else.  Every function returns a
 * status, never aborts and never prints.  Sizes and strides count elements.  Only spk_cuda_prepare
 * and spk_cuda_destroy allocate, copy from host memory or wait; the others enqueue kernels on the
 * caller's stream and return, so that they can be captured into CUDA graphs.  Nothing is summed by
 * atomics: the same operands give the same bits.
 */
#ifndef SPKERNELS_CUDA_H
#define SPKERNELS_CUDA_H

#include "spkernels/spkernels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPK_CUDA_ABI_VERSION 1

/* Statuses are those of spk_status, SPK_ERR_MEMORY for device memory too, and: */
enum {
  SPK_CUDA_ERR_DRIVER = 100,    /* no driver, or one that is older than the library */
  SPK_CUDA_ERR_DEVICE = 101,    /* no such device, or one of a compute capability below 8.0 */
  SPK_CUDA_ERR_RUNTIME = 102,   /* CUDA reported an error: spk_cuda_last_error() names it */
  SPK_CUDA_ERR_WORKSPACE = 103, /* the workspace is NULL or not aligned to 256 bytes */
  SPK_CUDA_ERR_PREPARED = 104   /* the handle was not prepared for this operation or dtype */
};

typedef enum spk_cuda_dtype {
  SPK_CUDA_F32 = 0,
  SPK_CUDA_F64 = 1,
  SPK_CUDA_F16 = 2,
  SPK_CUDA_BF16 = 3
} spk_cuda_dtype;

/* How float32 operands are multiplied; sums are float32 in any case. */
typedef enum spk_cuda_precision {
  SPK_CUDA_STRICT = 0, /* as float32, by FMA */
  SPK_CUDA_TF32 = 1,   /* rounded to 11 bits first, on tensor cores */
  SPK_CUDA_3XTF32 = 2  /* as the sum of two such parts each, on tensor cores: about 21 bits */
} spk_cuda_precision;

/* What a matrix is prepared for; a sum of several. */
enum { SPK_CUDA_SPMM = 1, SPK_CUDA_SDDMM = 2, SPK_CUDA_ATTENTION = 4 };

/* The kernels of spk_cuda_spmm. */
typedef enum spk_cuda_kernel {
  SPK_CUDA_AUTO = 0,
  SPK_CUDA_ROWS = 1,   /* a part of a row to a warp */
  SPK_CUDA_PANELS = 2, /* 8 rows to a warp, which load a row of B once: float32 and float64 */
  SPK_CUDA_GATHER = 3, /* tensor cores; panels of rows that share columns, values written out */
  SPK_CUDA_BITMAP = 4  /* tensor cores; panels of 16 rows, values under a bitmap */
} spk_cuda_kernel;

/* What spk_cuda_prepare is to make.  A is in CSR, in host memory, of float32 or float64 and either
 * index type; rows need not be sorted, repeated entries add up (in SDDMM, each gets its value); its
 * values may be NULL for SDDMM and attention, and cannot be set later then.  cols, and for SDDMM
 * rows, must be below 2**31. */
typedef struct spk_cuda_desc {
  const spk_sparse *A;
  spk_cuda_dtype dtype; /* of the operands to come; values are rounded to it */
  spk_cuda_precision precision;
  spk_cuda_kernel kernel;
  unsigned operations; /* SPK_CUDA_SPMM | SPK_CUDA_SDDMM | SPK_CUDA_ATTENTION */
  ptrdiff_t width;     /* columns of B, or elements of a row of X, to prepare for; 0: about 128 */
} spk_cuda_desc;

/* A dense matrix in device memory, aligned to its elements: one stride is 1 and the other at least
 * the extent, unless the matrix has one row or column.  Row-major ones are read where they lie, and
 * their rows are less than 4 GiB apart. */
typedef struct spk_cuda_dense {
  spk_cuda_dtype dtype;
  ptrdiff_t rows, cols;
  ptrdiff_t row_stride, col_stride;
  void *data;
} spk_cuda_dense;

typedef struct spk_cuda_matrix spk_cuda_matrix;

/* Whether this library can run here: SPK_OK, SPK_CUDA_ERR_DRIVER or SPK_CUDA_ERR_DEVICE.  `device`
 * -1 stands for the current one. */
typedef struct spk_cuda_device {
  int device, count;
  int major, minor; /* compute capability */
  int multiprocessors;
  int driver_version, runtime_version; /* 1000 * major + 10 * minor; driver 0: there is none */
} spk_cuda_device;
int spk_cuda_query(int device, spk_cuda_device *found);

/* Pack A on the current device.  The handle serves any number of columns; it may be used from any
 * thread and on any stream, by several at once if their workspaces differ. */
int spk_cuda_prepare(const spk_cuda_desc *desc, spk_cuda_matrix **made);
/* Waits for the device, and gives everything back; NULL is allowed. */
int spk_cuda_destroy(spk_cuda_matrix *A);

/* New values for the same pattern, in device memory, of the handle's dtype and in the order of the
 * arrays that were prepared.  SPK_CUDA_ERR_PREPARED where nothing has values, as a mask. */
int spk_cuda_update_values(spk_cuda_matrix *A, const void *values, void *stream);

/* The bytes of workspace that a call takes, 0 where none; the buffer is the caller's, aligned to
 * 256 bytes, and in use until the stream has passed the call. */
int spk_cuda_spmm_workspace(const spk_cuda_matrix *A, const spk_cuda_dense *B,
                            const spk_cuda_dense *C, size_t *bytes);
int spk_cuda_sddmm_workspace(const spk_cuda_matrix *P, const spk_cuda_dense *X,
                             const spk_cuda_dense *Y, size_t *bytes);

/* C = activation(alpha * A @ B + beta * C + bias_row[:, None] + bias_col[None, :]); biases lie in
 * device memory and have C's dtype.  A null epilogue: C = A @ B.  beta == 0 never reads C.  C must
 * not overlap B.  B and C have the handle's dtype. */
int spk_cuda_spmm(const spk_cuda_matrix *A, const spk_cuda_dense *B, const spk_cuda_dense *C,
                  const spk_epilogue *epilogue, void *workspace, void *stream);

/* values (device memory, one per stored entry of P, in P's order, of X's dtype)
 *   = alpha * (X @ Y at P's positions) * (scale ? P.values : 1) + beta * P.values.
 * X is m x k and row-major, Y k x n and column-major: then nothing is copied; other layouts go
 * through the workspace. */
int spk_cuda_sddmm(const spk_cuda_matrix *P, const spk_cuda_dense *X, const spk_cuda_dense *Y,
                   void *values, const spk_sampling *sampling, void *workspace, void *stream);

/* out[h] = softmax(scale * Q[h] K[h]^T over the entries of the mask) V[h]; repeated entries count
 * once, rows without any are 0.  F16 or BF16, as the mask was prepared for; d and dv are multiples
 * of 8 up to 256.  Strides count elements; rows of Q, K, V and out are contiguous, aligned to 16
 * bytes, and below 2**31 elements apart. */
typedef struct spk_cuda_attention {
  spk_cuda_dtype dtype;
  ptrdiff_t batch, heads, kv_heads; /* heads is a multiple of kv_heads */
  ptrdiff_t d, dv;
  double scale;
  const void *Q, *K, *V;
  void *out;
  ptrdiff_t q_strides[3], k_strides[3], v_strides[3], out_strides[3]; /* batch, head, row */
  float *lse; /* log of the sum of exponentials, batch x heads x rows; or NULL */
} spk_cuda_attention;
int spk_cuda_attend(const spk_cuda_matrix *mask, const spk_cuda_attention *attention, void *stream);

/* The kernel that spk_cuda_spmm would run for n columns, and the device memory of the handle. */
const char *spk_cuda_kernel_name(const spk_cuda_matrix *A, ptrdiff_t n);
size_t spk_cuda_bytes(const spk_cuda_matrix *A);

int spk_cuda_abi_version(void);
const char *spk_cuda_status_string(int status);
/* What CUDA said last, in this thread; "no error" at first. */
const char *spk_cuda_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
