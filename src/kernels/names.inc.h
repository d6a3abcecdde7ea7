/* Names inside the templates, made from T (value type), TN (its short name), I and IN (index
 * type). */
#undef VEC
#undef MASK
#undef V
#undef LANES
#undef FT
#undef FN
#undef FNV
#undef FI
#define VEC SPK_CAT2(v_, TN)
#define MASK SPK_CAT2(m_, TN)
#define V(op) SPK_CAT3(SPK_CAT2(v_, TN), _, op)
#define LANES SPK_CAT2(SPK_LANES_, TN)
#define SPK_NAME2_(a, f, isa) spk_##a##_##f##__##isa
#define SPK_NAME2(a, f, isa) SPK_NAME2_(a, f, isa)
#define SPK_NAME3_(a, b, f, isa) spk_##a##_##b##_##f##__##isa
#define SPK_NAME3(a, b, f, isa) SPK_NAME3_(a, b, f, isa)
#define SPK_NAME1_(f, isa) spk_##f##__##isa
#define SPK_NAME1(f, isa) SPK_NAME1_(f, isa)
/* A function per value type, per value and index type, and per index type. */
#define FT(f) SPK_NAME2(TN, f, SPK_ISA_NAME)
#define FN(f) SPK_NAME3(TN, IN, f, SPK_ISA_NAME)
#define FI(f) SPK_NAME2(IN, f, SPK_ISA_NAME)
