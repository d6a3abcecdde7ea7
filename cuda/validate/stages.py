"""The stages, how long each may take, and the child process that each runs in."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

#: Seconds that all of it may take: who lends a GPU may end a command after ten minutes.
TOTAL = 570.0
#: A stage that would have less is not begun.
MIN = 8.0
#: How long after its end a child process may still write what it has begun.
GRACE = 6.0


@dataclass
class Stage:
    """What runs in a child process, where its records go, and its share of `TOTAL`."""

    name: str
    module: str
    function: str
    file: str
    seconds: float
    emulated: bool = True  # whether it makes sense there


STAGES = (
    Stage("facts", "stage_facts", "run", "stages.jsonl", 25, False),
    Stage("correctness", "stage_correctness", "run", "correctness.jsonl", 105),
    Stage("spmm", "stage_timings", "spmm", "timings.jsonl", 110),
    Stage("sddmm", "stage_timings", "sddmm", "timings.jsonl", 45),
    Stage("shared", "stage_timings", "shared", "timings.jsonl", 40),
    Stage("attention", "stage_timings", "attention", "timings.jsonl", 35),
    Stage("graphs", "stage_timings", "graphs", "timings.jsonl", 15),
    Stage("sanitizer", "stage_sanitizer", "run", "stages.jsonl", 60, False),
    Stage("tests", "stage_tests", "run", "stages.jsonl", 120, False),
)
#: Processes that a stage may take, each going on where the last one crashed.
MAX_TRIES = 8
#: Of a quick run, the share of the time.
QUICK = 0.25


class Deadline:
    """A moment, and how far it is."""

    def __init__(self, seconds):
        self._end = time.monotonic() + seconds

    def left(self):
        """Seconds until then; never negative."""
        return max(self._end - time.monotonic(), 0.0)

    def passed(self):
        """Whether it is later."""
        return self.left() == 0.0


def run(options, stages, total, log, writer):
    """Run stages one after the other; write how each ended."""
    for stage in stages:
        if options.emulated and not stage.emulated:
            writer.write(done=stage.name, status="skipped", why="there is no GPU", seconds=0)
            continue
        wanted = stage.seconds * (QUICK if options.quick else options.seconds / TOTAL)
        budget = min(wanted, total.left() - GRACE)
        if budget < min(MIN, wanted):
            why = f"{total.left():.0f} s are left"
            writer.write(done=stage.name, status="skipped", why=why, seconds=0)
            continue
        start = time.monotonic()
        for _ in range(MAX_TRIES):
            left = budget - (time.monotonic() - start)
            status, why = _child(options, stage, max(left, 0), log)
            # What it has done is on disk: another process goes on behind what it crashed at.
            if status != "crashed" or left < MIN:
                break
        seconds = time.monotonic() - start
        writer.write(done=stage.name, status=status, why=why, seconds=seconds, budget=budget)


def _child(options, stage, budget, log):
    command = [sys.executable, str(Path(__file__).parent), "--stage", stage.name]
    command += ["--budget", str(budget), *options.passed_on()]
    log.write(f"== {stage.name}\n")
    log.flush()
    child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        code = child.wait(timeout=budget + GRACE)
    except subprocess.TimeoutExpired:
        # With what it has started: all of them are in its session.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return "out of time", f"ended after {budget + GRACE:.0f} s"
    return ("ok", "") if code == 0 else ("crashed", f"exit status {code}: see log.txt")
