/* The element types that kernels compute with, and short vectors of them. */
#ifndef SPK_DEVICE_TYPES_H
#define SPK_DEVICE_TYPES_H

#include <cstdint>

#ifdef __CUDACC__
#define SPK_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define SPK_HOST_DEVICE inline
#endif

namespace spk {

/* Elements of 16 bits.  They are types of their own, distinct from each other and from integers. */
struct half {
  uint16_t bits;
};
struct bfloat16 {
  uint16_t bits;
};

/* Stands for floats of which tensor cores use 11 bits.  It names the type of an mma. */
struct tfloat32 {};

template <class T>
struct sum_type {
  using type = float;
};
template <>
struct sum_type<double> {
  using type = double;
};
/* The type in which products of T are summed. */
template <class T>
using sum_of = typename sum_type<T>::type;

/* N elements that one access moves. */
template <class T, int N>
struct alignas(sizeof(T) * N) vec {
  T at[N];
  SPK_HOST_DEVICE T &operator[](int i) { return at[i]; }
  SPK_HOST_DEVICE const T &operator[](int i) const { return at[i]; }
};

} // namespace spk

#endif
