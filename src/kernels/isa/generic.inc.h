/* The words of one value type: a comment says what a word means, the function is its first
 * lowering. T and TN as in kernels; BITS and FRACTION_BITS: an integer of the size of T, and where
 * the exponent begins in it; i and j count lanes. */
#include "../names.inc.h"

#define OWN(word) (SPK_CAT2(SPK_OWN_, TN) & SPK_WORD_##word)
#define FOR_LANES(i) for (int i = 0; i < LANES; i++)

/* All lanes x. */
#if !OWN(set1)
static inline VEC V(set1)(T x) {
  VEC r;
  FOR_LANES(i) SPK_LANE(r, i) = x;
  return r;
}
#endif

/* All lanes 0. */
#if !OWN(zero)
static inline VEC V(zero)(void) { return V(set1)((T)0); }
#endif

/* x[k] has p[k] in all lanes, k < 2. */
#if !OWN(set2)
static inline void V(set2)(const T *p, VEC x[2]) {
  x[0] = V(set1)(p[0]);
  x[1] = V(set1)(p[1]);
}
#endif

/* The same for k < 4. */
#if !OWN(set4)
static inline void V(set4)(const T *p, VEC x[4]) {
  V(set2)(p, x);
  V(set2)(p + 2, x + 2);
}
#endif

/* The mask of the first n lanes, 0 <= n <= LANES. */
#if !OWN(mask)
static inline MASK V(mask)(ptrdiff_t n) { return n; }
#endif

/* The lanes from memory of any alignment. */
#if !OWN(load)
static inline VEC V(load)(const T *p) {
  VEC r;
  FOR_LANES(i) SPK_LANE(r, i) = p[i];
  return r;
}
#endif

/* The lanes to memory of any alignment. */
#if !OWN(store)
static inline void V(store)(T *p, VEC a) { FOR_LANES(i) p[i] = SPK_LANE(a, i); }
#endif

/* The masked lanes; others are 0, and their memory is never touched. */
#if !OWN(load_masked)
static inline VEC V(load_masked)(const T *p, MASK m) {
  VEC r;
  FOR_LANES(i) SPK_LANE(r, i) = i < m ? p[i] : (T)0;
  return r;
}
#endif

/* The masked lanes; the memory of others is never touched. */
#if !OWN(store_masked)
static inline void V(store_masked)(T *p, MASK m, VEC a) {
  FOR_LANES(i) if (i < m) p[i] = SPK_LANE(a, i);
}
#endif

/* a + b */
#if !OWN(add)
static inline VEC V(add)(VEC a, VEC b) {
  FOR_LANES(i) SPK_LANE(a, i) += SPK_LANE(b, i);
  return a;
}
#endif

/* a - b */
#if !OWN(sub)
static inline VEC V(sub)(VEC a, VEC b) {
  FOR_LANES(i) SPK_LANE(a, i) -= SPK_LANE(b, i);
  return a;
}
#endif

/* a * b */
#if !OWN(mul)
static inline VEC V(mul)(VEC a, VEC b) {
  FOR_LANES(i) SPK_LANE(a, i) *= SPK_LANE(b, i);
  return a;
}
#endif

/* a / b */
#if !OWN(div)
static inline VEC V(div)(VEC a, VEC b) {
  FOR_LANES(i) SPK_LANE(a, i) /= SPK_LANE(b, i);
  return a;
}
#endif

/* a * b + c, rounded once where the ISA has such an instruction. */
#if !OWN(fma)
static inline VEC V(fma)(VEC a, VEC b, VEC c) {
  FOR_LANES(i) SPK_LANE(c, i) += SPK_LANE(a, i) * SPK_LANE(b, i);
  return c;
}
#endif

/* c - a * b, rounded as fma is. */
#if !OWN(fnma)
static inline VEC V(fnma)(VEC a, VEC b, VEC c) {
  FOR_LANES(i) SPK_LANE(c, i) -= SPK_LANE(a, i) * SPK_LANE(b, i);
  return c;
}
#endif

/* a * b - c, rounded once, where c is about a * b: what a rounded product or quotient lacks. */
#if !OWN(residual)
static inline VEC V(residual)(VEC a, VEC b, VEC c) {
  FOR_LANES(i) SPK_LANE(a, i) = RESIDUAL(SPK_LANE(a, i), SPK_LANE(b, i), SPK_LANE(c, i));
  return a;
}
#endif

