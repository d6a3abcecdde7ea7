/* spkernels on NVIDIA GPUs: the C interface of libspkernels_cuda, a library of its own.
 *
 * The interface is plain C11.  Of CUDA, it needs the driver at run time and nothing else.
 * Functions that return an int return a status; no function aborts or prints.  Sizes and strides
 * count elements.  Only spk_cuda_prepare and spk_cuda_destroy allocate, copy from host memory or
 * wait.  The other functions enqueue kernels on the caller's stream and return, so they can be
 * captured into CUDA graphs.  Nothing is summed by atomics: the same operands give the same
 * bits. */
#ifndef SPKERNELS_CUDA_H
#define SPKERNELS_CUDA_H

#include "spkernels/spkernels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPK_CUDA_ABI_VERSION 1

/* Statuses are those of spk_status, where SPK_ERR_MEMORY also means device memory, and the
 * following. */
enum {
  SPK_CUDA_ERR_DRIVER = 100, /* there is no driver, or it is older than the library needs */
  /* there is no such device, or its compute capability is below 8.0 */
  SPK_CUDA_ERR_DEVICE = 101,
  SPK_CUDA_ERR_RUNTIME = 102,   /* CUDA reported an error, which spk_cuda_last_error() names */
  SPK_CUDA_ERR_WORKSPACE = 103, /* the workspace is NULL or not aligned to 256 bytes */
  SPK_CUDA_ERR_PREPARED = 104   /* the handle was not prepared for this operation or dtype */
};

typedef enum spk_cuda_dtype {
  SPK_CUDA_F32 = 0,
  SPK_CUDA_F64 = 1,
  SPK_CUDA_F16 = 2,
  SPK_CUDA_BF16 = 3
} spk_cuda_dtype;

/* How float32 operands are multiplied.  Sums are float32 in any case. */
typedef enum spk_cuda_precision {
  SPK_CUDA_STRICT = 0, /* as float32, by FMA */
  SPK_CUDA_TF32 = 1,   /* rounded to 11 bits, on tensor cores */
  SPK_CUDA_3XTF32 = 2  /* each as the sum of two 11-bit parts, on tensor cores: about 21 bits */
} spk_cuda_precision;

/* The operations that a matrix is prepared for; several are added up. */
enum { SPK_CUDA_SPMM = 1, SPK_CUDA_SDDMM = 2, SPK_CUDA_ATTENTION = 4 };

/* The kernels of spk_cuda_spmm. */
typedef enum spk_cuda_kernel {
  SPK_CUDA_AUTO = 0,
  SPK_CUDA_ROWS = 1, /* a warp takes a part of a row */
  /* a warp takes 8 rows and loads a row of B once for all; float32 and float64 */
  SPK_CUDA_PANELS = 2,
  /* tensor cores; panels of rows that share columns, with all values written out */
  SPK_CUDA_GATHER = 3,
  SPK_CUDA_BITMAP = 4 /* tensor cores; panels of 16 rows, with values under a bitmap */
} spk_cuda_kernel;

/* What spk_cuda_prepare is to make.  A is in CSR, in host memory, of float32 or float64 and either
 * index type.  Rows need not be sorted.  Repeated entries add up, and in SDDMM each gets a value of
 * its own.  The values of A may be NULL for SDDMM and attention; then values cannot be set later.
 * cols, and for SDDMM also rows, must be below 2**31. */
typedef struct spk_cuda_desc {
  const spk_sparse *A;
  spk_cuda_dtype dtype; /* the dtype of the operands; values of A are rounded to it */
  spk_cuda_precision precision;
  spk_cuda_kernel kernel;
  unsigned operations; /* SPK_CUDA_SPMM | SPK_CUDA_SDDMM | SPK_CUDA_ATTENTION */
  /* The columns of B, or the elements of a row of X, to prepare for; 0: 128. */
  ptrdiff_t width;
} spk_cuda_desc;

/* A dense matrix in device memory, aligned to its elements.  One stride is 1, and the other is at
 * least the extent, unless the matrix has one row or column.  Row-major matrices are read in place,
 * and their rows must lie less than 4 GiB apart. */
typedef struct spk_cuda_dense {
  spk_cuda_dtype dtype;
  ptrdiff_t rows, cols;
  ptrdiff_t row_stride, col_stride;
  void *data;
} spk_cuda_dense;

typedef struct spk_cuda_matrix spk_cuda_matrix;

