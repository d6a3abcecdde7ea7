#!/usr/bin/env bash
# GCC 12.2 (Debian 12.2.0-14+deb12u1, x86-64): -O2 drops conversions from double to float and back.
#
# Two neighbouring members of a struct are rounded to float under a condition, and the struct is
# returned from a function that is not inlined.  With -O1 they are rounded, with -O2 they are not,
# though no option allows that.  The compiler comes from Debian's packages, unpacked in a folder.
#
# Seen:
#   -O1: 0.10000000149011612 0
#   -O2: 0.10000000000000001 1e-60
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
version=12.2.0-14+deb12u1
apt-get -q download "gcc-12=$version" "cpp-12=$version" "libgcc-12-dev=$version" >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" root; done
cat >rounding.c <<'C'
#include <stdio.h>

typedef struct {
  double first, second;
  const void *third, *fourth;
  int fifth;
} factors;

static double rounded(double x, int keep) { return keep == 0 ? (double)(float)x : x; }

__attribute__((noinline)) factors round_both(const factors *from, int keep) {
  factors result = *from;
  result.first = rounded(result.first, keep);
  result.second = rounded(result.second, keep);
  return result;
}

int main(void) {
  const factors from = {.first = 0.1, .second = 1e-60};
  const factors to = round_both(&from, 0), same = round_both(&from, 1);
  printf("%.17g %g\n", to.first, to.second);
  return same.first != 0.1;
}
C
for level in 1 2; do
  root/usr/bin/gcc-12 -std=c11 "-O$level" rounding.c -o "rounding-$level"
  echo "-O$level: $("./rounding-$level")"
done
[ "$(./rounding-1)" = '0.10000000149011612 0' ]
[ "$(./rounding-2)" = '0.10000000000000001 1e-60' ]
