"""A session, which drives the peers' processes in turn: only one computes at any time."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..problem import Problem
from . import check, machine, stats
from .load import busy_processes
from .process import PeerLost, Settings, Worker


@dataclass
class Samples:
    """The samples of one peer for one cell, or its failure; times are in seconds."""

    prepare: float = 0.0
    first: float = 0.0
    taken: list[stats.Sample] = field(default_factory=list)
    failure: str | None = None


class Session:
    """Measures problems with workers, which are given by the names of their peers."""

    def __init__(self, workers: Mapping[str, Worker], settings: Settings) -> None:
        self.settings = settings
        self.workers: dict[str, Worker] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.left_out: dict[str, str] = {}
        self._all = list(workers.values())
        self._patience = settings.patience
        for name, worker in workers.items():
            try:
                greeting = worker.start()
            except (PeerLost, OSError) as reason:
                greeting = {"left out": str(reason)}
            if "left out" in greeting:
                self.left_out[name] = greeting["left out"]
            else:
                self.versions[name] = greeting["versions"]
                self.workers[name] = worker
        self._guards: dict[str, list[float]] = {name: [] for name in self.workers}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process."""
        for worker in self._all:
            worker.close()

    def typical_guard(self, peer: str) -> float:
        """Return the median of a peer's guard times over all samples so far, in seconds."""
        guards = self._guards[peer]
        return float(np.median(guards)) if guards else float("nan")

    def measure(
        self,
        problem: Problem,
        peers: Sequence[str],
        *,
        flush: bool = False,
        load: str = "none",
    ) -> dict[str, Samples]:
        """Check the answer of every peer, then time the peers with right answers under a load."""
        found: dict[str, Samples] = {}
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            ready = self._load(found, problem, peers, Path(folder))
            stack.enter_context(busy_processes(load))
            for done in range(self.settings.most_rounds):
                if done >= self.settings.rounds and not self._unsure(found, ready, load):
                    break
                if load == "none":
                    self._wait_for_others()
                for peer in list(ready):
                    reply = self._ask(found, peer, do="sample", flush=flush, load=load)
                    if reply is None:
                        ready.remove(peer)
                        continue
                    found[peer].taken.append(reply)
                    self._guards[peer].append(reply["guard"])
        return found

    def _wait_for_others(self) -> None:
        """Wait for other programs to finish, until the session's patience is used up."""
        start = time.monotonic()
        while machine.others_running() and self._patience > time.monotonic() - start:
            time.sleep(0.01)
        self._patience -= time.monotonic() - start

    def _load(
        self, found: dict[str, Samples], problem: Problem, peers: Sequence[str], folder: Path
    ) -> list[str]:
        """Return the peers that support the problem and give a right answer."""
        exact, bound = check.reference(problem)
        inputs, answer = folder / "problem.npz", folder / "answer.npy"
        problem.save(inputs)
        ready = []
        for peer in peers:
            if peer not in self.workers:
                continue
            reply = self._ask(
                found,
                peer,
                do="load",
                problem=str(inputs),
                answer=str(answer),
                seconds=self.settings.seconds,
            )
            if reply is None:
                continue
            wrong = check.fault(np.load(answer), exact, bound, problem.dtype)
            answer.unlink()
            if wrong:
                found[peer] = Samples(failure=f"wrong: {wrong}")
            else:
                found[peer] = Samples(prepare=reply["prepare"], first=reply["first"])
                ready.append(peer)
        return ready

    def _ask(self, found: dict[str, Samples], peer: str, **request: Any) -> dict[str, Any] | None:
        """Return a peer's reply, or None for a failure, which is noted in `found`."""
        try:
            reply = self.workers[peer].ask(**request)
        except PeerLost as reason:
            reply = {"error": f"lost: {reason}"}
        if "error" in reply:
            found[peer] = Samples(failure=reply["error"])
            return None
        return None if "unsupported" in reply else reply

    def _unsure(self, found: dict[str, Samples], peers: Sequence[str], load: str) -> bool:
        """Return whether a peer has too few quiet samples or too wide an interval of its median."""
        for peer in peers:
            guard = self.typical_guard(peer)
            summary = stats.describe(found[peer].taken, guard, loaded=load != "none")
            if summary["kept"] <= self.settings.rounds // 2:
                return True
            if stats.spread(summary) > self.settings.precision:
                return True
        return False
