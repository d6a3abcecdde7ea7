/* Every function of the library that works on matrices, with operands that take its different
 * paths: for tests of what they have in common. */
#ifndef SPK_TESTING_VERBS_H
#define SPK_TESTING_VERBS_H

#include "matrix.h"
#include "sparse.h"

enum { MAX_OUTPUTS = 2 };

typedef struct verb verb;
struct verb {
  char name[96];
  spk_status (*run)(const verb *v, int threads);
  /* What it writes, from which it also starts; before: the same as it was.  NULL: not compared. */
  void *outputs[MAX_OUTPUTS], *before[MAX_OUTPUTS];
  size_t bytes[MAX_OUTPUTS];
  /* What its function makes of these is its own affair. */
  sparse A, S;
  matrix B, C, X, Y;
  void *ids, *numbers;
  ptrdiff_t count, width;
  int choice;
};

int verb_count(void);
/* Makes number 0 .. verb_count() - 1 in exact_memory; returns whether there is such a one. */
int verb_make(int number, verb *v);
/* Runs it on its operands as they were made. */
spk_status verb_run(const verb *v, int threads);
/* Whether it has written nothing. */
int verb_untouched(const verb *v);
/* Copies what it has written to `expected`, or compares with that. */
void verb_keep(const verb *v, void *expected[MAX_OUTPUTS]);
int verb_same(const verb *v, void *const expected[MAX_OUTPUTS]);

#endif
