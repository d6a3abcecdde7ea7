#!/usr/bin/env bash
# scipy 1.17.1: loadmat(mat_dtype=True) leaves a sparse double matrix in the integer type of its storage.
#
# The level-5 MAT format lets a writer store the values of a double array in fewer bytes where they
# are small whole numbers, and MATLAB does so.  mat_dtype=True asks for the types that MATLAB has.
# Dense arrays get them, sparse ones keep the storage type, so that sums wrap: 200 + 200 is 144.
#
# Seen:
#   dense  float64 [200. 255.]
#   sparse uint8 [200 255], A + A: [144 254]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 scipy==1.17.1
cd "$folder"
env/bin/python - <<'PYTHON'
import io
import struct

import numpy as np
import scipy.io

INT8, UINT8, INT32, UINT32, MATRIX = 1, 2, 5, 6, 14  # types of data elements
DOUBLE, SPARSE = 6, 5  # classes of arrays


def element(kind, data):
    padding = b"" if kind == MATRIX else bytes(-len(data) % 8)
    return struct.pack("<II", kind, len(data)) + data + padding


def array(name, kind, *parts):
    head = element(UINT32, struct.pack("<II", kind, 2))
    return element(MATRIX, head + element(INT32, struct.pack("<ii", *parts[0]))
                   + element(INT8, name) + b"".join(parts[1:]))


values = element(UINT8, bytes([200, 255]))  # of class double, stored in a byte each
dense = array(b"dense", DOUBLE, (1, 2), values)
sparse = array(b"sparse", SPARSE, (2, 2), element(INT32, struct.pack("<ii", 0, 1)),
               element(INT32, struct.pack("<iii", 0, 1, 2)), values)
file = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + dense + sparse
found = scipy.io.loadmat(io.BytesIO(file), mat_dtype=True)
D, A = found["dense"][0], found["sparse"]
twice = (A + A).data
print("dense ", D.dtype, D)
print(f"sparse {A.dtype} {A.data}, A + A: {twice}")
assert D.dtype == np.float64 and D.tolist() == [200, 255]
assert A.dtype == np.uint8 and A.data.tolist() == [200, 255] and twice.tolist() == [144, 254]
PYTHON
