"""Compare spkernels with the libraries that people use today.

Every peer runs in a process of its own; the processes take turns, sample by sample.  See README.md
next to this file.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import machine, report, results, suites
from harness.process import Settings, Worker
from harness.session import Cell, Session

WRITE_EVERY_SECONDS = 10.0


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example: compare.py spmm sddmm --data dlmc --json run.json --markdown run.md",
    )
    parser.add_argument(
        "suite",
        nargs="+",
        choices=suites.SUITES,
        help="what to measure, one or more of %(choices)s",
    )
    parser.add_argument("--data", type=Path, help="folder searched for *.smtx.gz (suite spmm)")
    parser.add_argument("--quick", action="store_true", help="a small subset of every suite")
    parser.add_argument(
        "--peers", nargs="+", choices=suites.MODULES, metavar="PEER", default=list(suites.MODULES),
        help="only these of: %(choices)s",
    )  # fmt: skip
    parser.add_argument(
        "--python", action="append", default=[], metavar="PEER=PATH", type=_peer_python,
        help="the Python that has a peer installed (default: this one); may be repeated",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, help="threads per peer (default 2)")
    parser.add_argument("--rounds", type=int, default=7, help="samples per cell (default 7)")
    parser.add_argument(
        "--seconds", type=float, default=0.008, help="length of a sample (default 0.008)"
    )
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds before a peer counts as hung"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0,
        help="seconds, in all, to wait for other programs to leave the CPUs (default 60)",
    )  # fmt: skip
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="run at real-time priority, so that other programs disturb little (needs the right)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every sample here")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the tables here")
    return parser.parse_args(argv)


def _peer_python(text: str) -> tuple[str, str]:
    peer, _, path = text.partition("=")
    if peer not in suites.MODULES or not path:
        raise argparse.ArgumentTypeError(f"expected PEER=PATH, PEER one of {list(suites.MODULES)}")
    return peer, path


def workers(
    suite: suites.Suite, wanted: list[str], pythons: dict[str, str], settings: Settings
) -> list[Worker]:
    """The processes of a suite: one per peer, or one for all where that is harmless."""
    peers = [peer for peer in suite.peers if peer in wanted]
    if suite.one_process:
        python = pythons.get(suites.SUBJECT, sys.executable)
        return [Worker([suites.MODULES[peer] for peer in peers], settings, python)]
    return [
        Worker([suites.MODULES[peer]], settings, pythons.get(peer, sys.executable))
        for peer in peers
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the suites; what was measured is written even when interrupted."""
    options = parse(argv)
    settings = Settings(
        options.threads, options.rounds, options.seconds, options.timeout, options.patience
    )
    try:
        if options.realtime:
            machine.become_realtime()
        fingerprint = machine.fingerprint(options.threads)
        cells = {name: suites.cells(name, options.data, options.quick) for name in options.suite}
    except (ValueError, PermissionError) as reason:
        print(f"compare.py: {reason}", file=sys.stderr)
        return 2
    document = {
        "format": 1,
        "machine": fingerprint,
        "settings": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "quick": options.quick,
            "realtime": options.realtime,
        },
        "suites": {},
    }
    status = 0
    try:
        for name in options.suite:
            suite = suites.SUITES[name]
            processes = workers(suite, options.peers, dict(options.python), settings)
            with Session(processes, settings) as session:
                measure(session, name, cells[name], document, options.json)
    except KeyboardInterrupt:
        print("interrupted; reporting what was measured", file=sys.stderr)
        status = 130
    text = report.markdown(document)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    return status


def measure(
    session: Session, name: str, cells: list[Cell], document: dict[str, Any], path: Path | None
) -> None:
    """Measure one suite into the document, which is written as it grows."""
    for module, why in session.left_out.items():
        print(f"{name}: left out {module}: {why}", file=sys.stderr)

    def write() -> None:
        document["suites"][name] = results.suite_document(cells, session)
        if path:
            results.write(document, path)

    written = time.monotonic()
    try:
        for cell in progress(cells, name):
            session.measure(cell)
            if time.monotonic() - written > WRITE_EVERY_SECONDS:
                write()
                written = time.monotonic()
    finally:
        write()


def progress(cells: list[Cell], title: str) -> Iterator[Cell]:
    """Show a bar where tqdm is there, else count the cells."""
    try:
        from tqdm import tqdm
    except ImportError:
        for number, cell in enumerate(cells, 1):
            print(f"\r{title}: {number}/{len(cells)}", end="", file=sys.stderr)
            yield cell
        print(file=sys.stderr)
    else:
        yield from tqdm(cells, desc=title, unit="cell")


if __name__ == "__main__":
    sys.exit(main())
