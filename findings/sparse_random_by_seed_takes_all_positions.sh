#!/usr/bin/env bash
# scipy 1.17.1: sparse.random(m, n, ..., random_state=0) takes memory for all m * n positions,
# rng=0 for the stored entries alone.
#
# The old keyword makes a RandomState of a number, whose choice(..., replace=False) permutes all
# positions, 8 bytes each; the new one makes a Generator, whose choice does not.  A matrix of
# 50,000 x 50,000 with a few entries per row takes 20 GB by the one and a few MB by the other.
# The two give different matrices for the same number, too.
#
# Seen, peak memory in MB above that of a process that only imports scipy, 6,000 x 6,000, 36,000
# entries (all positions take 288 MB):
#   random_state=0: 282, rng=0: 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 scipy==1.17.1
cd "$folder"
cat > peak.py <<'PYTHON'
import resource
import sys

import scipy.sparse as sp

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
A = sp.random(6000, 6000, density=1e-3, format="csr", **{sys.argv[1]: 0})
assert A.nnz == 36_000
print(round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000))
PYTHON
old=$(env/bin/python peak.py random_state)
new=$(env/bin/python peak.py rng)
echo "random_state=0: $old, rng=0: $new"
[ "$old" -ge 200 ] && [ "$new" -le 20 ]
