"""The project's own tests of the library, on this GPU."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from library import ROOT, build_package

#: Tests of what runs on the host alone.
ELSEWHERE = ("test_packed.py", "test_validate.py")


def run(options, device, deadline, writer):
    """Run pytest, with the package built first where it is not installed; its output is kept."""
    log = Path(options.output) / "pytest.txt"
    environment = {
        **os.environ,
        "SPKERNELS_CUDA_LIBRARY": str(options.library),
        "HYPOTHESIS_PROFILE": "again",
    }
    with tempfile.TemporaryDirectory() as folder, log.open("w") as file:
        try:
            if not importable(environment, folder):
                site = build_package(Path(folder), deadline.left(), file)
                environment["PYTHONPATH"] = str(site)
            status = tested(environment, folder, deadline.left(), file)
        except subprocess.TimeoutExpired:
            # What failed by then did fail.
            marks = re.findall(r"^([.sxFE]+)\s*(?:\[ *\d+%\])?$", log.read_text(), re.M)
            status = "wrong" if re.search("[FE]", "".join(marks)) else "not reached"
        except (OSError, subprocess.SubprocessError) as reason:
            writer.write(status="skipped", why=f"the package cannot be built: {reason}"[:300])
            return
    lines = log.read_text(errors="replace").strip().splitlines() or [""]
    writer.write(status=status, why=lines[-1][:300])


def importable(environment, elsewhere):
    """Whether Python has the package, outside of the source tree."""
    trial = [sys.executable, "-c", "import spkernels.cuda"]
    done = subprocess.run(trial, env=environment, cwd=elsewhere, capture_output=True, check=False)
    return done.returncode == 0


def tested(environment, elsewhere, seconds, log):
    """Run pytest and return the status."""
    tests = ROOT / "tests" / "cuda"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), str(tests)]
    command += [f"--ignore={tests / name}" for name in ELSEWHERE]
    done = subprocess.run(
        command,
        env=environment,
        cwd=elsewhere,
        stdout=log,
        stderr=log,
        check=False,
        timeout=seconds,
    )
    return {0: "ok", 1: "wrong"}.get(done.returncode, "failed")
