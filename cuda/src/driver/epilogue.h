/* The epilogue of kernels, made from that of the interface. */
#ifndef SPK_DRIVER_EPILOGUE_H
#define SPK_DRIVER_EPILOGUE_H

#include "../kernels/epilogue.h"
#include "product.h"

namespace spk {

template <class T>
Epilogue<T> epilogue_of(const Product &p) {
  const spk_epilogue &e = p.epilogue;
  Epilogue<T> made;
  made.C = static_cast<T *>(p.C);
  made.row_stride = p.c_row;
  made.col_stride = p.c_col;
  made.alpha = (sum_of<T>)e.alpha;
  made.beta = (sum_of<T>)e.beta;
  made.bias_row = static_cast<const T *>(e.bias_row);
  made.bias_col = static_cast<const T *>(e.bias_col);
  made.activation = e.activation;
  made.plain =
      e.alpha == 1 && e.beta == 0 && !e.bias_row && !e.bias_col && e.activation == SPK_IDENTITY;
  return made;
}

} // namespace spk

#endif
