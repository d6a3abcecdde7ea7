"""Sparse operands whose arrays are corrupted, as no constructor of scipy makes them."""

import numpy as np
import scipy.sparse as sp
from strategies import random_sparse, set_index_arrays

M, K = 24, 30


def operand(fmt, dtype=np.float32, density=0.3):
    if fmt == "dia":
        offsets = np.array([0, 1, -2, 7])
        values = np.arange(1, 4 * K + 1).reshape(4, K).astype(dtype)
        return sp.dia_array((values, offsets), shape=(M, K))
    return random_sparse(np.random.default_rng(0), fmt, (M, K), density, dtype)


def set_entry(name, position, value):
    def change(A):
        array = getattr(A, name).copy()
        array[position] = value
        setattr(A, name, array)

    change.__name__ = f"{name}[{position}]={value}"
    return change


def replace(name, by):
    def change(A):
        setattr(A, name, by(getattr(A, name)))

    return change


def swap_two(A):
    A.indptr = A.indptr.copy()
    A.indptr[[3, 4]] = A.indptr[[4, 3]]


HUGE = 2**31 - 1
COMPRESSED = {
    "starts above 0": (set_entry("indptr", 0, 1), "indptr"),
    "starts below 0": (set_entry("indptr", 0, -1), "indptr"),
    "decreases": (swap_two, "indptr"),
    "negative offset": (set_entry("indptr", 5, -7), "indptr"),
    "offset far too large": (set_entry("indptr", 5, HUGE), "indptr"),
    "ends beyond the entries": (set_entry("indptr", -1, HUGE), "indptr"),
    "ends one beyond the entries": (replace("indptr", lambda a: a + (a == a[-1])), "indptr"),
    "offsets too short": (replace("indptr", lambda a: a[:-1]), "indptr"),
    "offsets too long": (replace("indptr", lambda a: np.append(a, a[-1])), "indptr"),
    "no offsets": (replace("indptr", lambda a: a[:0]), "indptr"),
    "offsets of floats": (replace("indptr", lambda a: a.astype(float)), "indptr"),
    "offsets of booleans": (replace("indptr", lambda a: a.astype(bool)), "indptr"),
    "offsets of objects": (replace("indptr", lambda a: a.astype(object)), "indptr"),
    "offsets in 2-D": (replace("indptr", lambda a: a[None]), "indptr"),
    "negative index": (set_entry("indices", 3, -1), "indices"),
    "very negative index": (set_entry("indices", 3, -HUGE), "indices"),
    "first index too large": (set_entry("indices", 0, 30), "indices"),
    "last index too large": (set_entry("indices", -1, 30), "indices"),
    "index far too large": (set_entry("indices", 3, HUGE), "indices"),
    "indices too short": (replace("indices", lambda a: a[:-1]), "indptr"),
    "no indices": (replace("indices", lambda a: a[:0]), "indptr"),
    "indices of floats": (replace("indices", lambda a: a.astype(float)), "indices"),
    "indices of complex numbers": (replace("indices", lambda a: a.astype(complex)), "indices"),
    "indices in 2-D": (replace("indices", lambda a: a[None]), "indices"),
    "uint64 beyond int64": (replace("indices", lambda a: a.astype(np.uint64) + 2**63), "indices"),
    "uint32 that int32 wraps": (replace("indices", lambda a: a.astype(np.uint32) + 2**31),
                                "indices"),
    "values too short": (replace("data", lambda a: a[:-1]), "indptr"),
    "no values": (replace("data", lambda a: a[:0]), "indptr"),
    "values of a wrong dimension": (replace("data", lambda a: a[None]), "data"),
}


def set_coordinate(which, position, value):
    def change(A):
        arrays = [A.row.copy(), A.col.copy()]
        arrays[which][position] = value
        held = iter(arrays)
        set_index_arrays(A, lambda _: next(held))

    return change


