import contextlib
import functools
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st

import spkernels
from spkernels import _core, accelerate
from spkernels._accelerate import hooks as hooks_module
from spkernels._accelerate import switch as switch_module
from spkernels._ops.crossover import Rule

FORMATS = ("csr", "csc", "coo", "bsr")
OTHER_FORMATS = ("dia", "dok", "lil")
KINDS = ("array", "matrix")


@pytest.fixture(autouse=True)
def _scipy_is_itself():
    accelerate.report(reset=True)
    before = methods()
    yield
    accelerate.report(reset=True)
    assert not accelerate.enabled
    assert methods() == before


@pytest.fixture
def take_everything(monkeypatch):
    monkeypatch.setattr(
        hooks_module,
        "RULES",
        {name: [Rule(format) for format in FORMATS] for name in ("vector", "matrix")},
    )


def a_generator():
    yield


async def a_coroutine():
    pass


async def an_async_generator():
    yield


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        (a_generator, "a generator function"),
        (a_coroutine, "an async function"),
        (an_async_generator, "an async generator function"),
        (functools.partial(a_generator), "a generator function"),
        (Rule, "a class"),
        (sp.csr_array((2, 2)), "csr_array"),
    ],
)
def test_only_functions_are_decorated(thing, kind):
    for decorate in (accelerate, accelerate()):
        with pytest.raises(TypeError, match=rf"accelerate\(\) decorates functions, got {kind}"):
            decorate(thing)


def test_a_decorator_without_parentheses():
    @accelerate
    def enabled(of, *, which=None):
        """Tell."""
        return of.enabled, which

    assert enabled(accelerate, which=3) == (True, 3)
    assert (enabled.__name__, enabled.__doc__) == ("enabled", "Tell.")
    assert not accelerate.enabled


def methods():
    """Return the functions that are replaced, as scipy's classes hold them now."""
    return [vars(hook.owner)[hook.name] for hook in hooks_module.find_hooks()]


def eighths(rng, shape):
    """Return normal numbers, rounded so that sums of their products are exact, in any order."""
    return np.round(8 * rng.standard_normal(shape)) / 8


def make(format="csr", kind="array", dtype=np.float64, shape=(12, 8), density=0.3, seed=0):
    rng = np.random.default_rng(seed)
    dense = eighths(rng, shape) * (rng.random(shape) < density)
    return getattr(sp, f"{format}_{kind}")(dense.astype(dtype))


def dense(shape, dtype=np.float64, seed=1):
    return eighths(np.random.default_rng(seed), shape).astype(dtype)


def reversed_bytes(array):
    return array.astype(array.dtype.newbyteorder())


