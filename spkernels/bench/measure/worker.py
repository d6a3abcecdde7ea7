"""The program of a peer's process: reads JSON requests, one per line, and writes JSON replies.

Requests
    ``{"do": "load", "problem": PATH, "answer": PATH, "seconds": S}``
        Bind the problem twice.  The time of the second binding is that of preparing a matrix; the
        first one takes longer if the library remembers results for matrices of a kind.  Write the
        answer of one call to `answer`.  Choose the number of calls that fill a sample of S seconds.
    ``{"do": "sample", "flush": BOOL, "load": LOAD}``
        Time one sample.  The reply has the seconds per call and the two figures of `guard`.  With
        `flush`, other data fill the caches before every call.  Under a load, calls are timed one by
        one, and the reply has the 95th percentile of their times as ``"slowest"``.

A reply has ``"error"`` if the request failed, and ``"unsupported"`` if the peer has no operation
for the problem.
"""

import gc
import importlib
import importlib.util
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

from ..._runtime.affinity import confine, helpers_but, move_caller, restrict, spread_helpers
from ..._runtime.settling import settle, waited
from ..problem import Problem
from .guard import Guard
from .load import disturbance

#: The length of the calls before the clock starts, which wake the threads and fill the caches.
WARM_UP_SECONDS = 0.001


#: The number of calls of a sample with flushed caches.
FLUSHED_CALLS = 5
#: The length of a sample under a load: many time slices of the other programs.
LOADED_SECONDS = 0.4
#: The bytes that are written to flush the caches: more than the last level holds per core.
FLUSH_BYTES = 128 << 20


def load_peer(name: str) -> ModuleType:
    """Return an adapter: a module of the package `peers`, or a file that ends in ``.py``."""
    if not name.endswith(".py"):
        return importlib.import_module(f"..peers.{name}", __package__)
    spec = importlib.util.spec_from_file_location("peer", name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _unbound() -> None:
    raise RuntimeError("nothing was loaded")


class Bench:
    """The peer of this process, and the problem that it is bound to."""

    def __init__(self, name: str, cpus: list[int]) -> None:
        self.peer = load_peer(name)
        self.call: Callable[[], Any] = _unbound
        self.repeats = 1
        self.cpus = cpus
        self.guard = Guard(cpus)
        self._flushing: np.ndarray | None = None

    def hello(self) -> dict[str, Any]:
        return {"versions": {"python": platform.python_version()} | self.peer.versions()}

    def load(self, problem: str, answer: str, seconds: float) -> dict[str, Any]:
        self.call = _unbound  # frees the last problem before the next one comes
        inputs = Problem.load(Path(problem))
        start = time.perf_counter()
        self.peer.bind(inputs)
        middle = time.perf_counter()
        call = self.peer.bind(inputs)
        prepare = time.perf_counter() - middle
        np.save(answer, self.peer.to_numpy(call(), inputs), allow_pickle=False)
        if not getattr(self.peer, "OWN_THREADS", False):
            spread_helpers(self.cpus, self.guard.threads)
        move_caller(self.cpus)
        per_call = _seconds_per_call(call, 2)
        if per_call < seconds / 10:
            per_call = _seconds_per_call(call, max(2, int(seconds / 10 / per_call)))
        self.call, self.repeats = call, max(1, round(seconds / per_call))
        settle()
        return {"repeats": self.repeats, "prepare": prepare, "first": middle - start}

    def sample(self, flush: bool = False, load: str = "none") -> dict[str, Any]:
        if load != "none":
            return self._loaded(load)
        call = self.call
        before = self.guard()
        move_caller(self.cpus)
        warm_until = time.perf_counter() + WARM_UP_SECONDS
        call()
        while time.perf_counter() < warm_until:
            call()
        collecting = gc.isenabled()
        gc.disable()
        waited_before, start = waited(), time.perf_counter()
        try:
            seconds = self._flushed() if flush else _seconds_per_call(call, self.repeats)
        finally:
            if collecting:
                gc.enable()
        share = (waited() - waited_before) / (time.perf_counter() - start)
        settle()
        return {"seconds": seconds, "guard": max(before, self.guard()), "waited": share}

    def _loaded(self, load: str) -> dict[str, Any]:
        """Return the mean and the 95th percentile of single calls; threads may use all CPUs."""
        disturb = disturbance(load)
        for helper in helpers_but({os.getpid(), *self.guard.threads}):
            confine(helper, self.cpus)
        taken: list[float] = []
        end = time.perf_counter() + LOADED_SECONDS
        self.call()
        while not taken or time.perf_counter() < end:
            disturb()
            start = time.perf_counter()
            self.call()
            taken.append(time.perf_counter() - start)
        slowest = float(np.quantile(taken, 0.95))
        return {"seconds": float(np.mean(taken)), "slowest": slowest, "guard": 0.0, "waited": 0.0}

    def _flushed(self) -> float:
        """Return the median of single calls, each after other data filled the caches."""
        if self._flushing is None:
            self._flushing = np.zeros(FLUSH_BYTES, np.uint8)
        taken = []
        for _ in range(FLUSHED_CALLS):
            self._flushing += 1
            start = time.perf_counter()
            self.call()
            taken.append(time.perf_counter() - start)
        return float(np.median(taken))

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request; an exception becomes a part of the reply."""
        arguments = dict(request)
        actions: dict[str, Callable[..., dict[str, Any]]] = {
            "load": self.load, "sample": self.sample,
        }  # fmt: skip
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


def serve(name: str, cpus: list[int], requests: TextIO, replies: TextIO) -> None:
    """Answer requests until they end."""

    def reply(content: dict[str, Any]) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    try:
        bench = Bench(name, cpus)
        greeting = bench.hello()
    except ModuleNotFoundError as reason:
        reply({"left out": f"{reason.name} is not installed"})
        return
    except ImportError as reason:
        reply({"left out": str(reason)})
        return
    except Exception as reason:
        reply({"left out": f"{type(reason).__name__}: {reason}"})
        return
    reply(greeting)
    for line in requests:
        reply(bench.answer(json.loads(line)))


def main() -> None:
    """Serve the peer that the second argument names, on the CPUs that the first one lists."""
    # The driver handles Ctrl-C, and ends this process afterwards.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listed, name = sys.argv[1:]
    cpus = [int(cpu) for cpu in listed.split(",")]
    restrict(cpus)
    # Libraries may print to stdout, which must not mix with the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(name, cpus, sys.stdin, replies)
