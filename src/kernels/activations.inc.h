/* One element through an activation other than relu, which the vector path does itself.
 *
 * Within these units in the last place of the result, which may be subnormal, for every x: tanh 4,
 * sigmoid 4, silu 6, gelu 8 (tests/c/test_kernels.c).  Each follows libm's exp, erfc and tanh,
 * which are right to one unit or two; what is below keeps them away from where they overflow,
 * underflow or magnify a rounding of their argument. */

/* exp(-x) overflows not far below, and 1 + exp(x) has been 1 from well above it. */
#define SPK_FAR_LEFT ((T)(sizeof(T) == 4 ? -80 : -700))

/* x Phi(x) for x < -1, in double.  The exact form of gelu (Hendrycks and Gimpel, arXiv 1606.08415),
 * not its tanh approximation: x / 2 times erfc(z), z = -x / sqrt(2), whose relative error is x^2
 * times that of z. */
static double FT(gelu_tail)(double x) {
  const double root = 0.70710678118654752440, rest = -4.8336466567264567e-17; /* 1 / sqrt(2) */
  /* Where rounding the result to T takes care of the error of z. */
  if (x < -40) return -0.0; /* before infinity meets zero */
  if (sizeof(T) == 4) return 0.5 * x * erfc(-x * root);
  if (x > -36) {
    const double z = -x * root, error = fma(-x, root, -z) - x * rest;
    /* -erfc'(z) / erfc(z), by a continued fraction; its first digits are enough. */
    const double slope = 2 * (z + 0.5 / (z + 1 / (z + 1.5 / (z + 2 / (z + 0.5)))));
    return 0.5 * x * (erfc(z) * (1 - slope * error));
  }
  /* erfc underflows before the result does: -phi(x) times |x| times Mills' ratio, phi in two
   * factors, 1 - x^-2 + 3 x^-4 - ..., whose terms vanish here. */
  const double half = 0.5 * x * x, error = 0.5 * fma(x, x, -x * x), u = 1 / (x * x);
  const double ratio = 1 - u * (1 - 3 * u * (1 - 5 * u * (1 - 7 * u * (1 - 9 * u * (1 - 11 * u)))));
  const double factor = exp(-0.5 * half);
  return -(0.39894228040143267794 * ratio * (1 - error) * factor) * factor;
}

static T FT(activate_one)(T x, spk_activation activation) {
  switch (activation) {
    case SPK_RELU:
      return x < (T)0 ? (T)0 : x;
    case SPK_GELU:
      if (x < (T)-1) return (T)FT(gelu_tail)((double)x);
      return (T)0.5 * x * T_FN(erfc)(-x * (T)0.70710678118654752440);
    case SPK_SILU:
      if (x == (T)-INFINITY) return (T)-0.0;
      if (x < SPK_FAR_LEFT) { /* exp(x) itself may be subnormal where the product is not */
        const T root = T_FN(exp)(x / 2);
        return x * root * root;
      }
      return x / ((T)1 + T_FN(exp)(-x));
    case SPK_TANH:
      return T_FN(tanh)(x);
    case SPK_SIGMOID:
      return x < SPK_FAR_LEFT ? T_FN(exp)(x) : (T)1 / ((T)1 + T_FN(exp)(-x));
    default:
      return x;
  }
}
#undef SPK_FAR_LEFT