OPERANDS = {
    "vector": lambda n, dtype: dense(n, dtype),
    "column": lambda n, dtype: dense((n, 1), dtype),
    "matrix": lambda n, dtype: dense((n, 5), dtype),
    "wide matrix": lambda n, dtype: dense((n, 70), dtype),
    "no columns": lambda n, dtype: dense((n, 0), dtype),
    "F order": lambda n, dtype: np.asfortranarray(dense((n, 5), dtype)),
    "every other": lambda n, dtype: dense((2 * n, 10), dtype)[::2, ::2],
    "vector, every other": lambda n, dtype: dense(2 * n, dtype)[::2],
    "reversed": lambda n, dtype: dense((n, 5), dtype)[::-1, ::-1],
    "broadcast": lambda n, dtype: np.broadcast_to(dense((n, 1), dtype), (n, 4)),
    "read-only": lambda n, dtype: np.frombuffer(dense(n * 3, dtype).tobytes(), dtype).reshape(n, 3),
    "misaligned": lambda n, dtype: np.frombuffer(b"." + dense(n, dtype).tobytes(), dtype, offset=1),
    "np.matrix": lambda n, dtype: np.asmatrix(dense((n, 5), dtype)),
    "np.matrix column": lambda n, dtype: np.asmatrix(dense((n, 1), dtype)),
    "list": lambda n, dtype: dense(n, dtype).tolist(),
    "nested list": lambda n, dtype: dense((n, 3), dtype).tolist(),
    "masked vector": lambda n, dtype: np.ma.masked_less(dense(n, dtype), 0),
    "masked matrix": lambda n, dtype: np.ma.masked_less(dense((n, 4), dtype), 0),
    "float16": lambda n, dtype: dense((n, 3), np.float16),
    "float32": lambda n, dtype: dense((n, 3), np.float32),
    "float64": lambda n, dtype: dense((n, 3), np.float64),
    "integers": lambda n, dtype: np.arange(n * 3).reshape(n, 3),
    "booleans": lambda n, dtype: np.arange(n * 3).reshape(n, 3) % 2 == 0,
    "complex": lambda n, dtype: dense((n, 3), np.complex128),
    "longdouble": lambda n, dtype: dense((n, 3), np.longdouble),
    "byte-swapped": lambda n, dtype: reversed_bytes(dense((n, 3), dtype)),
    "objects": lambda n, dtype: dense((n, 3), dtype).astype(object),
    "3-D": lambda n, dtype: dense((n, 2, 2), dtype),
    "too long": lambda n, dtype: dense((n + 1, 5), dtype),
    "too short": lambda n, dtype: dense(n - 1, dtype),
    "scalar": lambda n, dtype: 2.0,
    "string": lambda n, dtype: "no matrix",
    "None": lambda n, dtype: None,
}

PRODUCTS = {
    "A @ B": lambda A, make_operand: A @ make_operand(A.shape[1]),
    "A.dot(B)": lambda A, make_operand: A.dot(make_operand(A.shape[1])),
    "A * B": lambda A, make_operand: A * make_operand(A.shape[1]),
    "B @ A": lambda A, make_operand: transposed(make_operand(A.shape[0])) @ A,
    "A.T @ B": lambda A, make_operand: A.T @ make_operand(A.shape[0]),
}


def transposed(operand):
    if isinstance(operand, np.ndarray) and operand.ndim != 2:
        return operand
    return np.transpose(operand) if isinstance(operand, np.ndarray | list) else operand


