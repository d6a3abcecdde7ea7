/* The vocabulary of device.h on a CPU, for tests. The threads of a block are fibers (fibers.cpp).
 *
 * Errors that a GPU may only answer by misbehaving end the program here with a message: an access
 * that is not aligned, lanes of a warp that meet at different words, a barrier that some threads
 * never reach.  Shared memory begins as NaN, and so does the target of a copy_async until it is
 * waited for.  SPK_EMULATED_ORDER=forward, reverse or a number (which seeds a shuffle) sets the
 * order in which threads and blocks run.  Results that depend on the order reveal a missing
 * barrier. */
#ifndef SPK_DEVICE_EMULATED_H
#define SPK_DEVICE_EMULATED_H

#include <functional>

#include "../pack/float16.h"

#define SPK_DEVICE inline
#define SPK_OUTLINED inline
#define SPK_KERNEL(threads, blocks) void
#define SPK_PARAMETER(name, ...) const __VA_ARGS__ name
#if defined(__clang__)
#define SPK_UNROLLED _Pragma("clang loop unroll(disable)")
#else
#define SPK_UNROLLED _Pragma("GCC unroll 1")
#endif
#define SPK_ONE_BY_ONE

namespace spk {
namespace emulated {

/* Run the threads of a grid, block after block. */
void run(int64_t blocks, int threads, size_t shared, const std::function<void()> &kernel);

int thread();
int64_t block();
int64_t blocks();
char *block_memory();
void sync_block();
/* Returns what all lanes of the warp passed, `bytes` each, `stride` apart, once all lanes have
 * called it.  Lanes that meet at another `kind` of word are an error. */
constexpr size_t stride = 64;
const char *exchange(const char *kind, const void *mine, size_t bytes);
void copy_async(void *s, const void *g, int size, int bytes);
void copy_commit();
void copy_wait(int groups);
void check_aligned(const void *p, size_t bytes, const char *word);
/* Check that a word may have this address.  Global and shared memory of a GPU need different
 * instructions. */
void check_global(const void *p, size_t bytes, const char *word);
void check_shared(const void *p, size_t bytes, const char *word);

template <class T>
T of_lane(const char *all, int lane) {
  T v;
  memcpy(&v, all + stride * (size_t)lane, sizeof v);
  return v;
}

} // namespace emulated

inline int thread() { return emulated::thread(); }
inline int lane() { return emulated::thread() & 31; }
inline int warp() { return emulated::thread() >> 5; }
inline int64_t block() { return emulated::block(); }
inline int64_t blocks() { return emulated::blocks(); }
inline char *block_memory() { return emulated::block_memory(); }
inline void sync_block() { emulated::sync_block(); }
inline void sync_warp() { emulated::exchange("sync_warp", nullptr, 0); }

template <class T>
T shuffle(T v, int from) {
  return emulated::of_lane<T>(emulated::exchange("shuffle", &v, sizeof v), from & 31);
}
template <class T>
T shuffle_xor(T v, int mask) {
  return emulated::of_lane<T>(emulated::exchange("shuffle_xor", &v, sizeof v), lane() ^ mask);
}
inline bool any(bool p) {
  const char *all = emulated::exchange("any", &p, sizeof p);
  bool found = false;
  for (int i = 0; i < 32; i++) found |= emulated::of_lane<bool>(all, i);
  return found;
}

template <class T>
T load(const T *p) {
  emulated::check_global(p, sizeof(T), "load");
  return *p;
}
template <class T>
T load_once(const T *p) {
  return load(p);
}
template <class T>
void store(T *p, const T &v) {
  emulated::check_aligned(p, sizeof(T), "store");
  *p = v;
}

template <class T>
void store_where(bool condition, T *p, const T &v) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8, "one register, or two");
  if (condition) store(p, v);
}

template <class T>
void store_global(T *p, const T &v) {
  emulated::check_global(p, sizeof(T), "store_global");
  *p = v;
}

template <int size>
void copy_async(void *s, const void *g, int bytes) {
  static_assert(size == 4 || size == 8 || size == 16, "copies are of 4, 8 or 16 bytes");
  emulated::copy_async(s, g, size, bytes);
}
inline void copy_commit() { emulated::copy_commit(); }
template <int n>
void copy_wait() {
  emulated::copy_wait(n);
}

/* Lane i names row i % 8 of tile i / 8.  A lane gets two neighbouring elements of row lane / 4 of
 * each tile. */
