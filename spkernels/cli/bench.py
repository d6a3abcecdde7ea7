"""The command ``spkernels bench``, which measures, reports and compares."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .._runtime.threads import get_num_threads
from ..bench import comparison
from ..bench.collection import cells as collect
from ..bench.measure import machine
from ..bench.measure.load import LOADS
from ..bench.measure.process import Settings
from ..bench.ops import OPS
from ..bench.peers import EARLIER, MODULES, SUBJECT
from ..bench.report import tables
from ..bench.results import Results
from ..bench.run import Plan
from ..bench.run import run as run_cells
from ..bench.suites import SUITES
from ..bench.suites.common import Options
from . import status
from .progress import Progress

_DESCRIPTION = """\
Measure spkernels against the libraries that one would choose instead: scipy, MKL, AOCL-Sparse (on
CPUs of AMD), torch, numba, dense NumPy and others; whole networks in torch, onnxruntime, OpenVINO
and DeepSparse. Each library runs in a process of its own, and libraries that are not installed are
left out. Every answer is checked against float64 before it is timed, and the libraries take turns.
"""
_EPILOG = """\
suites:
  dlmc        pruned layers, A @ B and B @ A
  structured  one layer pruned in every way: vectors, blocks, n:m; float32 and 8 bits
  layers      these patterns for layers of a transformer
  activations layers whose inputs are mostly zeros; k winners
  graph       graphs: A @ x, A @ B, sampled products
  attention   attention masks: sampled products, A @ B
  fused       attention with these masks in one pass: Q, K, V in, weighted values out
  tiny        small products: the cost of a call
  habits      layouts, formats, dtypes, busy machines, accelerate, fused activations
  models      whole networks with pruned weights
  all         all of them
instead of suites:
  report FILE            make tables and plots of results again
  compare OLD NEW        say whether spkernels became slower between two files of results

examples:
  %(prog)s --quick
  %(prog)s dlmc --data dlmc/ --output dlmc.jsonl --threads 1 2
  %(prog)s attention --ops sddmm --peers torch spkernels
  %(prog)s report dlmc.jsonl --folder report/
  %(prog)s habits --python "spkernels before=old/bin/python"
  %(prog)s models --threads 2 --timeout 600 --python deepsparse=other/bin/python
  %(prog)s compare before.jsonl after.jsonl

The output is one line of JSON per library and cell. To continue an interrupted run, run the same
command again: cells that the file already has are not measured again. Ctrl-C keeps all measured
cells.