def outcome_of(function, *args):
    """Return what a call returns, or the exception that it raises."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args)
        except Exception as error:
            return error


def assert_same(result, expected):
    assert type(result) is type(expected), (result, expected)
    if isinstance(expected, Exception):
        assert str(result) == str(expected)
        return
    if sp.issparse(expected):
        result, expected = result.toarray(), expected.toarray()
    if not isinstance(expected, np.ndarray | np.generic):
        assert result == expected
        return
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert result.flags.c_contiguous == expected.flags.c_contiguous
    assert result.flags.f_contiguous == expected.flags.f_contiguous
    assert result.flags.writeable == expected.flags.writeable
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("format", FORMATS + OTHER_FORMATS)
def test_products_are_those_of_scipy(format, dtype, operand, take_everything):
    for kind, product in itertools.product(KINDS, PRODUCTS):
        A = make(format, kind, dtype)
        args = (A, lambda n: OPERANDS[operand](n, dtype))  # noqa: B023
        expected = outcome_of(PRODUCTS[product], *args)
        with accelerate():
            result = outcome_of(PRODUCTS[product], *args)
        assert_same(result, expected)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (1, 1), (1, 6), (6, 1), (3, 4)])
@pytest.mark.parametrize("columns", [None, 0, 1, 2, 40])
@pytest.mark.parametrize("format", FORMATS)
def test_all_shapes_are_those_of_scipy(format, columns, shape, take_everything):
    for kind, product in itertools.product(KINDS, PRODUCTS):
        A = outcome_of(make, format, kind, np.float64, shape)
        if isinstance(A, Exception):
            pytest.skip(f"scipy has no such array ({A}).")
        args = (A, lambda n: dense(n if columns is None else (n, columns)))
        expected = outcome_of(PRODUCTS[product], *args)
        with accelerate():
            result = outcome_of(PRODUCTS[product], *args)
        assert_same(result, expected)


@pytest.mark.parametrize("format", ("csr", "coo"))
def test_one_dimensional_sparse_arrays_are_those_of_scipy(format, take_everything):
    cls = getattr(sp, f"{format}_array")
    A = outcome_of(cls, np.array([1.0, 0.0, 2.0]))
    if isinstance(A, Exception) or A.ndim != 1:
        pytest.skip("This scipy has no 1-D sparse arrays of the format.")
    for B in (dense(3), dense((3, 1)), dense((3, 5))):
        expected = A @ B
        with accelerate():
            assert_same(A @ B, expected)
    assert set(accelerate.report().outcomes) == {"operand"}


@pytest.mark.parametrize("data_dtype", "?bhilqBHILQefdgFD")
@pytest.mark.parametrize("dtype", "?bhilqBHILQefdgFD")
def test_mixed_dtypes_are_those_of_scipy(data_dtype, dtype, take_everything):
    A = outcome_of(lambda: (make("csr") * 3).astype(data_dtype))
    if isinstance(A, Exception):
        pytest.skip(f"scipy has no such array ({A}).")
    for S, shape in itertools.product((A, A.tocoo(), A.tocsc()), (A.shape[1], (A.shape[1], 4))):
        B = (dense(shape) * 3).astype(dtype)
        expected = outcome_of(lambda: S @ B)  # noqa: B023
        with accelerate():
            assert_same(outcome_of(lambda: S @ B), expected)  # noqa: B023


@st.composite
def raw_products(draw):
    """Draw CSR arrays as they may come: unsorted, with duplicates, zeros and room to spare."""
    rows, columns, width = (draw(st.integers(1, most)) for most in (20, 20, 9))
    lengths = draw(st.lists(st.integers(0, 12), min_size=rows, max_size=rows))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    room = indptr[-1] + draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    indices = rng.integers(0, columns, room)
    data = rng.integers(-2, 3, room).astype(draw(st.sampled_from("fd")))
    wide = draw(st.sampled_from([np.int32, np.int64]))
    A = sp.csr_array((data, indices.astype(wide), indptr.astype(wide)), shape=(rows, columns))
    B = rng.integers(-3, 4, (columns, width)).astype(draw(st.sampled_from("fdi")))
    return A.asformat(draw(st.sampled_from(FORMATS))), B


@settings(deadline=None, max_examples=60)
@given(raw_products())
def test_any_stored_pattern_multiplies_as_in_scipy(product):
    A, B = product
    expected = [A @ B, A @ B[:, 0], B.T @ A.T]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            hooks_module,
            "RULES",
            {name: [Rule(format) for format in FORMATS] for name in ("vector", "matrix")},
        )
        with accelerate():
            results = [A @ B, A @ B[:, 0], B.T @ A.T]
    for result, reference in zip(results, expected, strict=True):
        assert_same(result, reference)


def test_nonfinite_values_stay_where_scipy_has_them(take_everything):
    A = sp.csr_array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    B = np.array([[np.nan, np.inf], [1.0, -np.inf]])
    for format in FORMATS:
        S = A.asformat(format) if format != "bsr" else A.tobsr((1, 1))
        expected = S @ B
        with accelerate():
            np.testing.assert_array_equal(S @ B, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", FORMATS)
def test_small_products_are_taken_and_those_of_many_rows_are_not(format, kind):
    A = make(format, kind)
    for other in (dense(8), dense((8, 3)), np.asfortranarray(dense((8, 3)))):
        expected = A @ other
        with accelerate():
            assert_same(A @ other, expected)
        # Older versions of scipy multiply COO by such matrices into results in F order.
        taken = format != "coo" or other.ndim == 1 or expected.flags.c_contiguous
        outcome = "taken" if taken else "slower"
        assert accelerate.report(reset=True).outcomes == {outcome: 1}
    if format == "csr":
        return
    A = make(format, kind, shape=(6000, 8), density=0.001)
    for other in (dense(8), dense((8, 2))):
        expected = A @ other
        with accelerate():
            assert_same(A @ other, expected)
        assert accelerate.report(reset=True).outcomes == {"slower": 1}


@pytest.mark.parametrize("shape", [(1, 8), (1, 1), (2, 8)])
def test_a_row_in_coo_is_what_scipy_makes_of_it(shape):
    A = sp.coo_array(np.ones(shape))
    for other in (np.arange(shape[1]) + 0.5, np.ones((shape[1], 1)), np.ones((shape[1], 2))):
        expected = A @ other
        with accelerate():
            assert_same(A @ other, expected)
    accelerate.report(reset=True)


def test_subclasses_of_scipy_classes_are_taken(take_everything):
    class Named(sp.csr_array):
        name = "mine"

    A = Named(make())
    expected = A @ np.ones(8)
    with accelerate():
        assert_same(A @ np.ones(8), expected)
    assert accelerate.report().outcomes == {"taken": 1}


# (format, stored entries, rows, columns of B, threads, taken)
SIZES = [
    ("csr", 20_000, 100, None, 1, True),
    ("csr", 21_000, 100, None, 1, False),
    ("csr", 100_000, 300, None, 1, False),
    ("csr", 100_000, 500, None, 1, False),
    ("csr", 90_000, 500, None, 2, False),
    ("csr", 100_000, 500, None, 2, True),
    ("csr", 100, 100, 2, 1, True),
    ("csr", 100_000, 500, 2, 1, True),
    ("csc", 10_000, 100, None, 1, True),
    ("csc", 11_000, 100, None, 1, False),
    ("csc", 100_000, 500, None, 1, False),
    ("csc", 90_000, 500, None, 2, False),
    ("csc", 100_000, 500, None, 2, True),
    ("csc", 100_000, 51_000, None, 2, True),
    ("csc", 100_000, 101_000, None, 2, False),
    ("csc", 500, 100, 2, 1, True),
    ("csc", 10_000, 200, 15, 1, True),
    ("csc", 26_000, 400, 2, 1, True),
    ("csc", 26_000, 3_300, 2, 1, False),
    ("csc", 10_000, 200, 16, 1, True),
    ("csc", 3_000, 200, 16, 1, False),
    ("csc", 10_000, 2501, 16, 1, False),
    ("coo", 40_000, 500, None, 1, True),
    ("coo", 100_000, 500, None, 1, False),
    ("coo", 90_000, 500, None, 2, False),
    ("coo", 100_000, 500, None, 2, True),
    ("coo", 100_000, 51_000, None, 2, False),
    ("coo", 1_000, 100, 16, 1, False),
    ("coo", 2_000, 100, 16, 1, True),
    ("coo", 51_000, 200, 2, 1, True),
    ("coo", 13_000, 1701, 16, 1, False),
    ("bsr", 100_000, 500, None, 1, True),
    ("bsr", 36_000, 4_000, None, 1, False),
    ("bsr", 36_000, 400, 2, 1, False),
    ("bsr", 40_000, 400, 2, 1, True),
    ("bsr", 40_000, 13_400, 2, 1, False),
]


@pytest.mark.parametrize(("format", "stored", "rows", "columns", "threads", "taken"), SIZES)
def test_sizes_that_are_taken(format, stored, rows, columns, threads, taken):
    if format == "bsr":
        blocks = np.ones((stored // 4, 2, 2))
        indptr = np.minimum(np.arange(rows // 2 + 1) * 200, len(blocks))
        A = sp.bsr_array((blocks, np.arange(len(blocks)) % 200, indptr), shape=(rows, 400))
    else:
        positions = np.arange(stored)
        at = (positions % rows, positions // rows)
        A = sp.coo_array((np.ones(stored), at), shape=(rows, 400)).asformat(format)
    assert A.nnz == stored
    B = dense(400) if columns is None else dense((400, columns))
    if format == "coo" and columns and not (A @ B).flags.c_contiguous:
        # Into results in F order, as older versions of scipy make them, from more work on.
        taken = taken and stored * columns >= 2e5
    try:
        spkernels.set_num_threads(threads)
        with accelerate():
            A @ B
    finally:
        spkernels.set_num_threads(None)
    assert accelerate.report().outcomes == {"taken" if taken else "slower": 1}


@pytest.mark.parametrize(("format", "most"), [("csr", 6), ("csc", 5)])
def test_vectors_of_short_rows_are_taken_on_one_thread(format, most):
    """Short columns, too: what is short decides in which direction the kernels go by blocks."""
    rng = np.random.default_rng(1)
    for per_row, outcome in ((most, "taken"), (most + 1, "slower")):
        n = 120_000 // most
        entries = (np.ones(per_row * n), (np.repeat(np.arange(n), per_row),
                                          rng.integers(0, n, per_row * n)))  # fmt: skip
        A = sp.coo_array(entries, shape=(n, n)).asformat(format, copy=False)
        x = np.ones(n)
        expected = A @ x
        try:
            spkernels.set_num_threads(1)
            with accelerate():
                assert_same(A @ x, expected)
        finally:
            spkernels.set_num_threads(None)
        # tocsr() adds up what is there twice.
        assert A.nnz > (per_row - 0.1) * n
        assert accelerate.report(reset=True).outcomes == {outcome: 1}


def test_operands_of_two_dtypes_follow_the_same_rule():
    A = sp.csr_array(np.arange(39_000).reshape(100, -1) + 1)
    with accelerate():
        A @ dense((A.shape[1], 2))
        A @ dense(A.shape[1])
        A[:2] @ dense(A.shape[1])
    assert accelerate.report().outcomes == {"taken": 2, "slower": 1}


@pytest.mark.parametrize(("stored", "columns", "taken"), [(39_000, 2, False), (41_000, 2, True)])
def test_what_goes_by_way_of_python_takes_a_larger_size(stored, columns, taken):
    class Named(sp.csr_array):
        name = "mine"

    A = Named(np.arange(stored).reshape(100, -1) + 1.0)
    with accelerate():
        A @ dense((A.shape[1], columns))
        A @ dense(A.shape[1])
    outcomes = accelerate.report().outcomes
    assert outcomes == ({"taken": 1, "slower": 1} if taken else {"slower": 2})


def test_misshapen_direct_calls_go_to_scipy(take_everything):
    # Not what scipy's dispatch does, but what a subclass may do.
    A, column = make(), dense((8, 1))
    vector_hook = hooks_module.find_hooks()[0].name
    expected = getattr(A, vector_hook)(column)
    with accelerate():
        assert_same(getattr(A, vector_hook)(column), expected)
    assert accelerate.report().outcomes == {"operand": 1}


@pytest.mark.parametrize("format", ("csr", "csc", "bsr"))
def test_offsets_that_do_not_start_at_zero_go_to_scipy(format, take_everything):
    A = make(format)
    A.indptr[0] = 1
    for B in (dense(8), dense((8, 4))):
        expected = A @ B
        with accelerate():
            assert_same(A @ B, expected)
    assert accelerate.report().outcomes == {"layout": 2}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_an_index_out_of_range_is_an_error(format, wrong, take_everything):
    A = make(format)
    (A.row if format == "coo" else A.indices)[-1] = wrong
    with accelerate(), pytest.raises(ValueError, match="index is negative or out of range"):
        A @ dense((8, 4))


@pytest.mark.parametrize("columns", [None, 3])
def test_an_index_out_of_range_is_an_error_at_any_size_that_is_taken(columns):
    A = make()
    A.indices[-1] = 10**6
    with accelerate(), pytest.raises(ValueError, match="index is negative or out of range"):
        A @ dense(8 if columns is None else (8, columns))


def test_offsets_that_decrease_are_an_error(take_everything):
    A = make()
    A.indptr[3] = 10**6
    with accelerate(), pytest.raises(ValueError, match="indptr is corrupted"):
        A @ dense(8)


def test_replaced_methods_and_their_restoration():
    before = methods()
    with accelerate() as entered:
        assert entered is accelerate
        assert accelerate.enabled
        assert all(now is not then for now, then in zip(methods(), before, strict=True))
        assert [now.__wrapped__ for now in methods()] == before
    assert not accelerate.enabled
    assert all(now is then for now, then in zip(methods(), before, strict=True))


def test_hooks_cover_every_class_with_a_kernel():
    hooks = hooks_module.find_hooks()
    for format, kind, operation in itertools.product(FORMATS, KINDS, ("vector", "matrix")):
        cls = getattr(sp, f"{format}_{kind}")
        names = {hook.name for hook in hooks if hook.operation == operation}
        assert len(names) == 1
        # What attribute access finds is what is replaced.
        found = getattr(cls, names.pop())
        assert any(vars(hook.owner)[hook.name] is found for hook in hooks)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_inside_restores(error):
    with pytest.raises(error), accelerate(), accelerate():
        raise error
    assert not accelerate.enabled


def test_blocks_nest_and_end_in_any_order():
    first, second, third = contextlib.ExitStack(), contextlib.ExitStack(), accelerate()
    first.enter_context(accelerate())
    inside = methods()
    second.enter_context(accelerate())
    with third, third:
        assert methods() == inside
    first.close()
    assert accelerate.enabled
    second.close()
    assert not accelerate.enabled


def test_enable_counts_and_disable_undoes():
    accelerate.enable()
    accelerate.enable()
    accelerate.disable()
    assert accelerate.enabled
    accelerate.disable()
    assert not accelerate.enabled


def test_disable_without_enable_is_an_error_and_does_not_end_a_block():
    with pytest.raises(RuntimeError, match="more often"):
        accelerate.disable()
    with accelerate():
        with pytest.raises(RuntimeError, match="more often"):
            accelerate.disable()
        assert accelerate.enabled


def test_a_block_does_not_end_what_enable_began():
    accelerate.enable()
    with accelerate():
        pass
    assert accelerate.enabled
    accelerate.disable()


def test_decorator(take_everything):
    @accelerate()
    def multiply(A, B):
        """Multiply."""
        assert accelerate.enabled
        return A @ B

    assert multiply.__doc__ == "Multiply."
    for _ in range(2):
        multiply(make(), dense((8, 3)))
        assert not accelerate.enabled
    assert accelerate.report().taken == 2


def test_threads_that_switch_at_once(take_everything):
    A, B = make(), dense((8, 3))
    expected, before = A @ B, methods()
    start = threading.Barrier(4)

    def work(seed):
        start.wait()
        for step in range(150):
            if (seed + step) % 3:
                with accelerate():
                    assert accelerate.enabled
                    np.testing.assert_allclose(A @ B, expected)
            else:
                accelerate.enable()
                np.testing.assert_allclose(A @ B, expected)
                assert accelerate.enabled
                accelerate.disable()
            np.testing.assert_allclose(A @ B, expected)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert not accelerate.enabled
    assert methods() == before
    # At least the product inside of each block was taken; nothing was left.
    assert 600 <= accelerate.report().taken <= 1200
    assert accelerate.report().left == 0


def test_blocks_that_begin_while_others_end(monkeypatch):
    class Slow(type):
        def __setattr__(cls, name, value):
            # Long enough for another thread to come in between.
            time.sleep(1e-3)
            super().__setattr__(name, value)

    class Owner(metaclass=Slow):
        def multiply(self, other):
            return other

    def work(_):
        start.wait()
        for _ in range(20):
            with switch():
                assert Owner.multiply is not original
                time.sleep(1e-3)
                assert Owner.multiply is not original

    original, start, switch = Owner.multiply, threading.Barrier(3), switch_module.Accelerate()
    hooks = (hooks_module.Hook(Owner, "multiply", "vector", {}),)
    monkeypatch.setattr(switch_module, "find_hooks", lambda: hooks)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert Owner.multiply is original


def test_threads_started_inside_are_accelerated_and_counted_exactly(take_everything):
    A, x = make(), dense(8)
    with accelerate(), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: [A @ x for _ in range(2500)], range(4)))
    assert accelerate.report().taken == 10_000


def test_report(take_everything):
    A, B = make(dtype=np.float32), dense((8, 3), np.float32)
    with accelerate():
        for _ in range(3):
            A @ B
        A @ B[:, 0]
        A.tobsr((2, 2)) @ B
        B.T @ A.tocsc().T
        A @ B.astype(float)
        A @ B.astype(complex)
        A.todia() @ B[:, 0]
        A.todok() @ B[:, 0]
        A @ np.ma.array(B[:, 0])
    A @ B
    report = accelerate.report()
    assert report.calls[0] == ("csr", "float32", "matrix", "taken", 3)
    assert set(report.calls[1:]) == {
        ("csr", "float32", "vector", "taken", 1),
        ("bsr", "float32", "matrix", "taken", 1),
        ("csc", "float32", "matrix", "taken", 1),
        ("csr", "float32 x float64", "matrix", "taken", 1),
        ("csr", "float32 x complex128", "matrix", "dtype", 1),
        ("csr", "float32", "vector", "operand", 1),
        ("dia", "float32", "vector", "format", 1),
        ("dok", "float32", "vector", "format", 1),
    }
    assert (report.taken, report.left) == (7, 4)
    assert report.outcomes == {"taken": 7, "dtype": 1, "operand": 1, "format": 2}
    lines = str(report).splitlines()
    assert lines[0] == "taken 7, left to scipy 4"
    assert lines[1].split() == ["format", "dtype", "operation", "outcome", "count"]
    assert lines[2].split() == ["csr", "float32", "matrix", "taken", "3"]
    assert len(lines) == 2 + len(report.calls) + (report.contended > 0) + len(report.notes)
    assert accelerate.report(reset=True) == report
    assert accelerate.report().calls == ()


def test_the_report_counts_products_that_met_contention(monkeypatch):
    regions = iter([0, 0, 0, 1, 1, 1, 1, 5, 5, 6])
    monkeypatch.setattr(_core, "contended_regions", lambda: next(regions))
    A, small, B = make(shape=(60, 50)), make(shape=(6, 5)), np.ones((50, 80))
    accelerate.report(reset=True)
    with accelerate():
        for _ in range(4):
            A @ B
        small @ B[:5]  # no work for threads: it is not asked
        A @ B.astype(complex)  # scipy's, whatever others meet meanwhile
    report = accelerate.report()
    assert (report.taken, report.left, report.contended) == (5, 1, 2)
    assert str(report).splitlines()[-1] == "met contention for CPUs: 2"
    assert accelerate.report(reset=True).contended == 2
    assert accelerate.report().contended == 0


def test_unknown_scipy_warns_and_leaves_everything(monkeypatch):
    # A scipy whose products do not end in the methods that they ended in so far.
    monkeypatch.setattr(sp.csr_matrix, "__matmul__", lambda A, B: A.toarray() @ B, raising=False)
    hooks_module.find_hooks.cache_clear()
    try:
        A, x = make(), dense(8)
        with pytest.warns(RuntimeWarning, match="every product is left to scipy") as caught:
            with accelerate():
                assert not accelerate.enabled
                np.testing.assert_allclose(A @ x, A.toarray() @ x)
        assert caught[0].filename == __file__
        with pytest.warns(RuntimeWarning) as caught:
            accelerate.enable()
        assert caught[0].filename == __file__
        accelerate.disable()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning), accelerate():
                raise AssertionError("the block was entered")
        with pytest.raises(RuntimeError, match="more often"):
            accelerate.disable()
        assert accelerate.report().calls == ()
    finally:
        monkeypatch.undo()
        hooks_module.find_hooks.cache_clear()


@pytest.mark.parametrize("change", ["no such method", "raises", "another shape"])
def test_hooks_are_tried_before_they_are_trusted(change, monkeypatch):
    hook = hooks_module.find_hooks()[0]
    if change == "no such method":
        monkeypatch.setattr(hook.owner, hook.name, None)
    elif change == "raises":
        monkeypatch.setattr(hook.owner, hook.name, lambda A, x, y: A)
    else:
        monkeypatch.setattr(hook.owner, hook.name, lambda A, x: np.ones((1, 3)))
    assert hooks_module.find_hooks.__wrapped__() == ()


def test_what_others_replaced_is_left_alone_and_told():
    hook = hooks_module.find_hooks()[0]
    original = vars(hook.owner)[hook.name]

    def replacement(self, other):
        return original(self, other)

    message = f"{hook.name} was replaced by others"
    with pytest.warns(RuntimeWarning, match=message) as caught, accelerate():
        setattr(hook.owner, hook.name, replacement)
    assert caught[0].filename == __file__
    try:
        assert vars(hook.owner)[hook.name] is replacement
    finally:
        setattr(hook.owner, hook.name, original)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork().")
def test_fork_while_another_thread_holds_the_lock():
    script = """
        import os, signal, sys, threading, time, warnings
        import numpy as np, scipy.sparse as sp
        from spkernels import accelerate

        warnings.simplefilter("ignore")
        A, held = sp.csr_array(np.eye(4)), threading.Event()

        def hold():
            with accelerate._lock:
                held.set()
                time.sleep(0.3)

        accelerate.enable()
        threading.Thread(target=hold).start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            A @ np.ones(4)
            accelerate.disable()
            os._exit(0 if accelerate.report().taken == 1 and not accelerate.enabled else 1)
        accelerate.disable()
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd="/", timeout=60)


