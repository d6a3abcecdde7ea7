"""The methods by which scipy.sparse multiplies by dense arrays, and their replacements.

scipy turns every ``A @ B``, ``A.dot(B)`` and ``B @ A`` with a dense B into one call of a method of
its own: `_matmul_vector` or `_matmul_multivector`, named `_mul_*` before scipy 1.13.  These methods
are not public, so their names are not chosen by version.  `find_hooks` multiplies by each format
once, and checks that the methods are called as expected.
"""

from __future__ import annotations

import functools
import itertools
from types import FunctionType
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs.dense import NATIVE
from .._ops.crossover import RULES
from .._ops.spmm import spmm
from .report import CONTENDED, TAKEN

__all__ = ["Hook", "find_hooks", "make_method"]

# The names of the methods for a vector and for a matrix, those of the newest scipy first.
_NAMES = (("_matmul_vector", "_matmul_multivector"), ("_mul_vector", "_mul_multivector"))
_OPERATIONS = ("vector", "matrix")
_NDIM = {"vector": 1, "matrix": 2}

# Products with at most this work never use threads.
_SERIAL_WORK = 10_000

# The formats with kernels, and the formats whose products are only counted.
_FORMATS = ("csr", "csc", "coo", "bsr")
_REPORTED = ("dia", "dok")
_KINDS = ("array", "matrix")

_REAL = [np.dtype(char) for char in "?bhilqBHILQefd"]

# The pairs of dtypes that kernels multiply; scipy and NumPy promote them to the same dtype.
_PAIRS = {(a, b) for a in _REAL for b in _REAL if np.result_type(a, b) in NATIVE}


class Hook(NamedTuple):
    """A method of scipy to replace: `name` in the class `owner`."""

    owner: type
    name: str
    operation: str
    matrix_orders: dict[str, str]  # the memory order of scipy's results, by format
    reported: str | None = None  # the format, if its products are only counted


def _owner(cls, name):
    """Return the class that defines a method, or None if it is not a plain function."""
    for base in cls.__mro__:
        if name in vars(base):
            return base if isinstance(vars(base)[name], FunctionType) else None
    return None


def _watch(cls, names):
    """Multiply by an object of `cls`; return the calls of the methods `names`, and two products.

    A subclass records the calls, so that `cls` does not change for other code.
    """
    calls = []

    def watched(name):
        def method(self, *args):
            calls.append((name, args))
            return getattr(cls, name)(self, *args)

        return method

    A = type("Watched", (cls,), {name: watched(name) for name in names})(np.eye(3, 2))
    return calls, A @ np.ones(2), A @ np.ones((2, 3))


def _matrix_order(cls, names):
    """Return the memory order of ``A @ B`` if products reach the methods as expected, else None."""
    if any(_owner(cls, name) is None for name in names):
        return None
    try:
        calls, vector, matrix = _watch(cls, names)
    except Exception:
        # An unknown scipy may raise any exception here.
        return None
    reached = [(name, [np.ndim(arg) for arg in args]) for name, args in calls]
    shapes = (np.shape(vector), np.shape(matrix))
    if reached != [(names[0], [1]), (names[1], [2])] or shapes != ((3,), (3, 3)):
        return None
    return "C" if matrix.flags.c_contiguous else "F"


def _orders(names):
    """Return the memory order of ``A @ B`` by format, or None if a class is not as expected."""
    orders = {}
    for format in _FORMATS:
        kinds = {_matrix_order(getattr(sp, f"{format}_{kind}"), names) for kind in _KINDS}
        if len(kinds) > 1 or None in kinds:
            return None
        orders[format] = kinds.pop()
    return orders


def _methods(names, orders):
    seen = set()
    for format, kind in itertools.product((*_FORMATS, *_REPORTED), _KINDS):
        for name, operation in zip(names, _OPERATIONS, strict=True):
            owner = _owner(getattr(sp, f"{format}_{kind}"), name)
            # A method that these formats share with CSR multiplies by tocsr(), which is counted.
            shared = format in _REPORTED and owner in sp.csr_array.__mro__
            if owner is not None and not shared and (owner, name) not in seen:
                seen.add((owner, name))
                reported = format if format in _REPORTED else None
                yield Hook(owner, name, operation, orders, reported)


@functools.cache
def find_hooks() -> tuple[Hook, ...]:
    """Return the methods to replace; none if scipy does not multiply as expected."""
    for names in _NAMES:
        orders = _orders(names)
        if orders is not None:
            return tuple(_methods(names, orders))
    return ()


