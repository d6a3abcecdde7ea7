#!/usr/bin/env bash
# numpy 2.4.6 (wheel, OpenBLAS 0.3.31, Linux, two CPUs or more): a dot product of 20,000 numbers takes
# microseconds, and then keeps every other CPU busy for some 25 milliseconds.
#
# From 10,000 elements on, OpenBLAS gives part of a dot product to its threads, which look for more
# work for 2**26 cycles before they sleep.  A solver (conjugate gradients, Lanczos) that takes dot
# products between sparse products never lets them: on two CPUs a product of 2 threads in between
# was as slow as one of 1 thread.  OPENBLAS_NUM_THREADS=1 ends it, OPENBLAS_THREAD_TIMEOUT=20 (a
# power of two of cycles) makes it short; neither is named in NumPy's documentation of `dot`.
#
# Seen, CPU milliseconds of a process that sleeps for 100 ms after a dot product, two CPUs:
#   9999 elements 0, 20000 elements 28, with one thread 0, with a timeout of 2**20 cycles 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6
cd "$folder"
cat > after.py <<'PYTHON'
import sys
import time

import numpy as np

x = np.ones(int(sys.argv[1]))
x.dot(x)
time.sleep(0.2)
used = []
for _ in range(5):
    x.dot(x)
    begin = time.process_time()
    time.sleep(0.1)
    used.append(time.process_time() - begin)
print(round(1e3 * sorted(used)[2]))
PYTHON
python=env/bin/python
export OPENBLAS_NUM_THREADS=2
short=$($python after.py 9999)
long=$($python after.py 20000)
single=$(OPENBLAS_NUM_THREADS=1 $python after.py 20000)
brief=$(OPENBLAS_THREAD_TIMEOUT=20 $python after.py 20000)
echo "9999 elements $short, 20000 elements $long, with one thread $single," \
  "with a timeout of 2**20 cycles $brief"
[ "$short" -le 2 ] && [ "$long" -ge 5 ] && [ "$single" -le 2 ] && [ "$brief" -le 4 ]
