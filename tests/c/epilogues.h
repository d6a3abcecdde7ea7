/* The epilogues that the tests of SpMM go through.  All numbers are floats. */
#ifndef SPK_TESTING_EPILOGUES_H
#define SPK_TESTING_EPILOGUES_H

#include "../../src/common/common.h"

typedef struct epilogue_case {
  const char *name;
  double alpha, beta;
  int bias_row, bias_col;
  int special; /* NaN and infinities in the bias */
  spk_activation activation;
} epilogue_case;

static const epilogue_case epilogue_cases[] = {
    {"plain", 1, 0, 0, 0, 0, SPK_IDENTITY},
    {"add", 1, 1, 0, 0, 0, SPK_IDENTITY},
    {"alpha", -1.75, 0, 0, 0, 0, SPK_IDENTITY},
    {"alpha 0", 0, 0.5, 0, 0, 0, SPK_IDENTITY},
    {"alpha and beta", 0.625, -2.5, 0, 0, 0, SPK_IDENTITY},
    {"bias per row", 1, 0, 1, 0, 0, SPK_IDENTITY},
    {"bias per column", 1, 1, 0, 1, 0, SPK_IDENTITY},
    {"all and relu", 1.5, 0.75, 1, 1, 0, SPK_RELU},
    {"relu of NaN and infinity", 1, 0, 0, 1, 1, SPK_RELU},
    {"gelu", 1, 0, 0, 0, 0, SPK_GELU},
    {"silu and bias", 1, 0, 0, 1, 0, SPK_SILU},
    {"tanh and beta", 1, 0.5, 0, 0, 0, SPK_TANH},
    {"sigmoid and all", -0.5, 1, 1, 1, 0, SPK_SIGMOID},
    {"gelu_tanh and all", 0.25, -1, 1, 1, 0, SPK_GELU_TANH},
    {"hardswish and bias", 0.5, 0, 1, 0, 0, SPK_HARDSWISH},
};
enum { EPILOGUE_CASES = sizeof epilogue_cases / sizeof *epilogue_cases };

#endif
