"""The command line: ``spkernels``, or ``python -m spkernels``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from . import __version__
from .cli import COMMANDS, status


def program() -> str:
    """Return the words that started the program, so that users can type the help's examples."""
    typed = os.path.basename(sys.argv[0] if sys.argv else "")
    # `python -m` leaves the path of this file.
    return typed if typed == "spkernels" else "python -m spkernels"


def build_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser, with the parsers of the commands `names`."""
    parser = argparse.ArgumentParser(
        prog=program(),
        description="Fast sparse x dense products for scipy.sparse, on the command line.",
        epilog="Each command has its own --help. To see what the package does: "
        "%(prog)s demo",
    )
    parser.add_argument("--version", action="version", version=f"spkernels {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in names:
        importlib.import_module(f".cli.{name}", __package__).add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    # A command does not wait for the imports of the others.
    parser = build_parser(words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS)
    args = parser.parse_args(words)
    if not hasattr(args, "run"):
        parser.print_help(sys.stderr)
        return status.USAGE
    try:
        result = args.run(args)
        sys.stdout.flush()
        return result
    except KeyboardInterrupt:
        return status.INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout is gone, as in `... | head`.  The interpreter would flush stdout at
        # its end and fail, so stdout becomes the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status.INCOMPLETE


if __name__ == "__main__":
    sys.exit(main())
