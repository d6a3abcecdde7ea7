"""Everything about the library that only a GPU can tell, in ten minutes: see README.md."""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import library
import records
import stages
import summary

FILES = ("index.md", "stages.jsonl", "correctness.jsonl", "timings.jsonl")
FILES += ("log.txt", "pytest.txt", "sanitizer.txt")


class Options(argparse.Namespace):
    """The command line."""

    def passed_on(self):
        """As words for a child process."""
        words = ["--output", str(self.output), "--library", str(self.library)]
        if self.data:
            words += ["--data", str(self.data)]
        return words + [f"--{name}" for name in ("quick", "emulated") if getattr(self, name)]


def parse(arguments):
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(prog="python cuda/validate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the time")
    parser.add_argument("--output", type=Path, default=Path("cuda-validated"), help="a folder")
    parser.add_argument("--library", type=Path, help="libspkernels_cuda.so; else it is built")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SPKERNELS_DATA"), help="real matrices"
    )
    parser.add_argument("--emulated", action="store_true", help="the library emulates a GPU")
    parser.add_argument("--stages", help="only these, with commas between them")
    parser.add_argument("--seconds", type=float, default=stages.TOTAL, help="for all of it")
    # Of child processes.
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--budget", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments, Options())
    if options.emulated and not options.library:
        parser.error("--emulated needs --library")
    known = {stage.name for stage in stages.STAGES}
    unknown = set(options.stages.split(",")) - known if options.stages else set()
    if unknown:
        parser.error(f"no such stages: {', '.join(sorted(unknown))}")
    return options


def run_stage(options):
    """Run one stage in this process."""
    deadline = stages.Deadline(options.budget)
    from device import Device

    stage = next(stage for stage in stages.STAGES if stage.name == options.stage)
    writer = records.Writer(options.output / stage.file, stage=stage.name)
    # Stages without arrays leave the GPU to the processes that they start.
    arrays = stage.module in ("stage_facts", "stage_correctness", "stage_timings")
    device = Device(options.emulated) if arrays else None
    function = getattr(importlib.import_module(stage.module), stage.function)
    function(options, device, deadline, writer)


def build(options, folder, total, log, writer):
    """Build the library, if none is given."""
    start = time.monotonic()
    try:
        options.library = library.build(folder, total.left() / 3, log)
        status, why = "ok", ""
    except Exception as error:  # of any tool: without a library there is nothing to run
        status, why = "crashed", f"{type(error).__name__}: {error}"[:300]
    writer.write(done="build", status=status, why=why, seconds=time.monotonic() - start)


def run_all(options):
    """Run the stages and print the summary; return the exit status."""
    total = stages.Deadline(options.seconds)
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (options.output / name).unlink(missing_ok=True)
    writer = records.Writer(options.output / "stages.jsonl")
    chosen = options.stages.split(",") if options.stages else None
    wanted = [stage for stage in stages.STAGES if chosen is None or stage.name in chosen]
    folder = Path(tempfile.mkdtemp())
    with (options.output / "log.txt").open("a") as log:
        if not options.library:
            build(options, folder, total, log, writer)
        if options.library:
            options.library = options.library.resolve()
            stages.run(options, wanted, total, log, writer)
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("log.txt", "pytest.txt", "sanitizer.txt"):
        path = options.output / name
        if path.exists() and path.stat().st_size > records.MAX_BYTES:
            os.truncate(path, records.MAX_BYTES)
    text, sound = summary.make(options.output)
    (options.output / "index.md").write_text(text)
    print(text)
    return 0 if sound else 1


if __name__ == "__main__":
    chosen = parse(sys.argv[1:])
    if chosen.stage:
        run_stage(chosen)
    else:
        sys.exit(run_all(chosen))
