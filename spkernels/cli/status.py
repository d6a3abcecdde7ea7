"""Exit statuses of the commands."""

OK = 0
#: Something was left out, and said so on stderr.
INCOMPLETE = 1
#: Nothing was done because the command line makes no sense; argparse's own.
USAGE = 2
#: Ctrl-C, as shells report it: 128 + SIGINT.
INTERRUPTED = 130
