"""A run, which measures cells and writes lines of results."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import roofline
from .cells import Cell, describe
from .measure import machine
from .measure.process import Settings, Worker
from .measure.session import Session
from .ops import OPS
from .peers import MODULES
from .results import Results, result


@dataclass
class Plan:
    """The cells, the peers and the settings of a run."""

    cells: Sequence[Cell]
    peers: Sequence[str]
    settings: Settings
    #: The path of the Python that runs a peer, for peers that this Python does not run.
    pythons: Mapping[str, str] = field(default_factory=dict)
    #: The largest matrix that a dense peer is asked to multiply, in elements.
    most_dense: int = 1 << 26
    #: The arguments of the command, which results record.
    asked: Mapping[str, Any] = field(default_factory=dict)


def run(plan: Plan, results: Results, advance: Callable[[Cell, bool], None]) -> dict[str, str]:
    """Measure the cells that `results` lacks; return names and reasons of all that was left out.

    Peers that are not installed, suites that need what is not installed, and matrices that cannot
    be read are left out.  After every cell
    ``advance(cell, skipped)`` is called; `skipped` is true if nothing was measured.
    """
    left_out: dict[str, str] = {}
    done = results.done()
    with contextlib.ExitStack() as stack:
        sessions: dict[int, Session] = {}
        number = None
        loaded: tuple[str, Any] = ("", None)
        unreadable: dict[str, str] = {}
        for cell in plan.cells:
            wanted = [peer for peer in OPS[cell.op].PEERS if peer in plan.peers]
            lacking = set(wanted) - set(left_out) - done.get(cell.key, set())
            if lacking and cell.threads not in sessions:
                # The start of a session shows which peers are installed.
                sessions[cell.threads] = stack.enter_context(_session(plan, cell.threads))
                left_out |= sessions[cell.threads].left_out
                lacking -= set(left_out)
            if not lacking or cell.suite in left_out or cell.matrix.name in unreadable:
                advance(cell, True)
                continue
            if loaded[0] != cell.matrix.name:
                try:
                    loaded = (cell.matrix.name, cell.matrix.load())
                except ModuleNotFoundError as reason:
                    left_out[cell.suite] = f"{reason.name} is not installed"
                    advance(cell, True)
                    continue
                except (ValueError, OSError) as reason:
                    unreadable[cell.matrix.name] = str(reason)
                    advance(cell, True)
                    continue
            session = sessions[cell.threads]
            if number is None:
                number = results.begin(_description(plan, session))
            if cell.threads not in {c["threads"] for c in results.rooflines}:
                results.append([roofline.line(cell.threads, number)])
            results.append(_measure(plan, cell, loaded[1], session, wanted, number))
            advance(cell, False)
    return left_out | unreadable


def _session(plan: Plan, threads: int) -> Session:
    settings = replace(plan.settings, threads=threads)
    workers = {
        peer: Worker(MODULES[peer], settings, plan.pythons.get(peer, sys.executable))
        for peer in plan.peers
    }
    return Session(workers, settings)


def _measure(
    plan: Plan, cell: Cell, A: Any, session: Session, wanted: Sequence[str], number: int
) -> list[dict[str, Any]]:
    problem = cell.problem(A)
    labels = describe(cell, A, problem)
    rows, cols = A.shape
    too_large = rows * cols > plan.most_dense
    peers = [p for p in wanted if not (too_large and p in OPS[cell.op].DENSE)]
    found = session.measure(problem, peers, flush=cell.cache == "flushed", load=cell.load)
    lines = [
        result(labels, peer, number, samples, session.typical_guard(peer))
        for peer, samples in found.items()
    ]
    # Skipped peers are recorded, too; otherwise a run that goes on would measure the cell again.
    missing = set(wanted) & set(session.workers) - set(found)
    for peer in sorted(missing):
        why = "the dense matrix is too large" if peer not in peers else "no such operation"
        lines.append({"line": "result", "run": number, **labels, "peer": peer, "skipped": why})
    return lines


def _description(plan: Plan, session: Session) -> dict[str, Any]:
    return {
        "machine": machine.fingerprint(),
        "asked": dict(plan.asked),
        "settings": {
            "rounds": plan.settings.rounds,
            "most rounds": plan.settings.most_rounds,
            "precision": plan.settings.precision,
            "seconds": plan.settings.seconds,
        },
        "versions": session.versions,
        "left out": session.left_out,
    }
