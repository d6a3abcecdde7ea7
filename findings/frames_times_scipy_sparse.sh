#!/usr/bin/env bash
# pandas 3.1.1 and xarray 2026.9.0 with scipy 1.17.1: a frame or labelled array on the left of a sparse array.
#
# scipy's sparse arrays have a reflected product for any dense operand on the left.  Neither library
# lets Python try it: both raise an error of their own from `@`.  The values on the left
# multiply: `frame.to_numpy() @ A` and `labelled.values @ A`.
#
# Seen:
#   DataFrame @ csr_array: IndexError: tuple index out of range
#   DataArray @ csr_array: TypeError: dot only operates on DataArrays.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 xarray==2026.9.0
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import pandas
import scipy.sparse as sp
import xarray

A, dense = sp.eye_array(2, format="csr"), np.arange(4.0).reshape(2, 2)
seen = []
for operand in (pandas.DataFrame(dense), xarray.DataArray(dense)):
    try:
        operand @ A
    except Exception as error:
        seen.append(f"{type(operand).__name__} @ csr_array: {type(error).__name__}: {error}")
        print(seen[-1])
    else:
        seen.append(f"{type(operand).__name__} @ csr_array multiplies")
    assert (np.asarray(operand) @ A == dense).all()
assert [line.split(": ")[1] for line in seen] == ["IndexError", "TypeError"], seen
PYTHON
