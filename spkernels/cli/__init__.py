"""The commands of ``spkernels``, one module each.

A command is a module with ``add_parser(commands)``, which adds its parser to argparse's subparsers
and sets ``run`` as its default, and ``run(args)``, which returns the exit status.
"""

from . import bench, demo, info

COMMANDS = (info, demo, bench)
