"""Matrices and memory layouts, at random and as Hypothesis strategies."""

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

#: The formats that the kernels take as they are.
NATIVE_FORMATS = ("csr", "csc", "coo", "bsr")
FORMATS = (*NATIVE_FORMATS, "dia", "lil", "dok")
DTYPES = (np.float32, np.float64)
INDEX_DTYPES = (np.int32, np.int64)

#: Strides, in elements, of an m x n array; see `lay_out`.
LAYOUTS = {
    "C": lambda m, n: (n, 1),
    "F": lambda m, n: (1, m),
    "rows apart": lambda m, n: (n + 3, 1),
    "every other row": lambda m, n: (2 * n, 1),
    "every other column": lambda m, n: (2 * n + 1, 2),
    "columns apart": lambda m, n: (1, m + 5),
    "rows reversed": lambda m, n: (-n, 1),
    "columns reversed": lambda m, n: (n, -1),
    "all reversed": lambda m, n: (-1, -m),
    "unaligned": lambda m, n: (n, 1),
    "odd strides": lambda m, n: (n, 1),
}

_FILL = 0xFF  # a byte: floats made of it are NaN
_MARGIN = 64


def lay_out(values, layout):
    """Copy a 1-D or 2-D array into the midst of a buffer of NaN, in one of `LAYOUTS`."""
    values = np.asarray(values)
    m, n = values.shape if values.ndim == 2 else (values.size, 1)
    size = values.itemsize + (layout == "odd strides")
    strides = tuple(step * size for step in LAYOUTS[layout](m, n))
    first = sum(min(0, step * (extent - 1)) for step, extent in zip(strides, (m, n), strict=True))
    last = sum(max(0, step * (extent - 1)) for step, extent in zip(strides, (m, n), strict=True))
    first, last = (first, last) if values.size else (0, 0)
    buffer = np.full(last - first + values.itemsize + 2 * _MARGIN, _FILL, np.uint8)
    offset = _MARGIN - first + (layout == "unaligned")
    view = np.ndarray(
        values.shape, values.dtype, buffer=buffer, offset=offset, strides=strides[: values.ndim]
    )
    view[...] = values
    return view


def rest_untouched(view):
    """Whether the buffer around what `lay_out` returned is as it was."""
    held = view.copy()
    view[...] = np.full(view.itemsize, _FILL, np.uint8).view(view.dtype)[0]
    untouched = bool((_owner(view) == _FILL).all())
    view[...] = held
    return untouched


def _owner(view):
    while view.base is not None:
        view = view.base
    return view


def random_values(rng, count, dtype, zeros=False):
    """Draw reals over six decades, or small integers, a third of them zero if asked."""
    dtype = np.dtype(dtype)
    if dtype.kind in "biu":
        values = rng.integers(0, 2 if dtype.kind == "b" else 9, count)
    else:
        values = np.ldexp(rng.standard_normal(count), rng.integers(-10, 11, count))
        if dtype.kind == "c":
            values = values + 1j * rng.standard_normal(count)
    if zeros:
        values[rng.random(count) < 1 / 3] = 0
    return values.astype(dtype)


def random_dense(rng, shape, dtype, layout="C"):
    return lay_out(random_values(rng, int(np.prod(shape)), dtype).reshape(shape), layout)


def set_index_arrays(A, change):
    """Replace the index arrays of `A` by change(array), past what constructors convert."""
    if A.format != "coo":
        A.indptr, A.indices = change(A.indptr), change(A.indices)
    elif hasattr(A, "coords"):
        A.coords = tuple(change(coord) for coord in A.coords)
    else:
        A.row, A.col = change(A.row), change(A.col)
    return A


def index_arrays(A):
    if A.format != "coo":
        return A.indptr, A.indices
    return A.row, A.col


def from_entries(fmt, rows, cols, data, shape, itype=np.int32, matrix=False):
    """Build a sparse array (or matrix) that keeps the order of entries and duplicates.

    For "bsr", `rows` and `cols` are of blocks and `data` holds the blocks.
    """
    make = getattr(sp, f"{fmt}_{'matrix' if matrix else 'array'}")
    if fmt in ("csr", "csc", "bsr"):
        outer, inner = (cols, rows) if fmt == "csc" else (rows, cols)
        extent = shape[1] if fmt == "csc" else shape[0]
        if fmt == "bsr":
            extent //= data.shape[1]
        order = np.argsort(outer, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(outer, minlength=extent))])
        A = make((data[order], inner[order], indptr), shape=shape)
    else:
        coo = sp.coo_matrix if matrix else sp.coo_array
        A = coo((data, (rows, cols)), shape=shape)
        if fmt != "coo":
            return make(A.asformat(fmt))
    return set_index_arrays(A, lambda array: array.astype(itype))


def random_sparse(
    rng,
    fmt,
    shape,
    density,
    dtype,
    *,
    itype=np.int32,
    in_order=True,
    duplicates=False,
    zeros=False,
    matrix=False,
    block=(2, 3),
):
    """Draw a sparse array; for "bsr" the shape is rounded down to whole blocks."""
    height, width = block if fmt == "bsr" else (1, 1)
    m, k = shape[0] // height, shape[1] // width
    count = int(round(density * m * k))
    if duplicates:
        at = rng.integers(0, max(1, m * k), count if m * k else 0)
    elif m * k > 1 << 20 and density < 0.1:
        at = rng.permutation(np.unique(rng.integers(0, m * k, count)))
    else:
        at = rng.permutation(m * k)[:count]
    at = np.sort(at) if in_order else at
    rows, cols = np.divmod(at, max(1, k))
    if in_order and fmt == "csc":
        order = np.lexsort((rows, cols))
        rows, cols = rows[order], cols[order]
    data = random_values(rng, len(at) * height * width, dtype, zeros)
    if fmt == "bsr":
        data = data.reshape(-1, height, width)
    return from_entries(fmt, rows, cols, data, (m * height, k * width), itype, matrix)


@st.composite
def sparse(draw, formats=FORMATS, dtypes=DTYPES, most=24):
    """Draw a sparse array or matrix: any order, duplicates, explicit zeros, empty everything."""
    fmt = draw(st.sampled_from(formats))
    block = draw(st.sampled_from([(1, 1), (2, 3), (3, 2), (4, 4), (1, 5), (7, 1), (5, 8)]))
    height, width = block if fmt == "bsr" else (1, 1)
    shape = (height * draw(st.integers(0, most // height)),
             width * draw(st.integers(0, most // width)))
    return random_sparse(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        fmt,
        shape,
        draw(st.sampled_from([0, 0.01, 0.1, 0.3, 0.6, 1])),
        draw(st.sampled_from(dtypes)),
        itype=draw(st.sampled_from(INDEX_DTYPES)),
        in_order=draw(st.booleans()),
        duplicates=draw(st.booleans()),
        zeros=draw(st.booleans()),
        matrix=draw(st.booleans()),
        block=block,
    )


layouts = st.sampled_from(sorted(LAYOUTS))
seeds = st.integers(0, 2**32 - 1)
#: Widths around those where kernels change.
widths = st.one_of(st.integers(0, 20), st.sampled_from([31, 32, 33, 47, 64, 65, 97, 130]))
factors = st.sampled_from([0.0, 1.0, -1.0, 0.5, -2.75, 3e-2])
