"""Reduces samples: which to keep, what they say together, and how sure that is."""

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
    """Whether a sample was taken while the machine was as fast as usual and free."""
    return sample["guard"] <= SLOW_GUARD * typical_guard and sample["waited"] <= LONG_WAIT


def describe(
    samples: Sequence[Sample], typical_guard: float, *, loaded: bool = False
) -> dict[str, Any]:
    """Return median, its 95% interval, minimum and quartiles of the quiet samples.

    Where no sample was quiet all of them count and ``"noisy"`` is true.  On a machine that was
    loaded on purpose, all of them count, and there are the mean of all calls and the median of the
    samples' 95th percentiles (``"slowest"``) as well.
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
    """Return an interval that holds the true median with at least this confidence, if there is one.

    By order statistics, so that nothing is assumed of the distribution: the number of samples
    below the median is binomial.  With fewer than 6 samples no interval has 95%; all are taken.
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
    """Return the geometric mean of positive numbers; nan of none."""
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else math.nan
