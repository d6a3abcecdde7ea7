/* The maps of fragments.h against each other. */
#include "fragments.h"

int spk_packed_fragments(int halves, int *seen);

/* How many elements of a fragment of A the inverse maps do not lead back to; seen[row][col] counts
 * those that lie there. */
int spk_packed_fragments(int halves, int *seen) {
  int wrong = 0;
  for (int lane = 0; lane < 32; lane++) {
    for (int i = 0; i < 4 * halves; i++) {
      const int row = spk_mma_a_row(lane, i, halves), col = spk_mma_a_col(lane, i, halves);
      seen[row * 8 * halves + col]++;
      wrong += spk_mma_a_lane(row, col, halves) != lane;
      wrong += spk_mma_a_element(row, col, halves) != i;
    }
  }
  return wrong;
}