/* 0 where a < 0, else a: NaN and -0 stay. */
#if !OWN(relu)
static inline VEC V(relu)(VEC a) {
  FOR_LANES(i) SPK_LANE(a, i) = SPK_LANE(a, i) < (T)0 ? (T)0 : SPK_LANE(a, i);
  return a;
}
#endif

/* The greater; b where they are equal or one of them is NaN. */
#if !OWN(max)
static inline VEC V(max)(VEC a, VEC b) {
  FOR_LANES(i) SPK_LANE(a, i) = SPK_LANE(a, i) > SPK_LANE(b, i) ? SPK_LANE(a, i) : SPK_LANE(b, i);
  return a;
}
#endif

/* The lesser; b where they are equal or one of them is NaN. */
#if !OWN(min)
static inline VEC V(min)(VEC a, VEC b) {
  FOR_LANES(i) SPK_LANE(a, i) = SPK_LANE(a, i) < SPK_LANE(b, i) ? SPK_LANE(a, i) : SPK_LANE(b, i);
  return a;
}
#endif

/* Without its sign. */
#if !OWN(abs)
static inline VEC V(abs)(VEC a) {
  FOR_LANES(i) SPK_LANE(a, i) = (T)fabs(SPK_LANE(a, i));
  return a;
}
#endif

/* a with the sign of x. */
#if !OWN(copysign)
static inline VEC V(copysign)(VEC a, VEC x) {
  FOR_LANES(i) SPK_LANE(a, i) = (T)copysign(SPK_LANE(a, i), SPK_LANE(x, i));
  return a;
}
#endif

/* a where x < y, else b. */
#if !OWN(select_less)
static inline VEC V(select_less)(VEC x, VEC y, VEC a, VEC b) {
  FOR_LANES(i) SPK_LANE(b, i) = SPK_LANE(x, i) < SPK_LANE(y, i) ? SPK_LANE(a, i) : SPK_LANE(b, i);
  return b;
}
#endif

/* a in the lanes whose bit is set, else b; bit 0 is lane 0. */
#if !OWN(blend)
static inline VEC V(blend)(VEC a, unsigned bits, VEC b) {
  FOR_LANES(i) if (!(bits >> i & 1)) SPK_LANE(a, i) = SPK_LANE(b, i);
  return a;
}
#endif

/* A bit for each lane that is not zero, NaN included; bit 0 is lane 0. */
#if !OWN(nonzero_mask)
static inline unsigned V(nonzero_mask)(VEC a) {
  unsigned bits = 0;
  FOR_LANES(i) bits |= (unsigned)(SPK_LANE(a, i) != (T)0) << i;
  return bits;
}
#endif

/* 2^n for m = 1.5 * 2^23 + 127 + n in float and 1.5 * 2^52 + 1023 + n in double, where n is an
 * integer and the result is normal. */
#if !OWN(exp2_int)
static inline VEC V(exp2_int)(VEC m) {
  FOR_LANES(i) {
    BITS bits;
    T lane = SPK_LANE(m, i);
    memcpy(&bits, &lane, sizeof bits);
    bits <<= FRACTION_BITS;
    memcpy(&lane, &bits, sizeof bits);
    SPK_LANE(m, i) = lane;
  }
  return m;
}
#endif

/* The sum of the lanes, in any order. */
#if !OWN(reduce)
static inline T V(reduce)(VEC a) {
  T s = SPK_LANE(a, 0);
  for (int i = 1; i < LANES; i++) s += SPK_LANE(a, i);
  return s;
}
#endif

/* y[k] is the sum of the lanes of a[k], k < 8: one transposition for all. */
#if !OWN(reduce8)
static inline void V(reduce8)(const VEC a[8], T y[8]) {
  for (int k = 0; k < 8; k++) y[k] = V(reduce)(a[k]);
}
#endif

/* Lane j of a[i] and lane i of a[j] change places. */
#if !OWN(transpose)
static inline void V(transpose)(VEC a[LANES]) {
  FOR_LANES(i) for (int j = 0; j < i; j++) {
    const T x = SPK_LANE(a[i], j);
    SPK_LANE(a[i], j) = SPK_LANE(a[j], i);
    SPK_LANE(a[j], i) = x;
  }
}
#endif

#undef OWN
#undef FOR_LANES