def _multiply(A, other, order, pays):
    """Multiply operands that `spmm_fast` refused; return the product or None, and the outcome.

    The matrix may be corrupted; then `spmm` raises the error.
    """
    if A.ndim != 2 or (A.format == "coo" and A.shape[0] == other.ndim == 1):
        # Some versions of scipy return a scalar for a row in COO times a vector.
        return None, "operand"
    if (A.dtype, other.dtype) not in _PAIRS:
        return None, "dtype"
    if not pays:
        return None, "slower"
    if A.format != "coo" and (np.ravel(A.indptr)[:1] > 0).any():
        # This matrix is not valid, but scipy multiplies it without reads out of bounds.
        return None, "layout"
    return spmm(A, other, order=order), TAKEN


def _unless_one_row(A, x):
    # Some versions of scipy return a scalar for a row in COO times a vector.
    return None if A.shape[0] == 1 else _core.spmm_fast(A, x)


def make_method(hook, original, tally):
    """Return the method to put in the place of `original`."""
    make = _reporting if hook.reported else _choosing
    return functools.wraps(original)(make(hook, original, tally))


# Small products take about a microsecond, so the code before a product must be short.  That is why
# these methods append their notes inline.


def _reporting(hook, original, tally):
    format, operation = hook.reported, hook.operation
    notes, most_notes = tally.notes, tally.MAX_NOTES
    note = notes.append

    def method(self, other):
        note((format, self.dtype, getattr(other, "dtype", None), operation, "format"))
        if len(notes) >= most_notes:
            tally.count_notes()
        return original(self, other)

    return method


def _choosing(hook, original, tally):
    operation, orders = hook.operation, hook.matrix_orders
    ndim = _NDIM[operation]
    # Each rule with the fast entry, if scipy's results are row-major, as those of the entry are.
    by_format = {
        rule.format: (_core.spmm_fast if orders.get(rule.format) == "C" else None, *rule)
        for rule in RULES[operation]
    }
    if operation == "vector" and "coo" in by_format:
        by_format["coo"] = (_unless_one_row, *by_format["coo"][1:])
    by_class = {
        getattr(sp, f"{format}_{kind}"): rule
        for (format, rule), kind in itertools.product(by_format.items(), _KINDS)
    }
    get_num_threads, contended_regions = _core.get_num_threads, _core.contended_regions
    notes, most_notes = tally.notes, tally.MAX_NOTES
    note = notes.append

    def method(self, other):
        rule = by_class.get(type(self)) or by_format.get(self.format)
        if rule is None or type(other) is not np.ndarray or other.ndim != ndim:
            dtype = getattr(other, "dtype", None)
            outcome = "format" if rule is None else "operand"
            note((self.format, self.dtype, dtype, operation, outcome))
            return original(self, other)
        (
            multiply, format, most_small, most_small_rows, least_work, least_columns,
            least_per_row, few_columns, few_per_row, least_threads, most_alone, by_spmm,
        ) = rule  # fmt: skip
        data = self.data
        stored = data.size
        columns = 1 if ndim == 1 else other.shape[1]
        work = stored * columns
        result, outcome = None, "slower"
        before = contended_regions() if work > _SERIAL_WORK else None
        if (
            work <= most_small and (most_small_rows is None or self.shape[0] <= most_small_rows)
        ) or (
            work >= least_work
            and (
                stored >= least_per_row * self.shape[0]
                if columns >= least_columns
                else columns >= few_columns and stored >= few_per_row * self.shape[0]
            )
            and (
                least_threads == 1
                or stored <= most_alone * min(self.shape)
                or get_num_threads() >= least_threads
            )
        ):
            if multiply is not None:
                result = multiply(self, other)
            outcome = TAKEN
            if result is None:
                # An operand that the fast entry refuses is mostly a corrupted one.  With COO, it is
                # mostly a dense operand whose rows are not contiguous.
                odd = format != "coo" and type(self) in by_class and data.dtype == other.dtype
                pays = work >= by_spmm or odd
                result, outcome = _multiply(self, other, orders[format], pays)
        note((format, data.dtype, other.dtype, operation, outcome))
        if before is not None and contended_regions() != before and outcome is TAKEN:
            note(CONTENDED)
        if len(notes) >= most_notes:
            tally.count_notes()
        return original(self, other) if result is None else result

    return method
