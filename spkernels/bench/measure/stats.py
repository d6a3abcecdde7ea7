"""Statistics of samples: which count, their median, and its confidence interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

#: A sample is dropped when its guard took longer than this many times the median guard ...
SLOW_GUARD = 1.5
#: ... or when its threads waited for a CPU for longer than this share of the time.
LONG_WAIT = 0.05

Sample = dict[str, float]


def is_quiet(sample: Sample, typical_guard: float) -> bool:
    """Return whether the machine was as fast as usual and free during a sample."""
    return sample["guard"] <= SLOW_GUARD * typical_guard and sample["waited"] <= LONG_WAIT


def describe(
    samples: Sequence[Sample], typical_guard: float, *, loaded: bool = False
) -> dict[str, Any]:
    """Return the median, its 95% interval, the minimum and the quartiles of the quiet samples.

    If no sample was quiet, all samples count, and ``"noisy"`` is true.  On a machine that is loaded
    on purpose, all samples count, and the result also has the mean of all calls and, as
    ``"slowest"``, the median of the samples' 95th percentiles.
    """
    kept = [s["seconds"] for s in samples if loaded or is_quiet(s, typical_guard)]
    used = sorted(kept or [sample["seconds"] for sample in samples])
    if len(used) > 1:
        q1, _, q3 = statistics.quantiles(used, n=4, method="inclusive")
    else:
        q1 = q3 = used[0]
    low, high = median_interval(used)
    whole = {}
    if loaded:
        whole["mean"] = statistics.fmean(used)
        whole["slowest"] = statistics.median(sample["slowest"] for sample in samples)
    return whole | {
        "median": statistics.median(used),
        "low": low,
        "high": high,
        "min": used[0],
        "q1": q1,
        "q3": q3,
        "kept": len(kept),
        "dropped": len(samples) - len(kept),
        "noisy": not kept,
    }


def median_interval(ordered: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return an interval that contains the true median with confidence `level`, if there is one.

    The interval is between order statistics, which assumes nothing of the distribution: the number
    of samples below the median is binomial.  With fewer than 6 samples no interval has 95%; then
    the interval is the range of all samples.
    """
    n = len(ordered)
    outside, rank = 0.0, 0
    while rank < (n - 1) // 2:
        outside += 2 * math.comb(n, rank) * 0.5**n
        if outside > 1 - level:
            break
        rank += 1
    rank = max(0, rank - 1)
    return ordered[rank], ordered[n - 1 - rank]


def spread(summary: dict[str, Any]) -> float:
    """Return the half width of a median's interval, relative to the median."""
    return (summary["high"] - summary["low"]) / 2 / summary["median"]


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of positive numbers; NaN if there are none."""
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else math.nan
