/* The vocabulary of device.h on a GPU of compute capability 8.0 or newer. */
#ifndef SPK_DEVICE_NVIDIA_H
#define SPK_DEVICE_NVIDIA_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define SPK_DEVICE __device__ __forceinline__
/* For rare code that must not take registers of its caller. */
#define SPK_OUTLINED static __device__ __noinline__
/* A kernel of `threads` threads per block.  A multiprocessor must hold at least `blocks` blocks,
 * which limits the registers of a thread. */
#define SPK_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
/* The one parameter of a kernel. */
#define SPK_PARAMETER(name, ...) const __grid_constant__ __VA_ARGS__ name
#define SPK_UNROLLED _Pragma("unroll")
#define SPK_ONE_BY_ONE _Pragma("unroll 1")

namespace spk {

SPK_DEVICE int thread() { return (int)threadIdx.x; }
SPK_DEVICE int lane() { return (int)(threadIdx.x & 31u); }
SPK_DEVICE int warp() { return (int)(threadIdx.x >> 5); }
SPK_DEVICE int64_t block() { return blockIdx.x; }
SPK_DEVICE int64_t blocks() { return gridDim.x; }

SPK_DEVICE char *block_memory() {
  extern __shared__ __align__(128) char spk_block_memory[];
  return spk_block_memory;
}

SPK_DEVICE void sync_block() { __syncthreads(); }
SPK_DEVICE void sync_warp() { __syncwarp(); }
template <class T>
SPK_DEVICE T shuffle(T v, int from) {
  return __shfl_sync(0xffffffffu, v, from);
}
template <class T>
SPK_DEVICE T shuffle_xor(T v, int mask) {
  return __shfl_xor_sync(0xffffffffu, v, mask);
}
SPK_DEVICE bool any(bool p) { return __any_sync(0xffffffffu, p); }

/* The type of 2, 4, 8 or 16 bytes that moves as a whole. */
template <int bytes>
struct word;
template <>
struct word<2> {
  using type = unsigned short;
};
template <>
struct word<4> {
  using type = unsigned;
};
template <>
struct word<8> {
  using type = uint2;
};
template <>
struct word<16> {
  using type = uint4;
};

template <class T>
SPK_DEVICE T load(const T *p) {
  using W = typename word<sizeof(T)>::type;
  const W w = __ldg(reinterpret_cast<const W *>(p));
  T v;
  memcpy(&v, &w, sizeof v);
  return v;
}
template <class T>
SPK_DEVICE T load_once(const T *p) {
  using W = typename word<sizeof(T)>::type;
  const W w = __ldcs(reinterpret_cast<const W *>(p));
  T v;
  memcpy(&v, &w, sizeof v);
  return v;
}
template <class T>
SPK_DEVICE void store(T *p, const T &v) {
  using W = typename word<sizeof(T)>::type;
  W w;
  memcpy(&w, &v, sizeof v);
  *reinterpret_cast<W *>(p) = w;
}

/* Store to global memory by one instruction.  The compiler may split an assignment of 16 bytes in
 * four. */
template <class T>
SPK_DEVICE void store_global(T *p, const T &v) {
  if constexpr (sizeof(T) == 16) {
    uint4 w;
    memcpy(&w, &v, sizeof v);
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(w.x), "r"(w.y), "r"(w.z),
                 "r"(w.w)
                 : "memory");
  } else {
    store(p, v);
  }
}

/* Store under a condition, without a branch, so that loads of the next value may go ahead of the
 * store.  The value is computed in any case. */
template <class T>
SPK_DEVICE void store_where(bool condition, T *p, const T &v) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8, "one register, or two");
  if constexpr (sizeof(T) == 2) {
    unsigned short w;
    memcpy(&w, &v, sizeof v);
    asm volatile(
        "{.reg .pred q; setp.ne.s32 q, %0, 0; @q st.global.b16 [%1], %2;}" ::"r"((int)condition),
        "l"(p), "h"(w));
  } else if constexpr (sizeof(T) == 4) {
    unsigned w;
    memcpy(&w, &v, sizeof v);
    asm volatile(
        "{.reg .pred q; setp.ne.s32 q, %0, 0; @q st.global.b32 [%1], %2;}" ::"r"((int)condition),
        "l"(p), "r"(w));
  } else {
    unsigned long long w;
    memcpy(&w, &v, sizeof v);
    asm volatile(
        "{.reg .pred q; setp.ne.s32 q, %0, 0; @q st.global.b64 [%1], %2;}" ::"r"((int)condition),
        "l"(p), "l"(w));
  }
}

