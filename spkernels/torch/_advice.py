"""What `advise` found: the time of a model at each pattern and sparsity, and what to prune."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._measure import MEASURED
from ._report import basis_lines, count_of, lines_of, ms, star_of, without_nan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Advice", "AdvisedLayer", "Outcome"]

#: A speed-up of a model that is worth the effort of pruning.
_WORTH = 1.05
#: The names of this many layers are listed, and the share of all savings that they must have.
_MAX_NAMES, _MOST = 4, 0.9
#: The largest speed-up that the rest of the model is said to limit, in multiples of the best one.
_NEAR = 2.0
_REST = "rest"
_HEADER = ("pattern", "zeros", "predicted ms", "speed-up", "sparse layers",
           "what takes the time then")  # fmt: skip
_LAYER_HEADER = ("layer", "kind", "weight", "input", "calls", "dense ms", "of all")
#: The colours and markers of the lines: the palette of Okabe and Ito, for any colour vision.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_MARKERS = "os^DvPX"


@dataclass(frozen=True)
class AdvisedLayer:
    """A layer of the model, and its times with random weights.

    Attributes
    ----------
    name : str
        The layer's name in the model.
    kind : str
        The class of the layer.
    shape : tuple of int
        The shape of its largest weight.
    input : tuple of int
        The shape of the input of its first call; () if it was not measured.
    calls : int
        The number of its calls for one call of the model.
    dense : float
        The seconds that all calls take in a call of the model as it is; NaN if they were not
        measured.
    share : float
        The share of the model's time that these take; NaN if they were not measured.
    basis : str
        How the speed-ups were measured: "measured", or "by one thread, as other processes were
        running".
    speedups : dict of str to dict of float to float
        The speed-up with each pattern, at each sparsity.
    reason : str
        Why the layer was not measured; "" if it was.
    like : str
        The name of the first layer with the same shapes, whose times these are.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    input: tuple[int, ...] = ()
    calls: int = 0
    dense: float = math.nan
    share: float = math.nan
    basis: str = MEASURED
    speedups: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    reason: str = ""
    like: str = ""

    def pays_from(self, pattern: str, least: float = _WORTH) -> float | None:
        """Return the sparsity from which on the layer is faster by the factor `least`, or None."""
        return _from(self.speedups.get(pattern, {}), least)


