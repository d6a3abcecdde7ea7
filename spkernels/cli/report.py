"""The text of the demo before and after its table, and all results as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from .. import _core
from .._runtime.config import show_config
from .conclusion import Conclusion
from .measure import Cell
from .survey import Survey
from .table import verdict, wrapped

_CAVEAT = (
    "All libraries took turns in one process; see --help for what that means, and "
    "`spkernels bench` for one process each."
)


def heading(dtype: str, threads: int) -> str:
    """Return the lines above the table."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    name = f"{blas.get('name', 'unknown BLAS')} {blas.get('version', '')}".strip()
    plural = "" if threads == 1 else "s"
    said = (
        f"C = A @ B in {dtype}, A sparse, B dense with N columns; spkernels ({_core.isa()}) and "
        f"dense NumPy ({name}) on {threads} thread{plural}, scipy on 1.  What the columns "
        "mean: --help"
    )
    return wrapped([said]) + "\n"


def closing(found: Survey, conclusions: Sequence[Conclusion]) -> str:
    """Return the lines below the table."""
    paragraphs = [text for conclusion in conclusions for text in conclusion.text]
    worst = max((cell.error for cell in found.cells), default=0.0)
    if not worst < 1:
        paragraphs.append(f"WARNING: a result is off by {worst:.3g} times its error bound.")
    noisy = sum(cell.noisy for cell in found.cells)
    if noisy:
        paragraphs.append(
            f"Left out of this: {noisy} of {len(found.cells)} products, which other programs "
            "disturbed too much to tell (marked ~). Run again on a quiet machine."
        )
    return "\nDoes sparsity pay here?\n" + wrapped([*paragraphs, _CAVEAT])


def as_json(
    settings: dict[str, Any],
    found: Survey,
    conclusions: Sequence[Conclusion],
    plot: str | None,
    ignored: int,
) -> dict[str, Any]:
    """Return all results as plain values; an error that is not finite becomes None."""
    return {
        "config": show_config(mode="dicts"),
        "settings": settings,
        "results": [_cell_as_json(cell) for cell in found.cells],
        "conclusions": [asdict(conclusion) for conclusion in conclusions],
        "skipped": found.skipped,
        "ignored": ignored,
        "interrupted": found.interrupted,
        "plot": plot,
    }


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    return {
        "name": cell.name,
        "shape": list(cell.shape),
        "nnz": cell.nnz,
        "sparsity": cell.sparsity,
        "format": cell.format,
        "dtype": cell.dtype,
        "columns": cell.columns,
        "isa": _core.isa(),
        "kernel": cell.kernel,
        "error": cell.error if math.isfinite(cell.error) else None,
        "peers": {
            peer: asdict(timing) | {"gflops": cell.gflops(peer)}
            for peer, timing in cell.timings.items()
        },
        "speedup": {peer: cell.speedup(peer) for peer in ("dense", "scipy")},
        "verdict": verdict(cell),
    }
