/* fork() after a parallel region: the runtime's pool of threads does not survive it, and a child
 * must neither wait for it nor compute anything else. */
#include <sys/wait.h>
#include <unistd.h>

#include "matrix.h"
#include "sparse.h"

/* A child that hangs is killed after as many seconds. */
#define PATIENCE 60

enum { ROWS = 301, COLS = 257, N = 64 };

typedef struct product {
  sparse A;
  matrix B, C, expected;
} product;

static int agrees(const product *p, int threads) {
  return spk_spmm(&p->A.view, &p->B.view, &p->C.view, NULL, threads) == SPK_OK &&
         matrix_same_bits(&p->C, &p->expected);
}

/* Whether a child agrees, and its own child, down to a depth. */
static int child_agrees(const product *p, int depth) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(PATIENCE);
    int agree = 1;
    for (int threads = 3; threads >= 0; threads--) agree &= agrees(p, threads);
    if (depth > 1) agree &= child_agrees(p, depth - 1);
    _exit(agree ? 0 : 1);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

int main(void) {
  static const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, ROWS, COLS, 1, 1, 9000, 1};
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1971);
  product p = {.A = sparse_random(&shape)};
  p.B = matrix_input(SPK_F32, COLS, N, N, 1);
  p.C = matrix_output(SPK_F32, ROWS, N, N, 1);
  p.expected = matrix_output(SPK_F32, ROWS, N, N, 1);
  test_case("a child before any region");
  CHECK(spk_spmm(&p.A.view, &p.B.view, &p.expected.view, NULL, 1) == SPK_OK);
  CHECK(child_agrees(&p, 1));
  test_case("a child, and its child, after a region");
  CHECK(agrees(&p, 3));
  CHECK(child_agrees(&p, 2));
  test_case("the parent after them");
  CHECK(agrees(&p, 3));
  return test_result();
}
