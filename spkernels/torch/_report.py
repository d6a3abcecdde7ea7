"""What `sparsify_` did with each module, and why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._measure import MEASURED, ONE_THREAD

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Layer", "Report", "basis_lines", "count_of", "lines_of", "ms", "star_of", "without_nan"]

_HEADER = ("module", "kind", "weight", "input", "zeros", "pattern", "kernel", "dense ms",
           "sparse ms", "speed-up", "")  # fmt: skip
_LEFT = (0, 1, 2, 3, 5, 6, 10)


@dataclass(frozen=True)
class Layer:
    """A module of the model.

    Attributes
    ----------
    name : str
        The module's name in the model, with dots between the names of its parents.
    kind : str
        The class of the dense module.
    shape : tuple of int
        The shape of its largest weight.
    input : tuple of int
        The shape of the input that it was measured with; () if it was not measured.
    calls : int
        The number of calls of the module for one call of the model.
    sparsity : float
        The share of zeros of its weights, from 0 to 1; NaN if they were not read.
    pattern, kernel : str
        The patterns of the weight, and the kernel that multiplies it.
    dense, sparse : float
        The seconds of all calls, by minima; NaN if they were not measured.
    basis : str
        "measured", or "by one thread, as other processes were running" if times on all threads were
        not to be had: these are CPU times.
    error : float
        The largest difference of the outputs, as a share of the largest output; NaN if it was not
        measured, or if the outputs have different shapes.
    reason : str
        Why the module stays dense; "" if it was replaced.
    fused : tuple of str
        The names, in their parents, of the batch norm and the activation that follow and that the
        sparse module computes as well.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    input: tuple[int, ...] = ()
    calls: int = 0
    sparsity: float = math.nan
    pattern: str = ""
    kernel: str = ""
    dense: float = math.nan
    sparse: float = math.nan
    basis: str = MEASURED
    error: float = math.nan
    reason: str = ""
    fused: tuple[str, ...] = ()

    @property
    def speedup(self) -> float:
        """The dense time divided by the sparse one."""
        return self.dense / self.sparse if self.sparse else math.nan

    @property
    def replaced(self) -> bool:
        """Whether a sparse module stands for this one."""
        return not self.reason


@dataclass(frozen=True)
class Report:
    """The report of `sparsify_`; ``print(report)`` shows a table.

    Attributes
    ----------
    layers : tuple of Layer
        The modules, in the order of ``model.named_modules()``.
    dense, sparse : float
        The seconds of a call of the whole model before and after, by minima; NaN if the model was
        not called.
    predicted : float
        The seconds of the model that the times of its modules let expect.
    basis : str
        How these times were measured, as for a `Layer`.
    error : float
        The largest difference of the outputs of the model, as a share of the largest output, for
        the same random numbers; NaN if it was not measured, or if their shapes differ.
    notes : tuple of str
        What else there is to know.
    """

    layers: tuple[Layer, ...]
    dense: float = math.nan
    sparse: float = math.nan
    predicted: float = math.nan
    basis: str = MEASURED
    error: float = math.nan
    notes: tuple[str, ...] = ()

    @property
    def replaced(self) -> tuple[Layer, ...]:
        """The layers that became sparse."""
        return tuple(layer for layer in self.layers if layer.replaced)

    @property
    def speedup(self) -> float:
        """The measured time of the dense model divided by that of the sparse one."""
        return self.dense / self.sparse if self.sparse else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return all facts as numbers, texts, lists and dicts, for JSON.

        Times are in seconds; what was not measured, or is not finite, is None.
        """
        layers = [
            {**dataclasses.asdict(layer), "replaced": layer.replaced, "speedup": layer.speedup}
            for layer in self.layers
        ]
        facts = {
            "layers": layers,
            "dense": self.dense,
            "sparse": self.sparse,
            "predicted": self.predicted,
            "basis": self.basis,
            "speedup": self.speedup,
            "error": self.error,
            "notes": list(self.notes),
        }
        return without_nan(facts)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the times of the modules before and after, as bars, and return the axes.

        This needs matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        """
        layers = [layer for layer in self.layers if not math.isnan(layer.dense)]
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(7, 1.5 + 0.35 * len(layers)), layout="constrained")
        places = range(len(layers))
        dense = [1e3 * layer.dense for layer in layers]
        after = [1e3 * (layer.sparse if layer.replaced else layer.dense) for layer in layers]
        ax.barh([place - 0.2 for place in places], dense, 0.4, label="before", color="0.7")
        ax.barh([place + 0.2 for place in places], after, 0.4, label="after", color="C0")
        ax.set_yticks(list(places), [layer.name for layer in layers])
        ax.invert_yaxis()
        ax.set_xlabel("time of all calls (ms)")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        if not math.isnan(self.speedup):
            title = f"model: {ms(self.dense)} ms before, {ms(self.sparse)} ms after"
            ax.set_title(f"{title} ({self.speedup:.2f}x)")
        return ax

    def __str__(self) -> str:
        rows = [_HEADER, *(_row(layer) for layer in self.layers)]
        lines = lines_of(rows, _LEFT)
        lines.append(f"{len(self.replaced)} of {len(self.layers)} modules became sparse")
        if not math.isnan(self.dense):
            star = star_of(self.basis)
            lines.append(
                f"model: {ms(self.dense)}{star} ms before, {ms(self.predicted)}{star} ms "
                f"predicted, {ms(self.sparse)}{star} ms measured after ({self.speedup:.2f}x)"
            )
            lines.append(
                "the outputs have different shapes, so their error is not known"
                if math.isnan(self.error)
                else f"largest error of the outputs: {self.error:.1e} of the largest output"
            )
        lines += [*basis_lines(self), *self.notes]
        return "\n".join(lines)


def basis_lines(report: Any) -> list[str]:
    """Return the line that says what a star behind times means, if there are such times."""
    by_one = ONE_THREAD in (report.basis, *(layer.basis for layer in report.layers))
    return [f"* {ONE_THREAD}"] if by_one else []


def _row(layer):
    times = ("", "", "") if math.isnan(layer.dense) else (
        *(f"{ms(seconds)}{star_of(layer.basis)}" for seconds in (layer.dense, layer.sparse)),
        f"{layer.speedup:.2f}x",
    )  # fmt: skip
    end = f"with {' and '.join(layer.fused)}" if layer.fused else ""
    if layer.reason:
        end = f"stays dense: {layer.reason}"
    shape, inputs = ("x".join(map(str, sizes)) for sizes in (layer.shape, layer.input))
    zeros = "" if math.isnan(layer.sparsity) else f"{layer.sparsity:.1%}"
    return (layer.name, layer.kind, shape, inputs, zeros, layer.pattern, layer.kernel, *times,
            end)  # fmt: skip


def lines_of(rows: Sequence[Sequence[str]], left: Container[int] = ()) -> list[str]:
    """Return the lines of a table; the columns in `left` begin at their left ends."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def star_of(basis: str) -> str:
    """Return the mark of times that were not measured as they are."""
    return "*" if basis == ONE_THREAD else ""


def count_of(number: int, word: str) -> str:
    """Return a number and a noun, in the plural unless the number is 1."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def ms(seconds: float) -> str:
    """Return seconds as milliseconds with three digits; "" for NaN."""
    return "" if math.isnan(seconds) else f"{1e3 * seconds:.3g}"


def without_nan(value: Any) -> Any:
    """Return numbers, texts, lists and dicts with None for each NaN and infinity: JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return value