inline void load_matrices(uint32_t (&r)[4], const void *s, bool transposed) {
  emulated::check_shared(s, 16, "load_matrix4");
  const char *all =
      emulated::exchange(transposed ? "load_matrix4_transposed" : "load_matrix4", &s, sizeof s);
  const int row = lane() / 4, col = lane() % 4 * 2;
  for (int tile = 0; tile < 4; tile++) {
    uint16_t pair[2];
    for (int i = 0; i < 2; i++) {
      const int from = transposed ? col + i : row, at = transposed ? row : col + i;
      pair[i] = emulated::of_lane<const uint16_t *>(all, tile * 8 + from)[at];
    }
    r[tile] = (uint32_t)pair[0] | (uint32_t)pair[1] << 16;
  }
}
inline void load_matrix4(uint32_t (&r)[4], const void *s) { load_matrices(r, s, false); }
inline void load_matrix4_transposed(uint32_t (&r)[4], const void *s) { load_matrices(r, s, true); }

inline float to_float(float v) { return v; }
inline double to_float(double v) { return v; }
inline float to_float(half v) { return spk_from_f16(v.bits); }
inline float to_float(bfloat16 v) { return spk_from_bf16(v.bits); }

template <class T>
float half_of(uint32_t w, int i) {
  return to_float(T{(uint16_t)(i ? w >> 16 : w & 0xffffu)});
}

template <class T>
T from_float(sum_of<T> x);
template <>
inline float from_float<float>(float x) {
  return x;
}
template <>
inline double from_float<double>(double x) {
  return x;
}
template <>
inline half from_float<half>(float x) {
  return {spk_to_f16(x)};
}
template <>
inline bfloat16 from_float<bfloat16>(float x) {
  return {spk_to_bf16(x)};
}
template <class T>
uint32_t pack2(float first, float second) {
  return (uint32_t)from_float<T>(first).bits | (uint32_t)from_float<T>(second).bits << 16;
}

inline int keep(int x) { return x; }

inline uint32_t bits_of(float x) { return spk_bits_of(x); }
inline float float_of(uint32_t bits) { return spk_float_of(bits); }
inline uint32_t tf32(float x) { return spk_to_tf32(x); }
inline float fma(float a, float b, float c) { return std::fma(a, b, c); }
inline double fma(double a, double b, double c) { return std::fma(a, b, c); }
inline float fmax(float a, float b) { return std::fmax(a, b); }
inline float exp2(float x) { return std::exp2(x); }
inline float erfc(float x) { return std::erfc(x); }
inline double erfc(double x) { return std::erfc(x); }
inline float tanh(float x) { return std::tanh(x); }
inline double tanh(double x) { return std::tanh(x); }
inline float exp(float x) { return std::exp(x); }
inline double exp(double x) { return std::exp(x); }
inline float log(float x) { return std::log(x); }
inline int popcount(uint32_t x) { return __builtin_popcount(x); }
inline int popcount(uint64_t x) { return __builtin_popcountll(x); }

/* The lane and the word of element k of a row of A or a column of B, as PTX's manual lays fragments
 * out.  It is written here independently of pack/fragments.h, which is tested against it. */
template <class T>
struct tensor_core {
  static constexpr int depth = 16;
  static float part(uint32_t word, int k) {
    return to_float(T{(uint16_t)(k % 2 ? word >> 16 : word & 0xffffu)});
  }
  static int lane_of(int k) { return k % 8 / 2; }
  static int word_of(int k) { return k / 8; }
};
template <>
struct tensor_core<tfloat32> {
  static constexpr int depth = 8;
  static float part(uint32_t word, int) { return float_of(word & ~0x1fffu); }
  static int lane_of(int k) { return k % 4; }
  static int word_of(int k) { return k / 4; }
};

template <class T>
void mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  using Core = tensor_core<T>;
  struct Operands {
    uint32_t a[4], b[2];
  } mine, other;
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  const char *all = emulated::exchange("mma", &mine, sizeof mine);
  for (int i = 0; i < 4; i++) {
    const int row = lane() / 4, below = i / 2, col = lane() % 4 * 2 + i % 2;
    double sum = c[i];
    for (int k = 0; k < Core::depth; k++) {
      other = emulated::of_lane<Operands>(all, row * 4 + Core::lane_of(k));
      const float x = Core::part(other.a[below + 2 * Core::word_of(k)], k);
      other = emulated::of_lane<Operands>(all, col * 4 + Core::lane_of(k));
      sum += (double)x * Core::part(other.b[Core::word_of(k)], k);
    }
    c[i] = (float)sum;
  }
}

} // namespace spk

#endif
