"""Patterns: recognised, declared and padded, against what their definitions say of dense masks."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_spmm
from strategies import DTYPES, FORMATS, random_dense, random_values, seeds, sparse

from spkernels import patterns, prepare, prune
from spkernels._prepare import matrix, structure
from spkernels._prepare import strategies as strategies_module
from spkernels.patterns import Pattern, recognise
from spkernels.patterns._grid import coarse, coarse_rows, ones
from spkernels.patterns._padding import padded

SIDES = (1, 2, 4, 8, 16)


# What the definitions say -------------------------------------------------------------------------


def counts(mask, height, width):
    """The entries of all blocks, and their places."""
    if 0 in mask.shape:
        return np.zeros((2, -(-mask.shape[0] // height), -(-mask.shape[1] // width)), int)
    both = np.stack([mask, np.ones_like(mask)]).astype(int)
    both = np.add.reduceat(both, np.arange(0, mask.shape[0], height), axis=1)
    return np.add.reduceat(both, np.arange(0, mask.shape[1], width), axis=2)


def fill_of_blocks(mask, height, width):
    entries, places = counts(mask, height, width)
    return mask.sum() / places[entries > 0].sum()


def expected_n_of_m(mask):
    found = []
    for m in (2, 4, 8, 16, 32):
        entries, places = counts(mask, 1, m)
        n = int(entries.max())
        fill = mask.sum() / np.minimum(places, n).sum()
        if n <= 4 and n < m and fill >= 0.5:
            found.append(Pattern("n:m", (n, m), fill))
    return [max(found, key=lambda pattern: pattern.fill)] if found else []


def expected_balanced(mask):
    cols = mask.shape[1]
    for m in sorted({m for m in (4, 8, 16, 32, 64) if m < cols}) + [cols]:
        whole = counts(mask[:, : cols // m * m], 1, m)[0]
        n = int(whole.flat[0])
        if (whole == n).all() and 0 < n < m:
            return [Pattern("balanced", (n, m), 1.0)]
    return []


def expected_blocks(mask, least):
    rows, cols = mask.shape
    shapes = [(v, w) for v in SIDES for w in SIDES if v <= rows and w <= cols]
    fills = {shape: fill_of_blocks(mask, *shape) for shape in shapes}
    full = {shape: fill for shape, fill in fills.items() if fill >= least}
    largest = [
        Pattern("block", (v, w), fill)
        for (v, w), fill in full.items()
        if v * w > 1 and (2 * v, w) not in full and (v, 2 * w) not in full
    ]
    return sorted(largest, key=lambda pattern: -pattern.size[0] * pattern.size[1])


def expected_complementary(mask):
    rows, cols = mask.shape
    for size in (2, 4, 8, 16):
        sets = counts(mask, size, 1)[0]
        if size <= rows and sets.max() == 1 and sets.mean() >= 0.9:
            return [Pattern("complementary", (size,), sets.mean())]
    return []


def expected(mask, least):
    if not mask.any():
        return ()
    found = expected_n_of_m(mask)
    if not found or found[0].fill < 1:
        found += expected_balanced(mask)
    return (*found, *expected_blocks(mask, least), *expected_complementary(mask))


@st.composite
def masks(draw):
    """Draw a mask of some pattern, with or without entries that are missing or too many."""
    rng = np.random.default_rng(draw(seeds))
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 70))
    weight, keep = rng.random(shape), draw(st.sampled_from([0.1, 0.4, 0.8, 1.0]))
    side = st.sampled_from((*SIDES, 3))
    made = {
        "none": lambda: weight < keep,
        "n:m": lambda: prune.nm(weight, draw(st.integers(1, 2)), draw(st.sampled_from((2, 4, 32)))),
        "block": lambda: prune.block(weight, (draw(side), draw(side)), 1 - keep),
        "balanced": lambda: prune.magnitude(weight, 1 - keep, balanced=draw(side)),
        "rows": lambda: prune.magnitude(weight, 1 - keep, balanced="rows"),
        "complementary": lambda: prune.complementary(weight, draw(side), balanced=True),
    }[draw(st.sampled_from(["none", "n:m", "block", "balanced", "rows", "complementary"]))]()
    mask = np.array(getattr(made, "mask", made))
    for change in draw(st.lists(st.booleans(), max_size=2)):
        mask[rng.integers(shape[0]), rng.integers(shape[1])] = change
    holes = draw(st.sampled_from([0, 0, 0.05, 0.2]))
    return mask & (rng.random(shape) >= holes)


def with_values(mask, dtype=np.float32, seed=0):
    """Values for a mask, some of them zeros that are stored."""
    A = sp.csr_array(mask.astype(dtype))
    A.data = random_values(np.random.default_rng(seed), A.nnz, dtype, zeros=True)
    return A


# Recognised ---------------------------------------------------------------------------------------


@given(mask=masks(), least=st.sampled_from([0.7, 0.9, 1.0]))
def test_what_holds_is_found(mask, least):
    assert recognise(with_values(mask), fill=least) == expected(mask, least)


@given(A=sparse(), height=st.integers(1, 9), width=st.integers(1, 9))
def test_blocks_are_counted(A, height, width):
    csr = sp.csr_array(A.tocsr(), copy=True)
    csr.sum_duplicates()
    mask = sp.csr_array((np.ones(csr.nnz), csr.indices, csr.indptr), shape=csr.shape).toarray() != 0
    grid = coarse_rows(coarse(ones(csr), width), height)
    np.testing.assert_array_equal(grid.toarray(), counts(mask, height, width)[0])
    assert grid.has_canonical_format and (grid.data > 0).all()


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt != "dia"])  # stores its zeros
def test_any_format_is_looked_at(fmt):
    weight = np.random.default_rng(0).standard_normal((64, 96))
    A = sp.csr_array(np.where(prune.nm(weight, 2, 4).mask, weight, 0))
    assert [found.name for found in recognise(A.asformat(fmt))] == ["2:4"]
    if fmt in ("csr", "csc", "coo"):
        coo = A.tocoo()
        again = sp.coo_array(
            (np.tile(coo.data, 2), (np.tile(coo.row, 2), np.tile(coo.col, 2))), shape=A.shape
        )
        assert [found.name for found in recognise(again)] == ["2:4"]


@pytest.mark.parametrize(
    "name, make",
    [
        ("1:2", lambda W: prune.nm(W, 1, 2)),
        ("2:4", lambda W: prune.nm(W, 2, 4)),
        ("1:4", lambda W: prune.nm(W, 1, 4)),
        ("4:8", lambda W: prune.nm(W, 4, 8)),
        ("4:32", lambda W: prune.nm(W, 4, 32)),
        ("1:32", lambda W: prune.nm(W, 1, 32)),
        ("16x1", lambda W: prune.vector(W, 16, 0.95)),
        ("2x1", lambda W: prune.vector(W, 2, 0.9)),
        ("8x1", lambda W: prune.vector(W, 8, 0.5)),
        ("4x4", lambda W: prune.block(W, (4, 4), 0.9)),
        ("1x16", lambda W: prune.block(W, (1, 16), 0.9)),
        ("16x16", lambda W: prune.block(W, (16, 16), 0.8)),
        ("2x8", lambda W: prune.block(W, (2, 8), 0.9)),
        ("balanced 8:16", lambda W: prune.magnitude(W, 0.5, balanced=16)),
        ("balanced 8:64", lambda W: prune.magnitude(W, 0.875, balanced=64)),
        ("balanced 30:300", lambda W: prune.magnitude(W, 0.9, balanced="rows")),
        ("complementary 2", lambda W: prune.complementary(W, 2)),
        ("complementary 16", lambda W: prune.complementary(W, 16, balanced=True)),
    ],
)
def test_what_prune_makes_is_recognised_and_may_be_declared(name, make):
    weight = np.random.default_rng(0).standard_normal((240, 300)).astype(np.float32)
    mask = make(weight).mask
    A = sp.csr_array(np.where(mask, weight, 0))
    found = {pattern.name: pattern for pattern in recognise(A)}
    assert found[name].fill == 1
    W = prepare(A, pattern=name, n=8, tune=False)
    assert found[name] in W.patterns and W.nnz == mask.sum()
    # What holds, and nothing else but rows that are alike.
    assert {other for other in found if not other.startswith("balanced")} <= {name}


def test_scattered_entries_have_no_pattern():
    for density in (0.3, 0.05, 0.01, 0.001):
        A = sp.random(500, 700, density, "csr", random_state=0)
        assert recognise(A) == ()
    for shape in ((0, 3), (3, 0), (5, 5)):
        assert recognise(sp.csr_array(shape)) == ()


def test_patterns_say_what_they_are():
    text = {
        Pattern("n:m", (2, 4), 0.9996): "2:4: at most 2 of every 4 columns of a row, 99.9% of that",
        Pattern("block", (16, 1), 1.0): "16x1: blocks of 16 rows and 1 column, 100% full",
        Pattern("balanced", (3, 8), 1.0): "balanced 3:8: 3 of every 8 columns of a row",
        Pattern("complementary", (4,), 0.95): (
            "complementary 4: every 4 rows have no column in common, and 95% of all"
        ),
    }
    assert {pattern: str(pattern) for pattern in text} == text


# Declared -----------------------------------------------------------------------------------------


def first_broken(name, mask, fill):
    """Where a declared pattern breaks first, as the error names it; None where it holds."""
    rows, cols = mask.shape
    kind, _, last = name.rpartition(" ")
    size = [int(number) for number in last.replace("x", ":").split(":")]
    if kind == "complementary":
        for group, col in itertools.product(range(-(-rows // size[0])), range(cols)):
            if mask[group * size[0] : (group + 1) * size[0], col].sum() > 1:
                return f"rows {group * size[0]} to ", f" entries in column {col}"
        return None
    if "x" in last:
        v, w = size
        entries, places = counts(mask, v, w)
        if mask.sum() >= fill * places[entries > 0].sum():
            return None
        for r, c in itertools.product(*map(range, entries.shape)):
            if 0 < entries[r, c] < fill * places[r, c]:
                return (
                    f"the block of row{'s' * (min(v, rows - r * v) > 1)} {r * v}",
                    f" and column{'s' * (min(w, cols - c * w) > 1)} {c * w}",
                    f" has {entries[r, c]} of {places[r, c]} entries",
                )
    n, m = size
    for row, window in itertools.product(range(rows), range(-(-cols // m))):
        here = mask[row, window * m : (window + 1) * m]
        broken = here.sum() != n if kind else here.sum() > n
        if broken and not (kind and here.size < m):
            return f"row {row} has {here.sum()} entr", f"in window {window} (column"
    return None


@given(
    mask=masks(), fill=st.sampled_from([None, 0.7, 0.9]),
    name=st.sampled_from(["1:2", "2:4", "3:7", "4:32", "2x1", "16x1", "4x4", "3x5", "1x2",
                          "balanced 2:4", "balanced 1:3", "balanced 3:16", "complementary 2",
                          "complementary 4", "complementary 7"]),
)  # fmt: skip
def test_the_first_that_breaks_a_declared_pattern_is_named(mask, fill, name):
    fill = fill if "x" in name else None
    where = first_broken(name, mask, 1.0 if fill is None else fill)
    if where is None:
        assert prepare(with_values(mask), pattern=name, fill=fill, tune=False).nnz == mask.sum()
        return
    with pytest.raises(ValueError) as caught:
        prepare(with_values(mask), pattern=name, fill=fill, tune=False)
    message = str(caught.value)
    assert message.startswith(f"A breaks pattern={name!r}: {where[0]}")
    assert all(part in message for part in where)


def test_errors_of_declared_patterns():
    weight = np.random.default_rng(0).standard_normal((32, 32))
    for name, mask, row, col, value, message in (
        ("2:4", prune.nm(weight, 2, 4).mask, 3, slice(8, 12), True,
         "A breaks pattern='2:4': row 3 has 4 entries in window 2 (columns 8 to 11)"),
        ("balanced 4:16", prune.magnitude(weight, 0.75, balanced=16).mask, 5, slice(16, 32), False,
         "A breaks pattern='balanced 4:16': row 5 has 0 entries in window 1 (columns 16 to 31)"),
        ("16x1", np.ones((32, 32), bool), 17, 9, False,
         "A breaks pattern='16x1': the block of rows 16 to 31 and column 9 has 15 of 16 entries, "
         "and blocks are 0.999 full on average, where all was expected (fill)"),
        ("complementary 4", prune.complementary(weight, 4).mask, slice(4, 8), 9, True,
         "A breaks pattern='complementary 4': rows 4 to 7 have 4 entries in column 9"),
    ):  # fmt: skip
        broken = mask.copy()
        broken[row, col] = value
        for dtype in (None, "int8"):
            W = prepare(with_values(mask), pattern=name, dtype=dtype, tune=False)
            assert W.nnz == mask.sum()
            with pytest.raises(ValueError) as caught:
                prepare(with_values(broken), pattern=name, dtype=dtype)
            assert str(caught.value) == message


@pytest.mark.parametrize(
    "options, error, match",
    [
        ({"pattern": 4}, TypeError, "pattern must be None or a string, got 4"),
        ({"pattern": "4"}, ValueError, "pattern must be 'auto', 'n:m' or .* got '4'"),
        ({"pattern": "5:4"}, ValueError, "got '5:4'"),
        ({"pattern": "0:4"}, ValueError, "got '0:4'"),
        ({"pattern": "2x0"}, ValueError, "got '2x0'"),
        ({"pattern": "2:4 "}, ValueError, "got '2:4 '"),
        ({"pattern": "Auto"}, ValueError, "got 'Auto'"),
        ({"pattern": "balanced 9:8"}, ValueError, "got 'balanced 9:8'"),
        ({"pattern": "auto", "fill": 0.6}, ValueError, r"fill must be from 0\.7 to 1, got 0\.6"),
        ({"pattern": "4x4", "fill": 1.1}, ValueError, r"fill must be from 0\.7 to 1, got 1\.1"),
        ({"pattern": "auto", "fill": "x"}, TypeError, "fill must be a real number, got 'x'"),
        ({"fill": 0.9}, ValueError, r"fill must be None but .* got fill=0\.9 and pattern=None"),
        ({"pattern": "2:4", "fill": 0.9}, ValueError, "fill must be None but .* pattern='2:4'"),
        ({"op": "sddmm", "pattern": "2:4"}, ValueError, "pattern must be None for op"),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        prepare(sp.csr_array(np.eye(8)), **options)


def test_bad_matrices():
    with pytest.raises(TypeError, match="A must hold real numbers"):
        recognise(sp.csr_array(1j * np.eye(3)))
    with pytest.raises(TypeError, match=r"A must be a scipy\.sparse array, got ndarray"):
        recognise(np.eye(3))
    with pytest.raises(ValueError, match=r"fill must be from 0\.7 to 1"):
        recognise(sp.csr_array(np.eye(3)), fill=0)


# Padded -------------------------------------------------------------------------------------------


def with_holes(rng, height, width, shape, dtype, fill=0.85, density=0.2):
    """Blocks of random values that are not quite full."""
    mask = prune.block(rng.random(shape), (height, width), 1 - density).mask
    return with_values(mask & (rng.random(shape) < fill), dtype)


@given(A=sparse(most=40), height=st.integers(1, 17))
def test_padding_unites_columns(A, height):
    csr = sp.csr_array(A.tocsr(), copy=True)
    csr.sum_duplicates()
    filled = padded(csr, height)
    assert filled.has_canonical_format
    np.testing.assert_array_equal(filled.toarray(), csr.toarray())
    stored = np.zeros(csr.shape, bool)
    stored[np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr)), csr.indices] = True
    for first in range(0, csr.shape[0], height):
        union = np.flatnonzero(stored[first : first + height].any(axis=0))
        for row in range(first, min(first + height, csr.shape[0])):
            start, stop = filled.indptr[row : row + 2]
            np.testing.assert_array_equal(filled.indices[start:stop], union)


@pytest.mark.every_isa
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("height", [2, 4, 8, 16])
def test_padded_products(height, dtype):
    rng = np.random.default_rng(height)
    A = with_holes(rng, height, 1, (133, 300), dtype)
    for n in (1, 3, 8, 17, 33, 64, 130):
        kernel = strategies_module.Padded(A, n, height=height)
        B = random_dense(rng, (300, n) if n > 1 else (300,), dtype)
        options = (None, 1.0, 0.0, None, None, None, None)
        assert kernel.operand is None
        assert_spmm(kernel.multiply(B, *options), A, B)
        # What was filled in reads nothing that matters.
        special = rng.choice(300, 9, replace=False)
        read = np.diff(A[:, special].tocsr().indptr) > 0
        B[special] = rng.choice([np.nan, np.inf, -np.inf], (9, *[1] * (B.ndim - 1)))
        values = A.copy()
        values.data[values.data == 0] = 1
        result = strategies_module.Padded(values, n, height=height).multiply(B, *options)
        assert not np.isfinite(result[read]).any()
        assert_spmm(result[~read], values[~read], np.where(np.isfinite(B), B, 0))


def test_padded_rows_share():
    rng = np.random.default_rng(0)
    A = with_holes(rng, 8, 1, (256, 300), np.float32)
    kernel = strategies_module.Padded(A, 64, height=8)
    filled = padded(A, 8)
    assert kernel.packed.shared == kernel.entries == filled.nnz > A.nnz
    zeros = f"{100 * (filled.nnz / A.nnz - 1):.3g}% zeros"
    assert f"100% in rows with common columns, 8 rows at a time filled up ({zeros})" in (
        kernel.describe()
    )
    assert kernel.nbytes > kernel.packed.nbytes


@pytest.mark.parametrize("storage", [None, "float16", "bfloat16"])
@pytest.mark.parametrize("pattern", ["auto", "4x4"])
def test_padded_matrices(pattern, storage):
    rng = np.random.default_rng(3)
    A = with_holes(rng, 4, 4, (240, 320), np.float32)
    W = prepare(A.tocsc(), n=64, pattern=pattern, fill=0.7, tune=False, storage=storage)
    choices = dict.fromkeys((1, 2, 4, 8, 16, 32, 64), "padded")
    W._choices = choices
    W._state.forget()
    W.T._choices = choices
    assert W.kernel.startswith("padded: ") and W.T.kernel.startswith("padded: ")
    assert ("values in" in W.kernel) == (storage is not None)
    B, X = random_dense(rng, (320, 64), np.float32), random_dense(rng, (5, 240), np.float32)
    packed = W.nbytes
    assert packed > 8 * W.nnz + 4 * 240
    for _ in range(2):
        near = W.toscipy()
        assert near.nnz == W.nnz == A.nnz
        for again in (W, pickle.loads(pickle.dumps(W))):
            assert again.kernel.startswith("padded: ")
            assert_spmm(again @ B, near, B)
            assert_spmm(X @ again, X, near)
            assert_spmm(again @ B[:, 0], near, B[:, 0])
        W.update_values(rng.standard_normal(A.nnz).astype(np.float32))
    assert abs(W.toscipy() - near).max() > 0.1


def test_what_is_padded(monkeypatch):
    rng = np.random.default_rng(4)
    A = with_holes(rng, 8, 1, (256, 300), np.float32)

    def height(A, **options):
        padding = prepare(A, n=64, tune=False, **options)._state.padding
        return None if padding is None else padding.height

    assert height(A) is None
    assert height(A, pattern="auto") is None  # 85% full
    assert height(A, pattern="auto", fill=0.8) in (4, 8)
    assert height(A, pattern="4x1", fill=0.8) == 4
    assert height(A.T, pattern="1x8", fill=0.8) is None
    assert prepare(A.T, pattern="1x8", fill=0.8, tune=False).T._state.padding.height == 8
    full = with_holes(rng, 8, 1, (256, 300), np.float32, fill=1)
    assert height(full, pattern="auto") is None and height(full, pattern="8x1") is None
    # Where four rows share anyway, nothing is gained by eight.
    fours = with_holes(rng, 4, 1, (256, 300), np.float32, fill=1, density=0.97)
    assert height(fours, pattern="auto") is None


def test_a_padded_kernel_is_a_choice():
    """With a vector, slices of 16 rows that share take a third of the time: by the model."""
    A = with_holes(np.random.default_rng(5), 16, 1, (2048, 2048), np.float32, 0.95, 0.05)
    assert prepare(A, n=1, pattern="auto", tune=False).kernel.startswith("padded: ")
    assert "padded" not in prepare(A, n=1, tune=False).kernel
    W = prepare(A, n=1, pattern="auto")
    again = prepare(A, n=1, pattern="auto")
    assert again.kernel == W.kernel and "padded" not in prepare(A, n=1).kernel


def test_patterns_are_looked_for_when_asked(monkeypatch):
    A = with_holes(np.random.default_rng(6), 4, 4, (64, 64), np.float32, fill=1)
    with monkeypatch.context() as patch:
        patch.setattr(matrix, "recognised", None)
        patch.setattr(structure, "heights", None)
        W = prepare(A, n=8)
        _ = W @ np.ones((64, 8), np.float32)
        prepare(A, n=8, pattern="4x4")
    found = W.patterns
    assert [pattern.name for pattern in found] == ["4x4"] and W.patterns is found
    assert [pattern.name for pattern in W.T.patterns] == ["4x4"]
    assert patterns.recognise(W.toscipy()) == found


def test_explain_says_what_patterns_cost():
    A = with_holes(np.random.default_rng(7), 16, 1, (256, 256), np.float32, 0.95)
    for options in ({}, {"pattern": "auto"}):
        W = prepare(A, n=8, tune=False, **options)
        report = W.explain()
        (found,) = report.patterns
        assert found.name == "16x1" and report.candidate_of(found).name == "padded"
        assert [c.name for c in report.candidates] == ["rows", "packed", "padded", "dense"]
        line = str(report).splitlines()[-1]
        assert line.startswith(f"pattern {found}: padded, predicted ") and "measured" in line
        # What is not in use is not kept.
        assert {kernel.name for kernel in W._state.kernels.values()} <= {report.chosen, "rows"}
    full = prepare(with_values(np.kron(np.eye(16), np.ones((16, 16))) > 0), n=8, tune=False)
    report = full.explain()
    assert {c.name for c in report.candidates} == {"rows", "packed", "dense"}
    # Without that kernel, as where it has no place, it is the one that is always there.
    rows = dataclasses.replace(report, candidates=report.candidates[:1])
    assert {rows.candidate_of(found).name for found in report.patterns} == {"rows"}
    names = {found.name: report.candidate_of(found).name for found in report.patterns}
    assert names == {"balanced 16:256": "packed", "16x16": "packed"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pattern", [None, "auto", "4x1"])
@pytest.mark.parametrize("n", [1, 64])
def test_values_that_do_not_add_up_are_no_concern_of_patterns(pattern, n):
    """Infinities of both signs, NaN, and numbers that only float64 holds."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random((16, 64)) < 0.3, np.ones((4, 1), bool))
    blocks &= rng.random(blocks.shape) < 0.95
    A = sp.csr_array(np.where(blocks, rng.standard_normal(blocks.shape), 0))
    A.data[::7], A.data[3::11], A.data[5::13], A.data[6::17] = np.inf, -np.inf, np.nan, 1e300
    W = prepare(A, pattern=pattern, fill=None if pattern is None else 0.7, n=n)
    with np.errstate(all="ignore"):
        expected = A @ np.ones((64, n))
    np.testing.assert_array_equal(np.isnan(W @ np.ones((64, n))), np.isnan(expected))
    W.update_values(A.tocoo())
    W.explain()
    assert W.patterns == patterns.recognise(A, fill=0.9 if pattern is None else 0.7)
