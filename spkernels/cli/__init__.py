"""The commands of the program ``spkernels``.

Each command is a module, which is imported only when the command runs or its help is shown.  The
module has a function ``add_parser(commands)``, which adds a parser to argparse's subparsers and
sets ``run`` as its default, and a function ``run(args)``, which returns the exit status.
`COMMANDS` names the modules.  Code that several commands share is in modules of its own.
"""

#: The modules of the commands, in the order of the help.
COMMANDS = ("info", "demo", "advise", "bench")
