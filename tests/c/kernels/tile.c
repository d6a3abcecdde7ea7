#include "checks.h"
#include "activations.h"
#include "fixtures.h"

#include <math.h>

void check_tile_scale(spk_tile_fn kernel, spk_dtype dtype) {
  const double betas[] = {0, 1, -0.75};
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int b = 0; b < 3; b++) {
      test_case("tile_scale %s, layout %d, beta = %g", dtype_names[dtype], how, betas[b]);
      matrix C = random_output(dtype, 5, 19, how);
      if (betas[b] == 0) matrix_put(&C, 4, 18, NAN);
      const matrix old = matrix_copy(&C);
      /* Biases and activation are for tile_finish: here they change nothing. */
      const spk_epilogue e = {2, betas[b], old.memory, old.memory, SPK_TANH};
      kernel(C.view.data, C.view.row_stride, C.view.col_stride, 5, 19, &e);
      for (ptrdiff_t i = 0; i < 5; i++)
        for (ptrdiff_t j = 0; j < 19; j++) {
          exact x = {0};
          exact_add(&x, betas[b] == 0 ? 0 : betas[b] * matrix_get(&old, i, j));
          CHECK(exact_matches(x, dtype, matrix_get(&C, i, j)), "C[%td, %td]", i, j);
        }
      CHECK(matrix_gaps_intact(&C));
      exact_memory_release();
    }
  for (int how = 0; how < OUTPUT_LAYOUTS; how++) {
    test_case("tile_scale %s, layout %d, alpha = inf", dtype_names[dtype], how);
    const matrix C = random_output(dtype, 5, 19, how);
    const spk_epilogue e = {.alpha = INFINITY, .beta = how % 2};
    kernel(C.view.data, C.view.row_stride, C.view.col_stride, 5, 19, &e);
    for (ptrdiff_t i = 0; i < 5; i++)
      for (ptrdiff_t j = 0; j < 19; j++) CHECK(isnan(matrix_get(&C, i, j)), "C[%td, %td]", i, j);
    CHECK(matrix_gaps_intact(&C));
    exact_memory_release();
  }
}

void check_tile_finish(spk_tile_fn kernel, spk_dtype dtype) {
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int c = 0; c < EPILOGUE_CASES; c++) {
      const epilogue_case *given = &epilogue_cases[c];
      test_case("tile_finish %s, layout %d, %s", dtype_names[dtype], how, given->name);
      const matrix bias_row = random_bias(dtype, 5, 0);
      const matrix bias_col = random_bias(dtype, 19, given->special);
      exact_memory_freeze();
      matrix C = random_output(dtype, 5, 19, how);
      const matrix old = matrix_copy(&C);
      const spk_epilogue e = epilogue_of(given, &bias_row, &bias_col);
      kernel(C.view.data, C.view.row_stride, C.view.col_stride, 5, 19, &e);
      spk_epilogue rest = e; /* C holds sums: there is nothing for beta */
      rest.beta = 0;
      for (ptrdiff_t i = 0; i < 5; i++)
        for (ptrdiff_t j = 0; j < 19; j++) {
          exact x = {0};
          exact_add(&x, matrix_get(&old, i, j));
          x = exact_epilogue(x, &rest, 0, matrix_get(&bias_row, i, 0), matrix_get(&bias_col, j, 0));
          CHECK(exact_matches(x, dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
                j, matrix_get(&C, i, j), x.value);
        }
      CHECK(matrix_gaps_intact(&C));
      exact_memory_release();
    }
}

void check_tile_store(spk_store_fn kernel, spk_dtype dtype) {
  check_activations(kernel, dtype);
  check_places(kernel, dtype);
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int c = 0; c < EPILOGUE_CASES; c++) {
      const epilogue_case *given = &epilogue_cases[c];
      test_case("tile_store %s, layout %d, %s", dtype_names[dtype], how, given->name);
      const matrix bias_row = random_bias(dtype, 5, 0);
      const matrix bias_col = random_bias(dtype, 19, given->special);
      const matrix sums = random_input(dtype, 5, 19, ROW_MAJOR);
      exact_memory_freeze();
      matrix C = random_output(dtype, 5, 19, how);
      if (given->beta == 0) matrix_put(&C, 4, 18, NAN);
      const matrix old = matrix_copy(&C);
      const spk_epilogue e = epilogue_of(given, &bias_row, &bias_col);
      kernel(sums.view.data, sums.view.row_stride, C.view.data, C.view.row_stride,
             C.view.col_stride, 5, 19, &e);
      for (ptrdiff_t i = 0; i < 5; i++)
        for (ptrdiff_t j = 0; j < 19; j++) {
          exact x = {0};
          exact_add(&x, matrix_get(&sums, i, j));
          x = exact_epilogue(x, &e, matrix_get(&old, i, j), matrix_get(&bias_row, i, 0),
                             matrix_get(&bias_col, j, 0));
          CHECK(exact_matches(x, dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
                j, matrix_get(&C, i, j), x.value);
        }
      CHECK(matrix_gaps_intact(&C));
      exact_memory_release();
    }
}
