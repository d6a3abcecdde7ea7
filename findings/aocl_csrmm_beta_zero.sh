#!/usr/bin/env bash
# aoclda 5.3.0.1 (AOCL-Sparse): csrmm with beta = 0 multiplies what C holds by 0; smv does not.
#
# A result array that was not initialised may hold NaN, which then stays in C = A @ B.  The product
# with a vector of the same library overwrites its result.
#
# Seen:
#   aoclsparse_scsrmm, beta 0: [[nan, nan], [nan, nan]]
#   aoclsparse_smv,    beta 0: [1.0, 1.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 aoclda==5.3.0.1
cd "$folder"
env/bin/python - <<'PYTHON'
import ctypes
import pathlib

import aoclda._aoclda  # loads what the library needs
import numpy as np

folder = pathlib.Path(aoclda.__file__).parents[1] / "aoclda.libs"
library = ctypes.CDLL(str(next(folder.glob("libaoclsparse*"))))
NO_TRANSPOSE, ROW_MAJOR, ZERO_BASED = 111, 0, 0


def address(array):
    return ctypes.c_void_p(array.ctypes.data)


def call(name, *arguments):
    status = getattr(library, name)(*arguments)
    assert status == 0, f"{name}: status {status}"


# The identity, and C full of NaN.
indptr, indices = np.array([0, 1, 2], np.int32), np.array([0, 1], np.int32)
values, B = np.ones(2, np.float32), np.ones((2, 2), np.float32)
C, y, x = np.full((2, 2), np.nan, np.float32), np.full(2, np.nan, np.float32), B[0].copy()
matrix, description = ctypes.c_void_p(), ctypes.c_void_p()
one, zero = ctypes.c_float(1), ctypes.c_float(0)
call("aoclsparse_create_mat_descr", ctypes.byref(description))
call("aoclsparse_create_scsr", ctypes.byref(matrix), ZERO_BASED, 2, 2, 2,
     address(indptr), address(indices), address(values))
call("aoclsparse_scsrmm", NO_TRANSPOSE, one, matrix, description, ROW_MAJOR,
     address(B), 2, 2, zero, address(C), 2)
call("aoclsparse_smv", NO_TRANSPOSE, ctypes.byref(one), matrix, description,
     address(x), ctypes.byref(zero), address(y))
print("aoclsparse_scsrmm, beta 0:", C.tolist())
print("aoclsparse_smv,    beta 0:", y.tolist())
assert np.isnan(C).all() and y.tolist() == [1, 1]
PYTHON