exit status: 0 for success, 1 if a library failed, a file was not read or spkernels became slower,
2 if a path or an option is wrong, 130 after Ctrl-C
"""
_NO_MATPLOTLIB = "no plots: matplotlib is not installed; to get it: pip install matplotlib"


def add_parser(commands: Any) -> None:
    """Add the parser of the command to argparse's subparsers."""
    parser = commands.add_parser(
        "bench",
        help="measure spkernels against other libraries, report and compare",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what", nargs="*", metavar="SUITE",
        help="suites (all with --quick, if none is named), or report FILE, or compare OLD NEW",
    )  # fmt: skip
    choice = parser.add_argument_group("what is measured")
    choice.add_argument("--quick", action="store_true", help="few matrices, few samples")
    choice.add_argument(
        "--data", type=Path, metavar="DIR",
        help="measure the files below DIR: .smtx (dlmc), .mtx, .mat, .npz (graph)",
    )  # fmt: skip
    choice.add_argument(
        "--ops", nargs="+", choices=OPS, metavar="OP", help="only these of: " + ", ".join(OPS)
    )
    choice.add_argument(
        "--widths", nargs="+", type=_width, metavar="N",
        help='columns, or "vector" for a vector, instead of the suite\'s',
    )  # fmt: skip
    choice.add_argument(
        "--loads", nargs="+", choices=LOADS, metavar="LOAD",
        help="only these of the suite 'habits', what else runs: " + ", ".join(LOADS),
    )  # fmt: skip
    choice.add_argument(
        "--sparsities", nargs="+", type=_sparsity, metavar="S",
        help="shares of zeros in the weights of the suite 'models', from 0 to below 1",
    )  # fmt: skip
    choice.add_argument(
        "--peers", nargs="+", choices=MODULES, metavar="PEER", default=list(MODULES),
        help="only these of: " + ", ".join(MODULES),
    )  # fmt: skip
    choice.add_argument(
        "--threads", nargs="+", type=_positive, metavar="T", default=None,
        help="threads per peer; several numbers are measured one after another (default: all CPUs)",
    )  # fmt: skip
    choice.add_argument(
        "--cache", nargs="+", choices=("warm", "flushed"), default=["warm"],
        help="state of the caches at a call (default: warm)",
    )  # fmt: skip
    how = parser.add_argument_group("how")
    how.add_argument(
        "--output", type=Path, metavar="FILE",
        help="results, as lines of JSON (default: bench-SUITE.jsonl)",
    )  # fmt: skip
    how.add_argument(
        "--folder", type=Path, metavar="DIR", help="tables and plots (default: RESULTS-report)"
    )
    how.add_argument("--no-plots", action="store_true", help="make tables alone")
    how.add_argument(
        "--python", action="append", default=[], type=_peer_python, metavar="PEER=PATH",
        help="the Python that has a peer installed (default: this one); may be repeated; that of "
        "an earlier build makes 'spkernels before' and 'accelerate before' peers",
    )  # fmt: skip
    how.add_argument("--rounds", type=_positive, help="samples per cell, at least (default: 7)")
    how.add_argument(
        "--seconds", type=float, default=0.008, help="length of a sample (default: 0.008)"
    )
    how.add_argument(
        "--timeout", type=float, default=60.0, help="after which a peer counts as hung, seconds"
    )
    how.add_argument(
        "--patience", type=float, default=60.0,
        help="seconds, in all, to wait for other programs to leave the CPUs (default: 60)",
    )  # fmt: skip
    how.add_argument(
        "--realtime", action="store_true",
        help="run at real-time priority, so that other programs disturb little (needs the right)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def _width(text):
    return None if text == "vector" else _positive(text)


def _sparsity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to below 1, got {text!r}")
    return value


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return value


def _peer_python(text: str) -> tuple[str, str]:
    peer, _, path = text.partition("=")
    if peer not in MODULES or not path:
        raise argparse.ArgumentTypeError(f"expected PEER=PATH, PEER one of {', '.join(MODULES)}")
    return peer, path


def run(args: argparse.Namespace) -> int:
    """Measure, report or compare, and return the exit status."""
    try:
        command = args.what[0] if args.what else None
        if command == "report":
            return _report_command(args)
        if command == "compare":
            return _compare_command(args)
        return _measure_command(args)
    except (ValueError, OSError) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return status.USAGE


def _suites(names: list[str]) -> list[str]:
    if "all" in names:
        names = list(SUITES)
    for name in names:
        if name not in SUITES:
            raise ValueError(f"no suite {name!r}: all, {', '.join(SUITES)}, report or compare")
    return list(dict.fromkeys(names))


def _measure_command(args: argparse.Namespace) -> int:
    if not args.what and not args.quick:
        raise ValueError(
            f"expected a suite: all, {', '.join(SUITES)}; or --quick, or report or compare"
        )
    suites = _suites(args.what or ["all"])
    threads = args.threads or [get_num_threads()]
    for count in threads:
        machine.choose_cpus(count)
    if args.data is not None and not args.data.exists():
        raise ValueError(f"--data {args.data} does not exist")
    options = Options(
        args.quick, args.ops, args.widths, threads, args.cache, args.loads, args.sparsities
    )
    cells = collect(suites, args.data, options)
    if not cells:
        raise ValueError("nothing to measure: no suite here has these operations and files")
    settings = Settings(
        rounds=args.rounds or (5 if args.quick else 7),
        most_rounds=args.rounds or (5 if args.quick else 15),
        seconds=args.seconds / 2 if args.quick else args.seconds,
        timeout=args.timeout,
        patience=min(args.patience, 10) if args.quick else args.patience,
    )
    if args.realtime:
        machine.become_realtime()
    name = "all" if len(suites) == len(SUITES) else "-".join(suites)
    output = args.output or Path(f"bench-{name}.jsonl")
    results = Results(output)
    pythons = dict(args.python)
    peers = [peer for peer in args.peers if peer not in EARLIER or peer in pythons]
    plan = Plan(cells, peers, settings, pythons, asked=_asked(args))
    interrupted = False
    with Progress(len(cells)) as progress:

        def advance(cell, before):
            progress.step()
            progress.describe(f"{cell.suite} {cell.op}")

        try:
            left_out = run_cells(plan, results, advance)
        except KeyboardInterrupt:
            interrupted, left_out = True, {}
    for name, why in left_out.items():
        print(f"left out {name}: {why}", file=sys.stderr)
    if interrupted:
        print(f"interrupted; {output} holds what was measured", file=sys.stderr)
    if results.results:
        _report(results, args.folder or _beside(output), not args.no_plots)
    print(f"results: {output}")
    if interrupted:
        return status.INTERRUPTED
    failures = Counter(r["peer"] for r in results.results if "failure" in r)
    for peer, count in failures.items():
        print(f"{peer} failed on {count} of {len(cells)} cells", file=sys.stderr)
    whole = left_out.keys() <= MODULES.keys() | SUITES.keys()
    return status.OK if whole and not failures else status.INCOMPLETE


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "suites": args.what or ["all"],
        "quick": args.quick,
        "data": args.data.name if args.data else None,
        "realtime": args.realtime,
    }


