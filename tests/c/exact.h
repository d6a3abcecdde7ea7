/* What a kernel should have computed, and how far from it rounding may lead.
 *
 * A sum of r terms, each rounded, in any order and with or without FMA, is off by at most
 * gamma_r * sum |terms|, gamma_r = r*u / (1 - r*u) (Higham, Accuracy and Stability of Numerical
 * Algorithms, 2nd ed., section 3.1).  The reference is computed in double, so its own rounding is
 * allowed for too.
 */
#ifndef SPK_TESTING_EXACT_H
#define SPK_TESTING_EXACT_H

#include "../../src/common/common.h"

typedef struct exact {
  double value;     /* of the sum */
  double magnitude; /* the sum of the absolute values of its terms */
  double roundings; /* how many a computed value may have suffered */
} exact;

static inline void exact_add(exact *e, double term) {
  e->value += term;
  e->magnitude += term < 0 ? -term : term;
  e->roundings += 2;
}

/* activation(alpha * dot + beta * old + bias_row + bias_col); `old` is not used for beta == 0. */
exact exact_epilogue(exact dot, const spk_epilogue *e, double old, double bias_row,
                     double bias_col);
/* alpha * dot * (scale ? value : 1) + beta * value */
exact exact_sampling(exact dot, const spk_sampling *s, double value);
/* Whether `got` may be what a kernel of this dtype computes for it; NaN for NaN only. */
int exact_matches(exact e, spk_dtype dtype, double got);

#endif
