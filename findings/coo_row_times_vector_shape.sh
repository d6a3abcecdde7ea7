#!/usr/bin/env bash
# scipy 1.17.1: a COO array of one row times a vector has shape (), in every other format (1,).
#
# numpy.matmul and scipy 1.11.4 give (1,) as well.  A caller that indexes or iterates the result
# works for any number of rows but one.
#
# Seen:
#   bsr (1,), coo (), csc (1,), csr (1,), dia (1,), dok (1,), lil (1,)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 scipy==1.17.1
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import scipy.sparse as sp

row, vector = sp.coo_array([[0, 1, 1]]), np.array([2, 3, 4])
formats = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]
shapes = {format: (row.asformat(format) @ vector).shape for format in formats}
print(", ".join(f"{format} {shape}" for format, shape in shapes.items()))
assert (row.toarray() @ vector).shape == (1,)
assert shapes == {format: () if format == "coo" else (1,) for format in formats}, shapes
PYTHON
