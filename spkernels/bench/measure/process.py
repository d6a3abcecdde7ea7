"""The driver's side of a peer's process: starts it, sends requests, and notices its loss."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import machine

WORKER = Path(__file__).parents[1] / "worker_main.py"


#: The longest time that a peer may take to start; some libraries are large.
START_SECONDS = 60.0


class PeerLost(Exception):
    """A peer's process died, hung, or never started."""


@dataclass(frozen=True)
class Settings:
    """The settings of a session."""

    threads: int = 1
    #: The smallest and the largest number of samples per cell and peer.
    rounds: int = 7
    most_rounds: int = 15
    #: A cell ends when the half width of the median's 95% interval, relative to the median, is
    #: at most this.
    precision: float = 0.05
    #: The length of a sample, in seconds.
    seconds: float = 0.008
    #: Seconds after which a peer that does not answer counts as hung.
    timeout: float = 60.0
    #: The number of seconds of a session that may pass in waiting for other programs.
    patience: float = 60.0
    #: A process that was lost this many times in a row is not started again.
    losses: int = 3


class Worker:
    """The process of a peer; its adapter is a module of `peers` or a file."""

    def __init__(self, module: str, settings: Settings, python: str = sys.executable) -> None:
        self.module = module
        self.python = python
        self.settings = settings
        self.lost_in_a_row = 0
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[str] = queue.Queue()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by close()

    def start(self) -> dict[str, Any]:
        """Start the process and return its greeting."""
        cpus = ",".join(map(str, machine.choose_cpus(self.settings.threads)))
        self._errors.seek(0)
        self._errors.truncate()
        process = subprocess.Popen(
            [self.python, str(WORKER), cpus, self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | machine.thread_settings(self.settings.threads),
        )
        replies: queue.Queue[str] = queue.Queue()
        # A thread reads the pipe, as not every system can read a pipe with a time limit.
        threading.Thread(target=_forward, args=(process.stdout, replies), daemon=True).start()
        self._process, self._replies = process, replies
        return self._reply(max(self.settings.timeout, START_SECONDS))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return its reply; a lost process is started first."""
        if self._process is None:
            if self.lost_in_a_row >= self.settings.losses:
                raise PeerLost(f"given up after {self.lost_in_a_row} losses in a row")
            self.start()
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # the process has ended: reading its reply reports that, with its stderr
        reply = self._reply(self.settings.timeout)
        self.lost_in_a_row = 0
        return reply

    def _reply(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._replies.get(timeout=timeout)
        except queue.Empty:
            raise self._loss(f"no answer in {timeout:g} s") from None
        if not line:
            raise self._loss("process ended")
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise self._loss(f"not JSON: {line[:80]!r}") from None

    def _loss(self, reason: str) -> PeerLost:
        self.kill()
        self.lost_in_a_row += 1
        self._errors.seek(0)
        last = self._errors.read().strip().rpartition("\n")[2]
        return PeerLost(f"{reason} ({last})" if last else reason)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None  # a pipe
                try:
                    stream.close()
                except OSError:
                    pass  # a request was not sent, as its reader has ended
            self._process = None

    def close(self) -> None:
        """End the process and discard its stderr."""
        self.kill()
        self._errors.close()


def _forward(stream: Iterable[str], replies: queue.Queue[str]) -> None:
    try:
        for line in stream:
            replies.put(line)
    except ValueError:
        pass  # closed by kill()
    replies.put("")