@dataclass(frozen=True)
class Outcome:
    """The predicted time of the model, pruned to a pattern and a sparsity.

    Attributes
    ----------
    pattern : str
        The pattern.
    sparsity : float
        The share of zeros, from 0 to 1.
    seconds : float
        The predicted seconds of a call of the model.
    speedup : float
        The time of the dense model divided by `seconds`.
    sparse : tuple of str
        The names of the layers that are faster sparse.  All others are counted dense.
    shares : dict of str to float
        The share of `seconds` that each layer takes.  What is left takes the rest of the model.
    """

    pattern: str
    sparsity: float
    seconds: float
    speedup: float
    sparse: tuple[str, ...]
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Advice:
    """What `advise` returns; ``print(advice)`` shows tables and an advice in words.

    Attributes
    ----------
    layers : tuple of AdvisedLayer
        The layers with weights, in the order of the model.
    outcomes : tuple of Outcome
        What was predicted for each pattern and sparsity.
    dense : float
        The measured seconds of a call of the model as it is.
    basis : str
        "measured", or "by one thread, as other processes were running".
    threads : int
        The number of threads.
    notes : tuple of str
        What else there is to know.
    """

    layers: tuple[AdvisedLayer, ...]
    outcomes: tuple[Outcome, ...]
    dense: float
    basis: str = MEASURED
    threads: int = 1
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> tuple[AdvisedLayer, ...]:
        """The layers that were measured."""
        return tuple(layer for layer in self.layers if not layer.reason)

    @property
    def best(self) -> Outcome | None:
        """The outcome with the largest speed-up, or None if no layer could be measured."""
        return max(self.outcomes, key=lambda outcome: outcome.speedup, default=None)

    @property
    def rest(self) -> float:
        """The share of the dense model's time that is no layer's which was measured."""
        return max(0.0, 1 - sum(layer.share for layer in self.measured))

    @property
    def limit(self) -> float:
        """The speed-up if the layers that were measured took no time at all."""
        return 1 / self.rest if self.rest else math.inf

    def pays_from(self, pattern: str, least: float = _WORTH) -> float | None:
        """Return the sparsity from which on the model is faster by the factor `least`, or None."""
        found = {each.sparsity: each.speedup for each in self.outcomes if each.pattern == pattern}
        return _from(found, least)

    @property
    def advice(self) -> str:
        """What to prune, and from which sparsity on it pays, in sentences."""
        best = self.best
        if best is None:
            return "There is no layer that could be pruned."
        if best.speedup < _WORTH:
            takes = f"the layers that can be pruned take {1 - self.rest:.0%} of the time"
            return (
                f"Pruning would not make this model faster: {takes}, and the largest speed-up is "
                f"{best.speedup:.2f}."
            )
        sentences = [f"Pruning pays {self._where()}."]
        sentences.append(
            f"The model becomes at most {best.speedup:.2g} times as fast, with {best.pattern} at "
            f"{_percent(best.sparsity)} zeros."
        )
        sentences.append(f"Prune {self._what(best)}.")
        if self.limit < _NEAR * best.speedup:
            sentences.append(
                f"The rest of the model takes {self.rest:.0%} of the dense time, which limits any "
                f"speed-up to {self.limit:.2g}."
            )
        return " ".join(sentences)

    def _where(self):
        """Return the sparsities from which on patterns pay, in words."""
        counts = Counter(outcome.pattern for outcome in self.outcomes)
        starts: dict[tuple[float, str], list[str]] = {}
        for pattern, count in counts.items():
            start = self.pays_from(pattern)
            if start is not None:
                words = f"from {_percent(start)} zeros on" if count > 1 else (
                    f"at {_percent(start)} zeros"
                )  # fmt: skip
                starts.setdefault((start, words), []).append(pattern)
        return _listed(
            f"{words} with {_listed(names)}" for (_, words), names in sorted(starts.items())
        )

    def _what(self, best):
        """Return the layers that save most of the time, in words."""
        saved: dict[str, float] = defaultdict(float)
        for layer in self.measured:
            if layer.name in best.sparse:
                left = 1 / layer.speedups[best.pattern][best.sparsity]
                saved[layer.like] += layer.share * (1 - left)
        counts = Counter(layer.like for layer in self.measured)
        total, share = sum(saved.values()), 0.0
        names: list[str] = []
        for like, part in sorted(saved.items(), key=lambda item: -item[1]):
            if share >= _MOST or len(names) == _MAX_NAMES:
                break
            names.append(like if counts[like] == 1 else f"{like} (and {counts[like] - 1} like it)")
            share += part / total
        return f"{_listed(names)}: this saves {share:.0%} of what can be saved"

    def to_dict(self) -> dict[str, Any]:
        """Return all facts as numbers, texts, lists and dicts, for JSON.

        Times are in seconds; what was not measured is None.
        """
        layers = []
        for layer in self.layers:
            speedups = [
                {"pattern": pattern, "sparsity": sparsity, "speedup": speedup}
                for pattern, found in layer.speedups.items()
                for sparsity, speedup in found.items()
            ]
            facts = {each.name: getattr(layer, each.name) for each in dataclasses.fields(layer)}
            layers.append({**facts, "speedups": speedups})
        outcomes = [
            {**dataclasses.asdict(outcome), "shares": dict(outcome.shares)}
            for outcome in self.outcomes
        ]
        return without_nan({
            "dense": self.dense,
            "basis": self.basis,
            "threads": self.threads,
            "rest": self.rest,
            "layers": layers,
            "outcomes": outcomes,
            "advice": self.advice,
            "notes": list(self.notes),
        })  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the speed-up of the model over the sparsity, a line for each pattern.

        This needs matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes
        """
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
        patterns = list(dict.fromkeys(outcome.pattern for outcome in self.outcomes))
        for place, pattern in enumerate(patterns):
            points = [each for each in self.outcomes if each.pattern == pattern]
            ax.plot(
                [100 * each.sparsity for each in points],
                [each.speedup for each in points],
                marker=_MARKERS[place % len(_MARKERS)],
                color=_COLOURS[place % len(_COLOURS)],
                label=pattern,
            )
        ax.axhline(1, color="0.4", linewidth=1, zorder=0)
        top = max((outcome.speedup for outcome in self.outcomes), default=1.0)
        if self.limit < _NEAR * top:
            ax.axhline(
                self.limit, color="0.4", linewidth=1, linestyle=":", zorder=0,
                label="if these layers took no time",
            )  # fmt: skip
        ax.set_ylim(0, 1.08 * max(1.0, top, self.limit if self.limit < _NEAR * top else 0))
        ax.set_xticks(sorted({100 * outcome.sparsity for outcome in self.outcomes}))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.4g}%")
        ax.set_xlabel("zeros of the weights that are pruned")
        ax.set_ylabel("predicted speed-up of the model")
        ax.set_title(
            f"dense: {ms(self.dense)} ms, {count_of(self.threads, 'thread')}"
            if self.basis == MEASURED
            else f"dense: {ms(self.dense)} ms by one thread",
            loc="left",
        )
        ax.grid(axis="y", color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        if patterns:
            ax.legend(frameon=False)
        return ax

    def __str__(self) -> str:
        lines = [
            f"dense model: {ms(self.dense)}{star_of(self.basis)} ms, "
            f"{count_of(self.threads, 'thread')}; {1 - self.rest:.0%} of it in "
            f"{count_of(len(self.measured), 'measured layer')}"
        ]
        if self.outcomes:
            rows = [_HEADER, *(self._row(outcome) for outcome in self.outcomes)]
            lines += ["", *lines_of(rows, (0, 5)), "", *self._layer_lines()]
        left = [layer for layer in self.layers if layer.reason]
        reasons = Counter((layer.kind, layer.reason) for layer in left)
        for (kind, reason), count in reasons.items():
            lines.append(f"not measured: {count_of(count, 'layer')} of {kind}: {reason}")
        lines += [*basis_lines(self), *self.notes, "", self.advice]
        return "\n".join(lines)

    def _row(self, outcome):
        shares: Counter[str] = Counter({_REST: max(0.0, 1 - sum(outcome.shares.values()))})
        for layer in self.measured:
            shares[layer.like] += outcome.shares[layer.name]
        counts = Counter(layer.like for layer in self.measured)
        most = [
            f"{name}{_times(counts[name])} {share:.0%}"
            for name, share in shares.most_common(3)
            if share >= 0.01
        ]
        return (outcome.pattern, _percent(outcome.sparsity),
                f"{ms(outcome.seconds)}{star_of(self.basis)}", f"{outcome.speedup:.2f}x",
                f"{len(outcome.sparse)} of {len(self.measured)}", ", ".join(most))  # fmt: skip

    def _layer_lines(self):
        """Return a table of the layers: layers with the same shapes share a line."""
        patterns = list(dict.fromkeys(outcome.pattern for outcome in self.outcomes))
        groups: dict[str, list[AdvisedLayer]] = {}
        for layer in self.measured:
            groups.setdefault(layer.like, []).append(layer)
        rows = [(*_LAYER_HEADER, *(f"{pattern} pays" for pattern in patterns))]
        for like, layers in groups.items():
            first = layers[0]
            shape, inputs = ("x".join(map(str, sizes)) for sizes in (first.shape, first.input))
            starts = (first.pays_from(pattern) for pattern in patterns)
            dense = sum(layer.dense for layer in layers)
            rows.append((
                f"{like}{_times(len(layers))}", first.kind, shape, inputs,
                str(sum(layer.calls for layer in layers)), f"{ms(dense)}{star_of(self.basis)}",
                f"{sum(layer.share for layer in layers):.1%}",
                *(
                    ("never" if start is None else f"from {_percent(start)}")
                    + star_of(first.basis)
                    for start in starts
                ),
            ))  # fmt: skip
        return lines_of(rows, (0, 1, 2, 3))


def _from(speedups: Mapping[float, float], least: float) -> float | None:
    """Return the least sparsity at which, and above which, speed-ups are at least `least`."""
    start = None
    for sparsity in sorted(speedups, reverse=True):
        if speedups[sparsity] < least:
            break
        start = sparsity
    return start


def _percent(share):
    return f"{100 * share:.4g}%"


def _times(count):
    return f" (x{count})" if count > 1 else ""


def _listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
