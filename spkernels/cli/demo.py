"""The command ``spkernels demo``: it measures whether sparsity pays, on this machine."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._runtime.threadpools import threadpoolctl
from .._runtime.threads import get_num_threads, resolve_workers
from . import measure, report, sources, status, table
from .conclusion import conclude
from .progress import Progress
from .survey import survey

_DESCRIPTION = """\
Find out whether sparsity pays for you: multiply sparse matrices A by a dense matrix B with scipy,
dense NumPy and spkernels, check spkernels' result, and compare the times.

Without MATRIX it makes matrices: pruned layers of several sparsities, N:M and block patterns, an
attention mask and a graph. This takes about half a minute. MATRIX is a file to measure instead:
.smtx (Deep Learning Matrix Collection), .mtx (Matrix Market), .npz (scipy.sparse.save_npz) or .mat
(MATLAB), gzipped or not. A folder stands for all such files in it, at any depth. A file of several
matrices stands for all of them, and FILE#KEY for one of them.
"""
_EPILOG = f"""\
examples:
  %(prog)s
  %(prog)s layer.smtx.gz graphs/ --columns 1 32 512
  %(prog)s weights.npz --dtype float64 --workers 1
  %(prog)s --json --no-plot > demo.json

{table.COLUMNS}
how it measures:
  All libraries run in this process, on the same arrays, in turns. Each turn waits until the threads
  of the library before have stopped spinning. Times are medians over the turns, with warm caches.
  On Linux, samples that other programs disturbed are dropped. If a library has a thread for each
  CPU, no two of its threads share a CPU. A rigorous comparison gives each library a process of its
  own, as `spkernels bench` does; use it for differences of some percent.

exit status: 0 for success (also without matplotlib, which leaves out the plot), 1 if a matrix was
skipped or the plot was not written, 2 if a path or an option is wrong, 130 after Ctrl-C
"""
#: The largest number of threads.  More threads than CPUs are slow; more than this are a mistake.
_MAX_WORKERS = 1024
_NO_MATPLOTLIB = "no plot: matplotlib is not installed; to get it: pip install matplotlib"


def add_parser(commands: Any) -> None:
    """Add the parser of the command to argparse's subparsers."""
    parser = commands.add_parser(
        "demo",
        help="find out whether sparsity pays, on your matrices or on made ones",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("matrix", metavar="MATRIX", nargs="*", help="a file, a folder or FILE#KEY")
    parser.add_argument(
        "-n",
        "--columns",
        metavar="N",
        type=_positive,
        nargs="+",
        default=[128],
        help="columns of B, one or several (default 128); give it after MATRIX",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="precision of A and B (default float32); complex matrices stay complex",
    )
    parser.add_argument(
        "--workers",
        metavar="W",
        type=_workers,
        help="threads of spkernels and of the dense product; negative counts from the number of "
        "CPUs (default: as many as spkernels uses otherwise)",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=_duration,
        default=1.5,
        help="how long to measure each matrix and N (default 1.5)",
    )
    parser.add_argument(
        "--repeat",
        metavar="R",
        type=_positive,
        default=5,
        help="turns of each library at least, even if they take longer (default 5)",
    )
    parser.add_argument(
        "--seed", metavar="S", type=_seed, default=0, help="of all random numbers (default 0)"
    )
    parser.add_argument(
        "--output",
        metavar="PNG",
        type=Path,
        default=Path("spkernels-demo.png"),
        help="where to save the plot (default ./spkernels-demo.png)",
    )
    parser.add_argument("--no-plot", action="store_true", help="save no plot")
    parser.add_argument(
        "--json", action="store_true", help="print JSON, and nothing else, on stdout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print and plot, and return the exit status."""
    try:
        found, ignored = _sources(args)
        draw = None if args.no_plot else _plotter(args.output)
    except ValueError as error:
        print(error, file=sys.stderr)
        return status.USAGE
    if ignored:
        files = "1 file was" if ignored == 1 else f"{ignored} files were"
        print(f"{files} ignored: not .smtx, .mtx, .npz or .mat", file=sys.stderr)
    threads = resolve_workers(args.workers) or get_num_threads()
    budget = measure.Budget(args.seconds, args.repeat, args.workers, threads, args.seed)
    if not args.json:
        print(f"{report.heading(args.dtype, threads)}\n{table.HEADER}", flush=True)
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        measured = survey(found, args.columns, np.dtype(args.dtype), budget, _shower(args.json))
    conclusions = conclude(measured.cells)
    if measured.cells and not args.json:
        print(report.closing(measured, conclusions), flush=True)
    # Times of disturbed products mean nothing; an empty matrix has no rate, and its sparsity of
    # 100% has no place on the axis.
    shown = [cell for cell in measured.cells if cell.nnz and not cell.noisy]
    drawing = draw is not None and bool(measured.cells) and not measured.interrupted
    if drawing and not shown:
        print("no plot: all products were disturbed or of empty matrices", file=sys.stderr)
        drawing = False
    left_out = len(measured.cells) - len(shown)
    drawn = _save(draw, shown, threads, left_out, args.output) if drawing else None
    if args.json:
        settings = {
            "columns": args.columns,
            "dtype": args.dtype,
            "threads": threads,
            "seconds": args.seconds,
            "rounds": args.repeat,
            "seed": args.seed,
        }
        everything = report.as_json(settings, measured, conclusions, drawn, ignored)
        print(json.dumps(everything, indent=2, allow_nan=False))
    elif drawn is not None:
        print(f"Plot: {drawn}")
    if measured.interrupted:
        return status.INTERRUPTED
    complete = not measured.skipped and (drawn is not None or not drawing)
    return status.OK if complete else status.INCOMPLETE


def _sources(args: argparse.Namespace) -> tuple[list[sources.Source], int]:
    if args.matrix:
        return sources.from_paths(args.matrix, args.seed)
    return sources.generated(args.seed), 0


def _shower(quiet: bool) -> Callable[[Progress, measure.Cell], None]:
    """Return a function that prints a cell, after a line for each new matrix."""
    last = None

    def show(progress: Progress, cell: measure.Cell) -> None:
        nonlocal last
        if quiet:
            return
        if cell.name != last:
            progress.write(table.matrix_lines(cell))
            last = cell.name
        progress.write(table.cell_lines(cell))

    return show


def _plotter(output: Path) -> Callable[..., None] | None:
    """Return the function that draws the plot; without matplotlib, None and a hint on stderr."""
    if not output.absolute().parent.is_dir():
        raise ValueError(f"--output {output}: there is no folder {output.parent}")
    if output.suffix.lower() != ".png":
        raise ValueError(f"--output {output}: expected a name that ends in .png")
    try:
        from .plot import save
    except ImportError:
        print(_NO_MATPLOTLIB, file=sys.stderr)
        return None
    return save


def _save(draw, cells, threads: int, left_out: int, output: Path) -> str | None:
    try:
        draw(cells, threads, left_out, output)
    except OSError as error:
        print(f"no plot: {error}", file=sys.stderr)
        return None
    return str(output)


def _positive(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return value


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0, got {text!r}")
    return int(text)


def _duration(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds, at least 0, got {text!r}")
    return value


def _workers(text: str) -> int:
    try:
        value = int(text)
        resolve_workers(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    most = max(_MAX_WORKERS, os.cpu_count() or 1)
    if value > most:
        raise argparse.ArgumentTypeError(f"expected at most {most} threads, got {text!r}")
    return value
