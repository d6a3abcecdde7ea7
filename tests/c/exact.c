#include "exact.h"

#include <float.h>
#include <math.h>

static void scale(exact *e, double by) {
  e->value *= by;
  e->magnitude *= fabs(by);
  e->roundings += 1;
}

static double activate(double x, spk_activation activation) {
  switch (activation) {
    case SPK_RELU:
      return x < 0 ? 0 : x;
    case SPK_GELU:
      return 0.5 * x * erfc(-x / sqrt(2.0));
    case SPK_SILU:
      return x / (1 + exp(-x));
    case SPK_TANH:
      return tanh(x);
    case SPK_SIGMOID:
      return 1 / (1 + exp(-x));
    case SPK_GELU_TANH:
      return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case SPK_LEAKY_RELU:
      return x < 0 ? 0.01 * x : x;
    case SPK_ELU:
      return x < 0 ? expm1(x) : x;
    case SPK_HARDSWISH:
      return x * fmin(6, fmax(0, x + 3)) / 6;
    case SPK_HARDSIGMOID:
      return fmin(6, fmax(0, x + 3)) / 6;
    case SPK_RELU6:
      return fmin(6, x < 0 ? 0 : x);
    case SPK_IDENTITY:
      break;
  }
  return x;
}

exact exact_epilogue(exact dot, const spk_epilogue *e, double old, double bias_row,
                     double bias_col) {
  scale(&dot, e->alpha);
  if (e->beta != 0) exact_add(&dot, e->beta * old);
  if (e->bias_row) exact_add(&dot, bias_row);
  if (e->bias_col) exact_add(&dot, bias_col);
  if (e->activation == SPK_IDENTITY) return dot;
  /* No activation is steeper than 1.5 (hardswish); its own rounding is a few units of its value and
   * of its argument. */
  dot.value = activate(dot.value, e->activation);
  if (e->activation != SPK_RELU) {
    dot.magnitude = 1.5 * dot.magnitude + fabs(dot.value);
    dot.roundings += 8;
  }
  return dot;
}

exact exact_sampling(exact dot, const spk_sampling *s, double value) {
  scale(&dot, s->alpha);
  if (s->scale) scale(&dot, value);
  if (s->beta != 0) exact_add(&dot, s->beta * value);
  return dot;
}

int exact_matches(exact e, spk_dtype dtype, double got) {
  if (isnan(e.value) || isinf(e.value)) return isnan(e.value) ? isnan(got) : got == e.value;
  const double unit = (dtype == SPK_F32 ? FLT_EPSILON : DBL_EPSILON) / 2 + DBL_EPSILON / 2;
  const double gamma = e.roundings * unit / (1 - e.roundings * unit);
  /* <= is false for a NaN; what underflows is off by less than the smallest normal number. */
  return fabs(got - e.value) <= gamma * e.magnitude + (dtype == SPK_F32 ? FLT_MIN : DBL_MIN);
}