SPK_DEVICE unsigned shared_address(const void *s) { return (unsigned)__cvta_generic_to_shared(s); }

template <int size>
SPK_DEVICE void copy_async(void *s, const void *g, int bytes) {
  if constexpr (size == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(s)), "l"(g),
                 "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(s)), "l"(g),
                 "n"(size), "r"(bytes)
                 : "memory");
  }
}
SPK_DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int n>
SPK_DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

SPK_DEVICE void load_matrix4(uint32_t (&r)[4], const void *s) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(s))
               : "memory");
}
SPK_DEVICE void load_matrix4_transposed(uint32_t (&r)[4], const void *s) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(s))
               : "memory");
}

template <class T>
SPK_DEVICE void mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
#define SPK_MMA(T, shape)                                                                 \
  template <>                                                                             \
  SPK_DEVICE void mma<T>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { \
    asm volatile("mma.sync.aligned." shape                                                \
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"       \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));     \
  }
SPK_MMA(half, "m16n8k16.row.col.f32.f16.f16.f32")
SPK_MMA(bfloat16, "m16n8k16.row.col.f32.bf16.bf16.f32")
SPK_MMA(tfloat32, "m16n8k8.row.col.f32.tf32.tf32.f32")
#undef SPK_MMA

SPK_DEVICE float to_float(float v) { return v; }
SPK_DEVICE double to_float(double v) { return v; }
SPK_DEVICE float to_float(bfloat16 v) { return __uint_as_float((unsigned)v.bits << 16); }
SPK_DEVICE float to_float(half v) { return __half2float(__ushort_as_half(v.bits)); }

/* Element i of the two elements in a word, by one instruction. */
template <class T>
SPK_DEVICE float half_of(uint32_t w, int i) {
  return to_float(T{(uint16_t)(i ? w >> 16 : w & 0xffffu)});
}
template <>
SPK_DEVICE float half_of<bfloat16>(uint32_t w, int i) {
  return __uint_as_float(i ? w & 0xffff0000u : w << 16);
}

template <class T>
SPK_DEVICE T from_float(sum_of<T> x);
template <>
SPK_DEVICE float from_float<float>(float x) {
  return x;
}
template <>
SPK_DEVICE double from_float<double>(double x) {
  return x;
}
template <>
SPK_DEVICE half from_float<half>(float x) {
  return {__half_as_ushort(__float2half_rn(x))};
}
template <>
SPK_DEVICE bfloat16 from_float<bfloat16>(float x) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
}

/* Two neighbours in one register, with the first in the low half. */
template <class T>
SPK_DEVICE uint32_t pack2(float first, float second);
template <>
SPK_DEVICE uint32_t pack2<half>(float first, float second) {
  uint32_t r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  return r;
}
template <>
SPK_DEVICE uint32_t pack2<bfloat16>(float first, float second) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  return r;
}
/* The bits of x, rounded as tensor cores need them. */
SPK_DEVICE uint32_t tf32(float x) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}

SPK_DEVICE int keep(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

SPK_DEVICE uint32_t bits_of(float x) { return __float_as_uint(x); }
SPK_DEVICE float float_of(uint32_t bits) { return __uint_as_float(bits); }
SPK_DEVICE float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
SPK_DEVICE double fma(double a, double b, double c) { return __fma_rn(a, b, c); }
/* The maximum; if one argument is NaN, the other. */
SPK_DEVICE float fmax(float a, float b) { return ::fmaxf(a, b); }
SPK_DEVICE float exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
SPK_DEVICE float erfc(float x) { return ::erfcf(x); }
SPK_DEVICE double erfc(double x) { return ::erfc(x); }
SPK_DEVICE float tanh(float x) { return ::tanhf(x); }
SPK_DEVICE double tanh(double x) { return ::tanh(x); }
SPK_DEVICE float exp(float x) { return ::expf(x); }
SPK_DEVICE double exp(double x) { return ::exp(x); }
SPK_DEVICE float log(float x) { return ::logf(x); }
SPK_DEVICE int popcount(uint32_t x) { return __popc(x); }
SPK_DEVICE int popcount(uint64_t x) { return __popcll(x); }

} // namespace spk

#endif
