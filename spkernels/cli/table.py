"""The table of the demo: a line per matrix, and times and a kernel per number of columns."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterable, Sequence

from .measure import DENSE_LIMIT, DRAW, Cell

#: The largest number of characters of a line.
WIDTH = 100

_PEERS = ("scipy", "dense", "spkernels")
_INDENT = " " * 8
_MARKS = "/_ "

HEADER = "\n".join(
    [
        f"{'matrix':<56}{'shape':>20}{'nonzeros':>14}{'sparsity':>10}",
        f"{'N':>8}"
        + "".join(f"{peer + ' ms':>13}{'GFLOP/s':>8}" for peer in _PEERS)
        + f"{'vs dense':>10}{'vs scipy':>10}{'error':>9}",
        "-" * WIDTH,
    ]
)

#: The meaning of the columns of HEADER, for --help.
COLUMNS = f"""\
what the columns mean:
  nonzeros   number of entries of A, explicit zeros included
  sparsity   share of positions without an entry
  N          columns of the dense B in A @ B: batch size times sequence length, or features
  scipy      A @ B of scipy.sparse, which uses one thread
  dense      A.toarray() @ B of NumPy on the same number of threads as spkernels; the conversion is
             not timed, and products are left out if A.toarray() exceeds {DENSE_LIMIT >> 20} MiB
  spkernels  spkernels.spmm(A, B)
  ms         median time of a call, in milliseconds
  GFLOP/s    2 * nonzeros * N / time (8 if complex): operations of a dense product with zeros do
             not count, so that the numbers of a line compare times
  vs dense   time of dense / time of spkernels: above 1, sparsity pays
  vs scipy   time of scipy / time of spkernels
  error      largest error of spkernels' result divided by its bound, gamma_k * (|A| @ |B|) with
             gamma_k = k*u/(1-k*u) for k terms in the sum: below 1 is right (the reference is
             computed in the next wider precision)
  ~          before a time: other programs disturbed every sample of it; there is no verdict if
             another library might win without the disturbance
  The next line has the verdict, and the instruction set and the kernel that spkernels chose.
"""


def matrix_lines(cell: Cell) -> str:
    """Return one or two lines that describe the matrix."""
    shape = f"{cell.shape[0]} x {cell.shape[1]}"
    facts = f"{shape:>20}{cell.nnz:>14,}{percent(cell.sparsity, 2):>10}"
    # A long path gets a line of its own, as its folders distinguish layers.
    name = shortened(cell.name, WIDTH)
    return f"{name:<56}{facts}" if len(name) < 56 else f"{name}\n{facts:>{WIDTH}}"


def cell_lines(cell: Cell) -> str:
    """Return the lines with the numbers, the verdict and the kernel."""
    numbers = f"{cell.columns:>8}"
    for peer in _PEERS:
        timing = cell.timings.get(peer)
        if timing is None:
            numbers += f"{'-':>13}{'-':>8}"
        else:
            time = ("~" if timing.noisy else "") + significant(timing.seconds * 1e3)
            numbers += f"{time:>13}{significant(cell.gflops(peer)):>8}"
    for peer in ("dense", "scipy"):
        numbers += f"{times(cell.speedup(peer)):>10}"
    # An error just within its bound must not be rounded to 1, which reads as wrong.
    error = 0.999 if 0.999 < cell.error < 1 else cell.error
    numbers += f"{significant(error):>9}"
    second = f"{verdict(cell)}; {cell.kernel}"
    wrap = textwrap.TextWrapper(WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return "\n".join([numbers, *wrap.wrap(second)])


def verdict(cell: Cell) -> str:
    """Return the words that name the winner."""
    if not cell.nnz:
        return "nothing to gain, it has no entries"
    if cell.noisy:
        return "too disturbed to tell"
    over_dense, over_scipy = cell.speedup("dense"), cell.speedup("scipy")
    if over_dense is None:
        said = f"dense left out ({cell.dense_bytes / 1e9:.2g} GB)"
    elif over_dense >= DRAW:
        said = "sparsity pays"
    else:
        said = "dense is faster" if over_dense <= 1 / DRAW else "a draw with dense"
    slower = over_scipy is not None and over_scipy <= 1 / DRAW
    return said + (", scipy is faster" if slower else "")


def significant(value: float) -> str:
    """Format a non-negative number with about three significant digits and no exponent."""
    for limit, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)):
        if value >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.4f}" if value else "0"


def percent(share: float, digits: int = 0) -> str:
    """Format a share in percent, with more digits near 1 so that it does not read as 100%."""
    if 0.99 <= share < 1:
        digits = min(5, max(digits, math.floor(-math.log10(1 - share)) - 1))
    return f"{share:.{digits}%}"


def times(ratio: float | None) -> str:
    """Format a speed-up; None becomes "-"."""
    if ratio is None:
        return "-"
    return f"{significant(ratio)}x"


def shortened(text: str, width: int) -> str:
    """Cut the start of a text, the least important part of a path, to fit `width`."""
    return text if len(text) <= width else "..." + text[-(width - 3) :]


def distinct(names: Sequence[str], width: int) -> list[str]:
    """Shorten names to about `width` characters, and keep the parts that distinguish them."""
    short = [shortened(name, width) for name in names]
    labels = []
    for name, label in zip(names, short, strict=True):
        alike = [other for other, its in zip(names, short, strict=True) if its == label]
        if len(alike) > 1:
            # These names share an end, and maybe a start.  The words between both are kept, and as
            # much of the end as fits.
            start = len(os.path.commonprefix(alike))
            end = len(name) - len(os.path.commonprefix([other[::-1] for other in alike]))
            start = max(name.rfind(mark, 0, start) for mark in _MARKS) + 1
            marks = (name.find(mark, max(start, end)) for mark in _MARKS)
            end = min((place for place in marks if place >= 0), default=end)
            label = ("..." if start else "") + name[start:end] + "..."
            label += name[max(start, end, len(name) - max(12, width - len(label))) :]
        labels.append(label)
    return labels if len(set(labels)) == len(set(names)) else list(names)


def wrapped(paragraphs: Iterable[str]) -> str:
    """Wrap paragraphs to the width of the table."""
    return "\n".join(
        textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False)
        for text in paragraphs
    )
