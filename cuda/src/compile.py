"""Run a compiler, and keep what it writes to stderr, ptxas' report, in a file."""

import subprocess
import sys

report, *command = sys.argv[1:]
done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
with open(report, "w", encoding="utf-8") as file:
    file.write(done.stderr)
if done.returncode:
    sys.stderr.write(done.stderr)
sys.exit(done.returncode)