def _existing(path: str) -> Results:
    if not os.path.exists(path):
        raise ValueError(f"{path} does not exist")
    return Results(Path(path))


def _report_command(args: argparse.Namespace) -> int:
    if len(args.what) != 2:
        raise ValueError("report takes one file of results: bench report FILE")
    path = Path(args.what[1])
    _report(_existing(args.what[1]), args.folder or _beside(path), not args.no_plots)
    return status.OK


def _beside(path: Path) -> Path:
    """Return the folder of a report, ``STEM-report``; a folder STEM may be that of the data."""
    stem = Path(path.name.removesuffix(".gz")).stem
    return path.with_name(f"{stem}-report")


def _report(results: Results, folder: Path, plots: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if plots:
        try:
            from ..bench.report.plots import save_all
        except ImportError:
            print(_NO_MATPLOTLIB, file=sys.stderr)
        else:
            drawn = save_all(results, folder)
    text = tables.markdown(results, drawn)
    (folder / "index.md").write_text(text)
    print(tables.markdown(results))
    print(f"report: {folder / 'index.md'}, {len(drawn)} plots")


def _compare_command(args: argparse.Namespace) -> int:
    if len(args.what) != 3:
        raise ValueError("compare takes two files of results: bench compare OLD NEW")
    old, new = map(_existing, args.what[1:])
    changes = comparison.compare(old, new, np.random.default_rng(0))
    if not changes:
        raise ValueError(f"the two files share no cell with a time of {SUBJECT}")
    rows = [
        [c.name, c.cells, f"{c.ratio:.3f}", f"{c.low:.3f} .. {c.high:.3f}", c.verdict]
        for c in changes
    ]
    head = ["cells of", "cells", "new / old time", "95% interval", "spkernels is"]
    print(tables.table(head, rows))
    found = comparison.agreements(old, new)
    if found:
        rows = [
            [
                a.name, a.peer, a.cells, f"{a.old:.3g}", f"{a.new:.3g}", f"{a.new / a.old:.3f}",
                f"{a.new_minima / a.old_minima:.3f}",
            ]
            for a in found
        ]  # fmt: skip
        head = ["cells of", "spkernels against", "cells", "old", "new", "new / old", "of minima"]
        print(tables.table(head, rows, 2))
    return status.INCOMPLETE if any(c.verdict == "slower" for c in changes) else status.OK
