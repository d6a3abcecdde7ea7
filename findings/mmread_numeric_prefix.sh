#!/usr/bin/env bash
# scipy 1.17.1: scipy.io.mmread takes the numeric prefix of a Matrix Market value and ignores the rest.
#
# The Fortran exponent of 1.5D+02 (150) is dropped: the value read is 1.5.  0.15-100, Fortran's form
# of 0.15E-100, is read as 0.15, and 7.9 in an integer matrix as 7.  No error and no warning is given.
#
# Seen:
#   real 1.5D+02   -> 1.5
#   real 0.15-100  -> 0.15
#   integer 7.9    -> 7
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 scipy==1.17.1
cd "$folder"
env/bin/python - <<'PYTHON'
import io
import scipy.io

seen = []
for field, text in [("real", "1.5D+02"), ("real", "0.15-100"), ("integer", "7.9")]:
    file = io.BytesIO(f"%%MatrixMarket matrix coordinate {field} general\n1 1 1\n1 1 {text}\n".encode())
    value = scipy.io.mmread(file).toarray()[0, 0]
    print(f"{field} {text} -> {value}")
    seen.append(value)
assert seen == [1.5, 0.15, 7], seen
PYTHON
