"""Products of `Int8Matrix` with float32, which is rounded to bytes first."""

import numpy as np
import pytest
import scipy.sparse as sp

import spkernels

SCALE, ZERO = 0.25, 100
W = spkernels.prepare(
    sp.random_array((37, 50), density=0.2, format="csr", dtype=np.float32, rng=7), dtype="int8"
)


def floats(*shape):
    """Return random floats, a third of them in the middle of two bytes, and specials."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-40, 60, shape)
    halves = rng.random(shape) < 0.3
    x[halves] = (np.floor(x[halves] / SCALE) + 0.5) * SCALE
    flat = x.reshape(-1)
    specials = [np.inf, -np.inf, np.nan, -0.0, 1e-45]
    flat[:35:7] = specials[: flat[:35:7].size]
    return x.astype(np.float32)


def byte_of(x):
    """Round halves to even; NaN becomes 0."""
    rounded = np.rint(x.astype(np.float64) / SCALE) + ZERO
    return np.nan_to_num(rounded, nan=0, posinf=255, neginf=0).clip(0, 255).astype(np.uint8)


def views(x):
    """Yield arrays with the elements of `x` and different strides."""
    k = x.shape[-1]
    yield x
    yield np.asfortranarray(x)
    yield np.ascontiguousarray(x[::-1])[::-1]
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield np.concatenate([x, x], axis=-1)[..., :k]
    unaligned = np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    assert not (x.size and unaligned.flags.aligned)
    yield unaligned


@pytest.mark.parametrize("shape", [(50,), (1, 50), (9, 50), (300, 50), (2, 3, 50), (0, 50)])
def test_linear(shape):
    x = floats(*shape)
    expected = W.linear(byte_of(x), scale=SCALE, zero_point=ZERO)
    for view in views(x):
        result = W.linear(view, scale=SCALE, zero_point=ZERO)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 70)])
def test_spmm(shape):
    x = floats(*shape)
    how = {"scale": SCALE, "zero_point": ZERO, "dtype": np.int8, "out_scale": 0.5}
    expected = W.spmm(byte_of(x), **how)
    for view in views(x):
        np.testing.assert_array_equal(W.spmm(view, **how), expected)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, TypeError, "X must be of int8, uint8 or bool, got float32"),
        ({"scale": 0.0}, ValueError, "scale must be positive where X is of float32, got 0.0"),
        ({"scale": -1.0}, ValueError, "scale must be positive"),
        ({"scale": 1e-60}, ValueError, "scale must be positive"),
        ({"scale": np.nan}, ValueError, "scale must be finite"),
        ({"scale": np.ones(3)}, ValueError, "scale must be a number where X is of float32"),
        ({"scale": 1.0, "zero_point": [1, 2, 3]}, ValueError, "zero_point must be a number"),
        ({"scale": 1.0, "zero_point": 256}, ValueError, "zero_point must be"),
        ({"scale": 1.0, "zero_point": -1}, ValueError, "zero_point must be"),
    ],
)
def test_errors(options, error, text):
    with pytest.raises(error, match=text):
        W.linear(floats(3, 50), **options)


def test_shapes_and_dtypes_that_do_not_fit():
    with pytest.raises(ValueError, match="X"):
        W.linear(floats(3, 49), scale=1.0)
    with pytest.raises(TypeError, match="X must be of int8, uint8 or bool, got float64"):
        W.linear(np.ones((3, 50)), scale=1.0)
    with pytest.raises(TypeError, match="X must be of int8, uint8 or bool, got float32"):
        W.linear(np.float32(1), scale=1.0)
