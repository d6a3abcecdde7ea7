"""How far from the exact result rounding may lead: bounds after Higham, not tolerances.

A sum of k terms in float32 is off by at most gamma_k = k u / (1 - k u) times the sum of their
magnitudes.  Tensor cores cut off the terms that they add rather than round them, which counts as
twice the unit; in float64 the reference has an error of its own, as large.
"""

from device import SMALLEST, UNITS

#: Roundings besides those of the terms: of the epilogue, and of parts that are put together.
EXTRA = 10
#: What the rounding of operands adds, as a share of the sum of magnitudes.  tf32: two operands of
#: 11 bits.  3xtf32: small parts of 11 bits after 11 bits, and the product of the small parts.
OPERANDS = {"strict": 0.0, "tf32": 2.0**-10 + 2.0**-20, "3xtf32": 2.0**-20}


def gamma(count, unit):
    """Higham's factor for so many roundings; `count` may be an array."""
    return count * unit / (1 - count * unit)


def of_sum(terms, size, exact, dtype, precision="strict"):
    """The bound of sums of `terms` products whose magnitudes add up to `size`."""
    unit = UNITS["float64"] if dtype == "float64" else UNITS["float32"]
    # 3xTF32 adds three products for each.
    added = 3 * terms if precision == "3xtf32" else terms
    bound = (gamma(2 * (added + EXTRA), unit) + OPERANDS[precision]) * size
    # What is rounded in the end is the sum with its error.
    return (1 + UNITS[dtype]) * bound + UNITS[dtype] * abs(exact) + SMALLEST[dtype] * EXTRA


def of_attention(xp, logits, width, weights_size, exact, count, dtype):
    """The bound of softmax(logits) V.

    `logits` are the magnitudes |scale| |Q| |K|^T, the largest of each row; `weights_size` is
    softmax(...) |V|.  An error d in the logits is one of exp(2 d) - 1 in the weights, which are
    rounded to the dtype before they meet V.
    """
    unit = UNITS["float32"]
    d = (gamma(2 * (width + EXTRA), unit) + 8 * unit) * logits
    relative = xp.expm1(2 * d) + 2 * UNITS[dtype] + gamma(2 * (count + EXTRA), unit) + 2.0**-20
    bound = (1 + UNITS[dtype]) * relative * weights_size
    return bound + UNITS[dtype] * abs(exact) + SMALLEST[dtype] * EXTRA


def worst(xp, got, exact, bound):
    """The largest |got - exact| / bound, infinite where `got` is NaN; 0 of nothing."""
    if got.size == 0:
        return 0.0
    share = xp.abs(got.astype("float64") - exact) / bound
    return float(xp.where(xp.isnan(share), xp.inf, share).max())
