"""From samples to the JSON document, which holds everything that a table is made of."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .session import Cell, Samples, Session
from .stats import describe

#: What a sample says about the machine; see `harness.guard`.
NOISE = ("guard", "waited")


def rounded(value: float) -> float:
    """A measured value to the five digits that it may have."""
    return float(f"{value:.5g}")


def record(cell: Cell, session: Session) -> dict[str, Any]:
    """One cell as JSON: its labels, the raw samples of every peer and what they come to."""
    return {
        "labels": cell.labels,
        "flops": cell.flops,
        "peers": {
            name: _peer_record(samples, session.typical_guard(name))
            for name, samples in cell.samples.items()
        },
    }


def _peer_record(samples: Samples, typical_guard: float) -> dict[str, Any]:
    if samples.failure is not None:
        return {"failure": samples.failure}
    # An interrupted cell may have no sample of a peer yet.
    summary = describe(samples.taken, typical_guard) if samples.taken else {}
    columns = {key: [rounded(s[key]) for s in samples.taken] for key in ("seconds", *NOISE)}
    return {"samples": columns} | summary


def suite_document(cells: Sequence[Cell], session: Session) -> dict[str, Any]:
    """Everything measured for one suite so far."""
    return {
        "versions": session.versions,
        "left out": session.left_out,
        "typical guard": {name: session.typical_guard(name) for name in session.workers},
        "cells": [record(cell, session) for cell in cells if cell.samples],
    }


def write(document: dict[str, Any], path: Path) -> None:
    """Replace a JSON file at once, so that an interruption leaves the old or the new one."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(document) + "\n")
    os.replace(partial, path)
