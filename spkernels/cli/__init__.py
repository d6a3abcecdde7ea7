"""The commands of ``spkernels``, one module each, imported when it is run or helped with.

A command is a module with ``add_parser(commands)``, which adds its parser to argparse's subparsers
and sets ``run`` as its default, and ``run(args)``, which returns the exit status.  A new command is
named here; what several commands need goes to a module of its own.
"""

#: The modules of the commands, in the order of the help.
COMMANDS = ("info", "demo", "bench")
