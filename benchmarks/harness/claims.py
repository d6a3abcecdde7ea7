"""What a suite is to show: how many times faster than its rivals the subject is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .stats import geometric_mean


@dataclass(frozen=True)
class Claim:
    """The subject against the better of some rivals, chosen cell by cell.

    A target is a factor to reach, or None where nothing is claimed.
    """

    subject: str
    rivals: tuple[str, ...]
    mean_target: float | None = None
    worst_target: float | None = None

    @property
    def title(self) -> str:
        """The claim in words."""
        better = "the better of " if len(self.rivals) > 1 else ""
        return f"{self.subject} against {better}{' and '.join(self.rivals)}"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim."""

    cells: int
    mean: float
    mean_of_minima: float
    worst: float
    worst_cell: dict[str, Any]
    met: bool


def speedup(record: dict[str, Any], claim: Claim, figure: str = "median") -> float | None:
    """How many times faster the subject was in one cell; None where one of the two is missing."""
    peers = record["peers"]
    times = [peers[name][figure] for name in claim.rivals if figure in peers.get(name, ())]
    if not times or figure not in peers.get(claim.subject, ()):
        return None
    return min(times) / peers[claim.subject][figure]


def judge(claim: Claim, records: Sequence[dict[str, Any]]) -> Verdict | None:
    """Check a claim on all cells where it can be; None where there is no such cell."""
    compared = [(ratio, r) for r in records if (ratio := speedup(r, claim)) is not None]
    if not compared:
        return None
    worst, worst_cell = min(compared, key=lambda pair: pair[0])
    mean = geometric_mean(ratio for ratio, _ in compared)
    minima = geometric_mean(speedup(record, claim, "min") for _, record in compared)
    met = mean >= (claim.mean_target or 0.0) and worst >= (claim.worst_target or 0.0)
    return Verdict(len(compared), mean, minima, worst, worst_cell["labels"], met)