/* A device.  spk_cuda_query returns whether this library can run on it: SPK_OK, SPK_CUDA_ERR_DRIVER
 * or SPK_CUDA_ERR_DEVICE.  `device` -1 stands for the current device. */
typedef struct spk_cuda_device {
  int device, count;
  int major, minor; /* compute capability */
  int multiprocessors;
  /* 1000 * major + 10 * minor; driver_version is 0 if there is no driver. */
  int driver_version, runtime_version;
} spk_cuda_device;
int spk_cuda_query(int device, spk_cuda_device *found);

/* Pack A on the current device.  The handle serves any number of columns.  Any thread may use it on
 * any stream, and several threads at once if their workspaces differ.  Time grows with the entries
 * of A; the call waits for the device. */
int spk_cuda_prepare(const spk_cuda_desc *desc, spk_cuda_matrix **made);
/* Wait for the device, and free everything; NULL is allowed. */
int spk_cuda_destroy(spk_cuda_matrix *A);

/* Set new values for the same structure.  `values` lies in device memory, with the handle's dtype
 * and in the order of the arrays that were prepared.  SPK_CUDA_ERR_PREPARED if the handle has no
 * values, as a mask has none. */
int spk_cuda_update_values(spk_cuda_matrix *A, const void *values, void *stream);

/* The bytes of workspace that a call takes; 0 if it takes none.  The caller owns the buffer.  It
 * must be aligned to 256 bytes, and is in use until the stream has passed the call. */
int spk_cuda_spmm_workspace(const spk_cuda_matrix *A, const spk_cuda_dense *B,
                            const spk_cuda_dense *C, size_t *bytes);
int spk_cuda_sddmm_workspace(const spk_cuda_matrix *P, const spk_cuda_dense *X,
                             const spk_cuda_dense *Y, size_t *bytes);

/* C = activation(alpha * A @ B + beta * C + bias_row[:, None] + bias_col[None, :]).  B, C and the
 * biases have the handle's dtype and lie in device memory.  A null epilogue means C = A @ B.  If
 * beta == 0, C is not read.  C must not overlap B. */
int spk_cuda_spmm(const spk_cuda_matrix *A, const spk_cuda_dense *B, const spk_cuda_dense *C,
                  const spk_epilogue *epilogue, void *workspace, void *stream);

/* values = alpha * (X @ Y at P's positions) * (scale ? P.values : 1) + beta * P.values
 *
 * values lies in device memory, with one element per stored entry of P, in P's order and of the
 * handle's dtype.  X is m x k and Y is k x n.  If X is row-major and Y column-major, nothing is
 * copied; other layouts go through the workspace. */
int spk_cuda_sddmm(const spk_cuda_matrix *P, const spk_cuda_dense *X, const spk_cuda_dense *Y,
                   void *values, const spk_sampling *sampling, void *workspace, void *stream);

/* out[h] = softmax(scale * Q[h] K[h]^T over the entries of the mask) V[h].  Repeated entries of the
 * mask count once.  Rows without an entry are 0.  The dtype is F16 or BF16, and that of the mask.
 * d and dv are multiples of 8 up to 256.  Strides count elements.  Rows of Q, K, V and out are
 * contiguous, aligned to 16 bytes, and less than 2**31 elements apart. */
typedef struct spk_cuda_attention {
  spk_cuda_dtype dtype;
  ptrdiff_t batch, heads, kv_heads; /* heads is a multiple of kv_heads */
  ptrdiff_t d, dv;
  double scale;
  const void *Q, *K, *V;
  void *out;
  ptrdiff_t q_strides[3], k_strides[3], v_strides[3], out_strides[3]; /* batch, head, row */
  float *lse; /* the log of the sum of exponentials, batch x heads x rows; NULL: not wanted */
} spk_cuda_attention;
int spk_cuda_attend(const spk_cuda_matrix *mask, const spk_cuda_attention *attention, void *stream);

/* The name of the kernel that spk_cuda_spmm would run for n columns, and the bytes of device memory
 * that the handle takes. */
const char *spk_cuda_kernel_name(const spk_cuda_matrix *A, ptrdiff_t n);
size_t spk_cuda_bytes(const spk_cuda_matrix *A);

int spk_cuda_abi_version(void);
const char *spk_cuda_status_string(int status);
/* What CUDA reported last in this thread; "no error" at first. */
const char *spk_cuda_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
