"""compute-sanitizer on a small program: memory, races in shared memory, barriers."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

TOOLS = ("memcheck", "racecheck", "synccheck")
PROGRAM = Path(__file__).with_name("sanitized.py")


def run(options, device, deadline, writer):
    """Run each tool, and write what it found."""
    sanitizer = shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path="/usr/local/cuda/bin"
    )
    if sanitizer is None:
        writer.write(status="skipped", why="there is no compute-sanitizer")
        return
    for position, tool in enumerate(TOOLS):
        command = [sanitizer, "--tool", tool, "--error-exitcode", "86"]
        command += [sys.executable, str(PROGRAM), str(options.library)]
        limit = deadline.left() / (len(TOOLS) - position)
        writer.write(tool=tool, **one(command, limit, Path(options.output) / "sanitizer.txt"))


def one(command, seconds, log):
    """Return the status of a run."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        # The tool's own child, too, which would keep the GPU.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"status": "not reached", "why": f"not done in {seconds:.0f} s"}
    with log.open("a") as file:
        file.write(f"{' '.join(command)}\n{output[: 1 << 20]}\n")
    return judged(process.returncode, output)


def judged(code, output):
    """Return the status by what a tool printed: clean only if it said so and the program ended."""
    summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: .*", output)
    ran = re.findall(r"^\{.*\}$", output, re.M)
    why = " ".join([*summary[-1:], *ran[-1:]])
    clean = summary and re.search(r"SUMMARY: 0 ", summary[-1])
    if code == 0 and clean and ran:
        return {"status": "ok", "why": why}
    return {"status": "wrong" if summary and not clean else "failed", "why": why or output[-300:]}