COORDINATES = {
    "negative row": (set_coordinate(0, 3, -1), "row"),
    "row too large": (set_coordinate(0, -1, M), "row"),
    "negative column": (set_coordinate(1, 3, -1), "col"),
    "column too large": (set_coordinate(1, 0, K), "col"),
    "column far too large": (set_coordinate(1, 0, HUGE), "col"),
    "values too short": (replace("data", lambda a: a[:-1]), "data"),
    "values too long": (replace("data", lambda a: np.append(a, a[:1])), "data"),
    "coordinates of floats": (
        lambda A: set_index_arrays(A, lambda array: array.astype(float)), "row"
    ),
    "coordinates in 2-D": (lambda A: set_index_arrays(A, lambda array: array[None]), "row"),
}
if hasattr(sp.coo_array, "coords") or hasattr(sp.coo_array((1, 1)), "coords"):
    COORDINATES["coordinates of one dimension"] = (
        replace("coords", lambda coords: coords[:1]), "coords"
    )
    COORDINATES["coordinates of three dimensions"] = (
        replace("coords", lambda coords: (*coords, coords[1])), "coords"
    )


def set_list(part, row, value):
    def change(A):
        getattr(A, part)[row] = value

    return change


def set_lists(**parts):
    def change(A):
        for part, value in parts.items():
            getattr(A, part)[3] = value

    return change


LISTS = {
    "index too large": (set_lists(rows=[0, K], data=[1.0, 2.0]), "rows"),
    "index far too large": (set_lists(rows=[HUGE], data=[1.0]), "rows"),
    "index beyond int64": (set_lists(rows=[2**70], data=[1.0]), "rows"),
    "negative index": (set_lists(rows=[-1, 2], data=[1.0, 2.0]), "rows"),
    "index of text": (set_lists(rows=["a"], data=[1.0]), "rows"),
    "more values than indices": (set_lists(rows=[1], data=[1.0] * 5000), "rows"),
    "more indices than values": (set_lists(rows=[1, 2, 3], data=[1.0]), "data"),
    "values of text": (set_lists(rows=[1], data=["a"]), "data"),
    "what is no list": (set_lists(rows=None), "rows"),
    "rows too few": (replace("rows", lambda a: a[:-1]), "rows"),
    "rows too many": (replace("rows", lambda a: np.append(a, a[:1])), "rows"),
    "rows in 2-D": (replace("rows", lambda a: a[None]), "rows"),
    "rows of integers": (replace("rows", lambda a: np.arange(len(a))), "rows"),
    "values too few": (replace("data", lambda a: a[:-1]), "data"),
}


def set_key(key):
    def change(A):
        dict.__setitem__(getattr(A, "_dict", A), key, A.dtype.type(1))

    return change


KEYS = {
    "row too large": (set_key((M, 0)), "keys"),
    "column too large": (set_key((0, K)), "keys"),
    "column far too large": (set_key((0, 2**40)), "keys"),
    "column beyond int64": (set_key((0, 2**70)), "keys"),
    "negative row": (set_key((-1, 0)), "keys"),
    "negative column": (set_key((0, -1)), "keys"),
    "one integer": (set_key(3), "keys"),
    "three integers": (set_key((0, 0, 0)), "keys"),
    "a fraction": (set_key((0.5, 1)), "keys"),
    "text": (set_key(("a", "b")), "keys"),
}

DIAGONALS = {
    "offsets too few": (replace("offsets", lambda a: a[:-1]), "offsets"),
    "offsets too many": (replace("offsets", lambda a: np.append(a, M + K)), "offsets"),
    "offsets of floats": (replace("offsets", lambda a: a.astype(float)), "offsets"),
    "offsets in 2-D": (replace("offsets", lambda a: a[None]), "offsets"),
    "an offset twice": (set_entry("offsets", 0, 1), "offsets"),
    "uint64 beyond int64": (replace("offsets", lambda a: a.astype(np.uint64) + 2**63), "offsets"),
    "values too few": (replace("data", lambda a: a[:-1]), "data"),
    "values in 1-D": (replace("data", lambda a: a[0]), "data"),
    "values in 3-D": (replace("data", lambda a: a[None]), "data"),
}

#: What may be wrong with an operand of each format, and the array that an error is to name.
FAULTS = {
    **dict.fromkeys(("csr", "csc", "bsr"), COMPRESSED),
    "coo": COORDINATES,
    "lil": LISTS,
    "dok": KEYS,
    "dia": DIAGONALS,
}


def corrupted(fmt, name, dtype=np.float32):
    """Return a corrupted operand, and the array that is to blame."""
    change, culprit = FAULTS[fmt][name]
    A = operand(fmt, dtype)
    change(A)
    return A, culprit
