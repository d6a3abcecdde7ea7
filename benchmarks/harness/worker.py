"""What runs in a peer's process: one JSON request per line in, one JSON reply per line out.

Requests
    ``{"do": "load", "peer": NAME, "problem": PATH, "answer": PATH, "seconds": S}``
        Bind the problem, write the answer of one call to `answer`, choose the number of calls that
        fill a sample of S seconds.
    ``{"do": "sample", "peer": NAME}``
        Time one sample; reply with the seconds per call and the two figures of `harness.guard`.

A reply holds ``"error"`` when the request failed; a problem that a peer has no operation for is
``"unsupported"`` instead.
"""

import gc
import importlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import numpy as np

from .guard import Guard, waited
from .placement import move_caller, restrict, spread_helpers
from .problems import Problem

#: Calls before the clock starts, for this long: they wake the threads and fill the caches again.
WARM_UP_SECONDS = 0.001
#: Threads that burn less than this share of a CPU are no longer spinning.
QUIET_SHARE = 0.2
SETTLE_SECONDS = 0.5


class Bench:
    """The peers of this process and what they are bound to."""

    def __init__(self, modules: list[str], cpus: list[int]) -> None:
        self.peers: dict[str, ModuleType] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.left_out: dict[str, str] = {}
        for name in modules:
            try:
                module = importlib.import_module(name)
                versions = module.versions()
            except Exception as reason:
                self.left_out[name] = f"{type(reason).__name__}: {reason}"
            else:
                self.peers[module.NAME] = module
                self.versions[module.NAME] = {"python": platform.python_version()} | versions
        self.calls: dict[str, tuple[Callable[[], Any], int]] = {}
        self.problem: tuple[str, Problem] | None = None
        self.cpus = cpus
        self.guard = Guard(cpus)

    def hello(self) -> dict[str, Any]:
        return {"versions": self.versions, "left_out": self.left_out}

    def load(self, peer: str, problem: str, answer: str, seconds: float) -> dict[str, Any]:
        if self.problem is None or self.problem[0] != problem:
            self.calls.clear()
            self.problem = (problem, Problem.load(Path(problem)))
        inputs = self.problem[1]
        call = self.peers[peer].bind(inputs)
        np.save(answer, self.peers[peer].to_numpy(call(), inputs), allow_pickle=False)
        spread_helpers(self.cpus, self.guard.threads)
        move_caller(self.cpus)
        per_call = _seconds_per_call(call, 2)
        if per_call < seconds / 10:
            per_call = _seconds_per_call(call, max(2, int(seconds / 10 / per_call)))
        repeats = max(1, round(seconds / per_call))
        self.calls[peer] = (call, repeats)
        settle()
        return {"repeats": repeats}

    def sample(self, peer: str) -> dict[str, Any]:
        call, repeats = self.calls[peer]
        before = self.guard()
        move_caller(self.cpus)
        warm_until = time.perf_counter() + WARM_UP_SECONDS
        call()
        while time.perf_counter() < warm_until:
            call()
        collecting = gc.isenabled()
        gc.disable()
        waited_before = waited()
        try:
            seconds = _seconds_per_call(call, repeats)
        finally:
            if collecting:
                gc.enable()
        share = (waited() - waited_before) / (seconds * repeats)
        settle()
        return {"seconds": seconds, "guard": max(before, self.guard()), "waited": share}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request; what it raises becomes part of the reply."""
        arguments = dict(request)
        actions = {"load": self.load, "sample": self.sample}
        try:
            return actions[arguments.pop("do")](**arguments)
        except NotImplementedError as reason:
            return {"unsupported": str(reason)}
        except Exception as reason:
            return {"error": f"{type(reason).__name__}: {reason}"}


def _seconds_per_call(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def settle() -> None:
    """Wait until this process's threads stop spinning, so that the next peer finds idle CPUs."""
    pause = 0.002
    deadline = time.perf_counter() + SETTLE_SECONDS
    while time.perf_counter() < deadline:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(pause)
        if time.process_time() - cpu < QUIET_SHARE * (time.perf_counter() - wall):
            return


def serve(modules: list[str], cpus: list[int], requests: TextIO, replies: TextIO) -> None:
    """Answer requests until they end."""

    def reply(content: dict[str, Any]) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    bench = Bench(modules, cpus)
    reply(bench.hello())
    for line in requests:
        reply(bench.answer(json.loads(line)))


def main() -> None:
    """Serve the peer modules named on the command line, on the CPUs named first."""
    # Ctrl-C is the driver's to handle; it ends this process when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listed, *modules = sys.argv[1:]
    cpus = [int(cpu) for cpu in listed.split(",")]
    restrict(cpus)
    # What libraries print must not end up between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(modules, cpus, sys.stdin, replies)