def spd(n=400):
    A = make("csr", shape=(n, n), density=0.02, seed=3)
    return (A @ A.T + sp.csr_array(np.diag(np.linspace(1.0, 2.0, n)))).tocsr()


SOLVERS = {
    "cg": lambda A, b: sla.cg(A, b, atol=1e-10)[0],
    "gmres": lambda A, b: sla.gmres(A, b, atol=1e-10)[0],
    "lsqr": lambda A, b: sla.lsqr(A, b, atol=1e-12, btol=1e-12)[0],
    "eigsh": lambda A, b: sla.eigsh(A, k=3, v0=b, return_eigenvectors=False),
    "svds": lambda A, b: np.sort(sla.svds(A, k=3, v0=b, return_singular_vectors=False)),
    "expm_multiply": lambda A, b: sla.expm_multiply(A / 10, b),
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_run_on_the_kernels(solver, take_everything):
    A = spd()
    b = dense(A.shape[0])
    expected = SOLVERS[solver](A, b)
    with accelerate():
        result = SOLVERS[solver](A, b)
    # Solvers stop by tolerances of their own: how rounding differs decides where.
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    assert accelerate.report().taken > 2
    assert accelerate.report().left == 0


def test_spmm_inside_a_block():
    A, B = make(dtype=np.int64), dense((8, 3)).astype(np.int64)
    expected = A @ B
    with accelerate():
        assert_same(spkernels.spmm(A, B), expected)
    assert accelerate.report().outcomes == {"dtype": 1}
