#!/usr/bin/env bash
# threadpoolctl 3.8.0 with numpy 2.4.6 (wheel, OpenBLAS 0.3.31, pthreads): while one
# thread holds a limit on OpenBLAS, limits that other threads set have no effect, and no error tells.
#
# 3.6.0 applied each of them, the last one winning, for the whole process.  3.8.0 remembers the first
# thread that asked, and ignores all others until its last `threadpool_limits` has ended, or it has.
# A limit that is begun in one thread and ended in another is thereby never undone, and a controller's
# `set_num_threads`, which has no end, leaves its thread the owner for as long as it lives.
#
# Seen, OpenBLAS threads inside of a limit of 1 in a second thread, while the first holds one of 2,
# and after a limit of 1 was ended by another thread than began it (3 at first):
#   3.6.0: 1, 3    3.8.0: 2, 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
cd "$folder"
cat > limits.py <<'PYTHON'
import threading

import numpy  # noqa: F401 - it brings OpenBLAS
from threadpoolctl import ThreadpoolController, threadpool_limits

blas = ThreadpoolController().select(user_api="blas").lib_controllers[0]
seen = []


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def second():
    with threadpool_limits(1, user_api="blas"):
        seen.append(blas.num_threads)


with threadpool_limits(3, user_api="blas"):
    with threadpool_limits(2, user_api="blas"):
        in_thread(second)
    limit = threadpool_limits(1, user_api="blas")
    in_thread(limit.restore_original_limits)
    seen.append(blas.num_threads)
print(*seen)
PYTHON
export OPENBLAS_NUM_THREADS=3
env/bin/pip install -q numpy==2.4.6 threadpoolctl==3.6.0
before=$(env/bin/python limits.py)
env/bin/pip install -q threadpoolctl==3.8.0
after=$(env/bin/python limits.py)
echo "3.6.0: $before    3.8.0: $after"
[ "$before" = "1 3" ] && [ "$after" = "2 1" ]
