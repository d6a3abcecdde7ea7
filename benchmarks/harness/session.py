"""Drives the peers' processes in turn, so that only one of them computes at any time."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import check, machine, stats
from .problems import Problem
from .process import PeerLost, Settings, Worker


@dataclass
class Samples:
    """What one peer did on one cell."""

    taken: list[stats.Sample] = field(default_factory=list)
    failure: str | None = None


@dataclass
class Cell:
    """A problem still to be made, and how tables describe it."""

    labels: dict[str, Any]
    make: Callable[[], Problem]
    flops: int = 0
    samples: dict[str, Samples] = field(default_factory=dict)


class Session:
    """Measures cells with the peers of some workers."""

    def __init__(self, workers: Sequence[Worker], settings: Settings) -> None:
        self.settings = settings
        self.workers: dict[str, Worker] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.left_out: dict[str, str] = {}
        self._all = list(workers)
        self._patience = settings.patience
        for worker in workers:
            try:
                greeting = worker.start()
            except (PeerLost, OSError) as reason:
                self.left_out |= dict.fromkeys(worker.modules, str(reason))
                continue
            self.versions |= greeting["versions"]
            self.workers |= dict.fromkeys(greeting["versions"], worker)
            self.left_out |= greeting["left_out"]
        self._guards: dict[str, list[float]] = {name: [] for name in self.workers}

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process."""
        for worker in self._all:
            worker.close()

    def typical_guard(self, peer: str) -> float:
        """The median guard of a peer over everything measured so far."""
        guards = self._guards[peer]
        return float(np.median(guards)) if guards else float("nan")

    def measure(self, cell: Cell) -> None:
        """Fill in a cell's samples: check every peer's answer, then time the right ones in turn."""
        problem = cell.make()
        cell.flops = problem.flops
        with tempfile.TemporaryDirectory() as folder:
            ready = self._load(cell, problem, Path(folder))
            rounds = self.settings.rounds
            for done in range(2 * rounds):
                if done >= rounds and not self._noisy(cell, ready):
                    break
                self._wait_for_others()
                for peer in list(ready):
                    if not self._sample(cell, peer):
                        ready.remove(peer)

    def _wait_for_others(self) -> None:
        """Give other programs time to finish, while there is patience left."""
        start = time.monotonic()
        while machine.others_running() and self._patience > time.monotonic() - start:
            time.sleep(0.01)
        self._patience -= time.monotonic() - start

    def _load(self, cell: Cell, problem: Problem, folder: Path) -> list[str]:
        """The peers that took the problem and got it right."""
        exact, bound = check.reference(problem)
        inputs, answer = folder / "problem.npz", folder / "answer.npy"
        problem.save(inputs)
        ready = []
        for peer in self.workers:
            reply = self._ask(
                cell, peer, do="load", problem=str(inputs), answer=str(answer),
                seconds=self.settings.seconds,
            )  # fmt: skip
            if reply is None:
                continue
            wrong = check.fault(np.load(answer), exact, bound, problem.data.dtype)
            answer.unlink()
            if wrong:
                cell.samples[peer] = Samples(failure=f"wrong: {wrong}")
            else:
                cell.samples[peer] = Samples()
                ready.append(peer)
        return ready

    def _sample(self, cell: Cell, peer: str) -> bool:
        reply = self._ask(cell, peer, do="sample")
        if reply is None:
            return False
        cell.samples[peer].taken.append(reply)
        self._guards[peer].append(reply["guard"])
        return True

    def _ask(self, cell: Cell, peer: str, **request: Any) -> dict[str, Any] | None:
        """A peer's reply, or None after noting in the cell why there is none."""
        try:
            reply = self.workers[peer].ask(peer=peer, **request)
        except PeerLost as reason:
            reply = {"error": f"lost: {reason}"}
        if "error" in reply:
            cell.samples[peer] = Samples(failure=reply["error"])
            return None
        return None if "unsupported" in reply else reply

    def _noisy(self, cell: Cell, peers: Sequence[str]) -> bool:
        """Whether fewer than half of the wanted samples of some peer were taken in quiet."""
        for peer in peers:
            typical = self.typical_guard(peer)
            found = sum(stats.is_quiet(sample, typical) for sample in cell.samples[peer].taken)
            if found <= self.settings.rounds // 2:
                return True
        return False
