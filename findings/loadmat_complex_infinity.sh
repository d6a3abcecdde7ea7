#!/usr/bin/env bash
# scipy 1.17.1: savemat writes 1 + inf j, and loadmat reads nan + inf j from two of four kinds of array.
#
# A NaN real part is what real + 1j * imag gives, as it multiplies infinity by the zero real part of
# 1j.  Dense arrays of level-4 files and sparse ones of level-5 files are affected, the others not.
#
# Seen:
#   level 4: sparse [1.+infj], dense [nan+infj]
#   level 5: sparse [nan+infj], dense [1.+infj]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 scipy==1.17.1
cd "$folder"
env/bin/python -W ignore - <<'PYTHON'
import io

import numpy as np
import scipy.io
import scipy.sparse as sp

value = complex(1, np.inf)
seen = {}
for level in (4, 5):
    file = io.BytesIO()
    arrays = {"A": sp.csc_array(np.array([[value]])), "D": np.array([[value]])}
    scipy.io.savemat(file, arrays, format=str(level))
    found = scipy.io.loadmat(file)
    sparse, dense = found["A"].data, found["D"][0]
    print(f"level {level}: sparse {sparse}, dense {dense}")
    seen[level] = [bool(np.isnan(part.real).any()) for part in (sparse, dense)]
assert seen == {4: [False, True], 5: [True, False]}, seen
PYTHON
