/* What becomes of a sum before it is written: activation(alpha * sum + beta * C + biases). */
#ifndef SPK_KERNELS_EPILOGUE_H
#define SPK_KERNELS_EPILOGUE_H

#include "spkernels/cuda.h"
#include "../device/device.h"

namespace spk {

/* C and its epilogue.  Element (i, j) is C[i * row_stride + j * col_stride]. */
template <class T>
struct Epilogue {
  T *C;
  int64_t row_stride, col_stride;
  sum_of<T> alpha, beta;
  const T *bias_row, *bias_col;
  int activation; /* an spk_activation */
  int plain;      /* alpha == 1, and the epilogue does nothing else */
};

/* min(6, max(0, x)).  NaN and -0 stay. */
template <class S>
SPK_DEVICE S up_to_six(S x) {
  return x < 0 ? S(0) : x > 6 ? S(6) : x;
}

template <class S>
SPK_OUTLINED S activate(S x, int activation) {
  /* The limits of these activations, where the formulas below would multiply infinity by zero. */
  if (x == -S(INFINITY) && (activation == SPK_GELU || activation == SPK_SILU ||
                            activation == SPK_GELU_TANH || activation == SPK_HARDSWISH))
    return S(-0.0);
  switch (activation) {
    case SPK_RELU:
      return x < 0 ? S(0) : x; /* NaN stays */
    case SPK_GELU:
      return S(0.5) * x * erfc(x * S(-0.70710678118654752440));
    case SPK_SILU:
      return x / (1 + exp(-x));
    case SPK_TANH:
      return tanh(x);
    case SPK_SIGMOID:
      return 1 / (1 + exp(-x));
    case SPK_GELU_TANH: {
      /* x / 2 (1 + tanh(z / 2)) with z = 2 sqrt(2 / pi) (x + 0.044715 x^3).  x is capped, because z
       * times x would overflow. */
      const S c = x > 30 ? S(30) : x;
      return x / (1 + exp(S(-1.5957691216057307117) * (c + S(0.044715) * c * c * c)));
    }
    case SPK_LEAKY_RELU:
      return x < 0 ? S(0.01) * x : x;
    case SPK_ELU:
      return x < 0 ? expm1(x) : x;
    case SPK_HARDSWISH:
      return x >= 3 ? x : x * (up_to_six(x + 3) / 6);
    case SPK_HARDSIGMOID:
      return up_to_six(x + 3) / 6;
    case SPK_RELU6:
      return up_to_six(x);
    default:
      return x;
  }
}

/* The value of C's element (row, col) for a sum. */
template <class T>
SPK_DEVICE T finished(const Epilogue<T> &e, int64_t row, int64_t col, sum_of<T> sum) {
  if (e.plain) return from_float<T>(sum);
  sum_of<T> x = e.alpha * sum;
  if (e.beta != 0) x += e.beta * to_float(e.C[row * e.row_stride + col * e.col_stride]);
  if (e.bias_row) x += to_float(e.bias_row[row]);
  if (e.bias_col) x += to_float(e.bias_col[col]);
  if (e.activation != SPK_IDENTITY) x = activate(x, e.activation);
  return from_float<T>(x);
}

template <class T>
SPK_DEVICE void finish_one(const Epilogue<T> &e, int64_t row, int64_t col, sum_of<T> sum) {
  e.C[row * e.row_stride + col * e.col_stride] = finished(e, row, col, sum);
}

/* Store V neighbours of a row at once.  Rows of C must be contiguous and aligned to V elements. */
template <class T, int V>
SPK_DEVICE void finish_vector(const Epilogue<T> &e, int64_t row, int64_t col,
                              const sum_of<T> (&sums)[V]) {
  vec<T, V> v;
  SPK_UNROLLED
  for (int j = 0; j < V; j++) v[j] = finished(e, row, col + j, sums[j]);
  store_global(reinterpret_cast<vec<T, V> *>(e.C + row * e.row_stride + col), v);
}

/* Store V neighbours of a column at once.  Columns of C must be contiguous and aligned to V
 * elements. */
template <class T, int V>
SPK_DEVICE void finish_column(const Epilogue<T> &e, int64_t row, int64_t col,
                              const sum_of<T> (&sums)[V]) {
  vec<T, V> v;
  SPK_UNROLLED
  for (int i = 0; i < V; i++) v[i] = finished(e, row + i, col, sums[i]);
  store_global(reinterpret_cast<vec<T, V> *>(e.C + row + col * e.col_stride), v);
}

/* Whether columns of C are contiguous and begin where accesses of 16 bytes may. */
template <class T>
SPK_DEVICE bool has_aligned_columns(const Epilogue<T> &e) {
  const uint64_t places =
      reinterpret_cast<uintptr_t>(e.C) | (uint64_t)e.col_stride * (uint64_t)sizeof(T);
  return e.row_stride == 1 && places % 16 == 0;
}

} // namespace spk

#endif
