/* spk_chain: the bits of one product after the other, for any number of threads, and what it
 * refuses.  Memory that runs out is the matter of test_exhaustion.c. */
#include <string.h>

#include "matrix.h"
#include "sparse.h"

enum { LAYERS = 4 };

static const ptrdiff_t sizes[LAYERS + 1] = {90, 150, 70, 130, 11};

typedef struct network {
  sparse A[LAYERS];
  matrix bias[LAYERS];
  spk_prepared *packed[LAYERS];
  spk_layer layers[LAYERS];
} network;

/* Make the layers of a network for n columns; `last` of them are not packed. */
static void make(network *made, spk_dtype dtype, ptrdiff_t n, int last) {
  static const spk_activation activations[LAYERS] = {SPK_RELU, SPK_GELU, SPK_IDENTITY, SPK_TANH};
  for (int i = 0; i < LAYERS; i++) {
    const sparse_shape shape = {SPK_CSR, dtype, SPK_I32, sizes[i + 1], sizes[i], 1, 1, 1500, 1};
    made->A[i] = sparse_random(&shape);
    made->bias[i] = matrix_input(dtype, sizes[i + 1], 1, 1, 1);
    CHECK(spk_prepare(&made->A[i].view, n, 0, SPK_STORAGE_SAME, 2, &made->packed[i]) == SPK_OK);
    made->layers[i] = (spk_layer){.packed = i < LAYERS - last ? made->packed[i] : NULL,
                                  .A = &made->A[i].view,
                                  .bias = i == 2 ? NULL : made->bias[i].memory,
                                  .activation = activations[i]};
  }
}

static void freed(network *net) {
  for (int i = 0; i < LAYERS; i++) spk_prepared_free(net->packed[i]);
}

static void one_after_the_other(const network *net, const matrix *X, const matrix *Y) {
  spk_dense from = X->view;
  for (int i = 0; i < LAYERS; i++) {
    const spk_layer *layer = &net->layers[i];
    const spk_epilogue e = {.alpha = 1.0, .bias_row = layer->bias, .activation = layer->activation};
    const ptrdiff_t n = from.cols;
    const matrix held = matrix_output(from.dtype, sizes[i + 1], n, n, 1);
    const spk_dense to = i == LAYERS - 1 ? Y->view : held.view;
    CHECK((layer->packed ? spk_prepared_spmm(layer->packed, &from, &to, &e, 1)
                         : spk_spmm(layer->A, &from, &to, &e, 1)) == SPK_OK);
    from = to;
  }
}

static void check_bits(spk_dtype dtype, ptrdiff_t n, layout how, int last) {
  ptrdiff_t row_stride, col_stride;
  network net;
  make(&net, dtype, n, last);
  matrix_strides(sizes[0], n, how, 0, &row_stride, &col_stride);
  const matrix X = matrix_input(dtype, sizes[0], n, row_stride, col_stride);
  matrix_strides(sizes[LAYERS], n, how, 0, &row_stride, &col_stride);
  const matrix Y = matrix_output(dtype, sizes[LAYERS], n, row_stride, col_stride);
  const matrix same = matrix_copy(&Y);
  one_after_the_other(&net, &X, &Y);
  for (int threads = 1; threads < 4; threads++) {
    test_case("chain of dtype %d, n = %td, layout %d, %d not packed, %d threads", dtype, n, how,
              last, threads);
    CHECK(spk_chain(net.layers, LAYERS, &X.view, &same.view, threads) == SPK_OK);
    CHECK(matrix_same_bits(&Y, &same) && matrix_gaps_intact(&same));
  }
  freed(&net);
  exact_memory_release();
}

static void check_arguments(spk_dtype dtype) {
  test_case("arguments of a chain, dtype %d", dtype);
  const ptrdiff_t n = 5;
  network net;
  make(&net, dtype, n, 1);
  const matrix X = matrix_input(dtype, sizes[0], n, n, 1);
  const matrix Y = matrix_output(dtype, sizes[LAYERS], n, n, 1);
  const spk_dense *x = &X.view, *y = &Y.view;
  CHECK(spk_chain(NULL, LAYERS, x, y, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_chain(net.layers, 0, x, y, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_chain(net.layers, LAYERS - 1, x, y, 1) == SPK_ERR_SHAPE);
  CHECK(spk_chain(net.layers + 1, LAYERS - 1, x, y, 1) == SPK_ERR_SHAPE);
  CHECK(spk_chain(net.layers, LAYERS, NULL, y, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_chain(net.layers, LAYERS, x, NULL, 1) == SPK_ERR_ARGUMENT);
  spk_dense other = *y;
  other.cols = n - 1;
  CHECK(spk_chain(net.layers, LAYERS, x, &other, 1) == SPK_ERR_SHAPE);
  other = *y;
  other.dtype = dtype == SPK_F32 ? SPK_F64 : SPK_F32;
  CHECK(spk_chain(net.layers, LAYERS, x, &other, 1) == SPK_ERR_DTYPE);
  spk_layer layers[LAYERS];
  memcpy(layers, net.layers, sizeof layers);
  layers[1].activation = (spk_activation)99;
  CHECK(spk_chain(layers, LAYERS, x, y, 1) == SPK_ERR_ARGUMENT);
  memcpy(layers, net.layers, sizeof layers);
  layers[LAYERS - 1].A = NULL;
  CHECK(spk_chain(layers, LAYERS, x, y, 1) == SPK_ERR_ARGUMENT);
  memcpy(layers, net.layers, sizeof layers);
  layers[1].packed = layers[0].packed;
  CHECK(spk_chain(layers, LAYERS, x, y, 1) == SPK_ERR_SHAPE);
  freed(&net);
  exact_memory_release();
}

int main(void) {
  static const ptrdiff_t columns[] = {1, 3, 33, 64, 129, 300};
  if (spk_init() != SPK_OK) return TEST_SKIPPED;
  seed_random(61);
  for (int dtype = 0; dtype < 2; dtype++) {
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
      for (int last = 0; last < 3; last++)
        for (int how = 0; how < 2; how++)
          check_bits((spk_dtype)dtype, columns[i], (layout)how, last);
    check_arguments((spk_dtype)dtype);
  }
  return test_result();
}
