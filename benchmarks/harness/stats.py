"""Reduces samples: which to keep, and what they say together."""

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


def describe(samples: Sequence[Sample], typical_guard: float) -> dict[str, Any]:
    """Median, minimum and quartiles of the quiet samples.

    Where no sample was quiet all of them count and ``"noisy"`` is true.
    """
    kept = [sample["seconds"] for sample in samples if is_quiet(sample, typical_guard)]
    used = sorted(kept or [sample["seconds"] for sample in samples])
    if len(used) > 1:
        low, _, high = statistics.quantiles(used, n=4, method="inclusive")
    else:
        low = high = used[0]
    return {
        "median": statistics.median(used),
        "min": used[0],
        "q1": low,
        "q3": high,
        "kept": len(kept),
        "dropped": len(samples) - len(kept),
        "noisy": not kept,
    }


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean of positive numbers; nan of none."""
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else math.nan
