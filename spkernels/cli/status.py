"""The exit statuses of the commands."""

OK = 0
#: A part of the work failed or was left out; stderr says which.
INCOMPLETE = 1
#: The command line was wrong, and nothing was done.  argparse uses the same number.
USAGE = 2
#: Ctrl-C ended the command: 128 + SIGINT, as shells report it.
INTERRUPTED = 130
