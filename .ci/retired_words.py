"""Check that no file uses a word that doc/glossary.rst says was replaced.

The page lists a Perl regular expression and the new word in each line of the literal block that
follows its heading "Retired words".
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GLOSSARY = "doc/glossary.rst"
PLACES = (
    *("src", "include", "cuda", "spkernels", "tests", "doc", "benchmarks", "examples"),
    "*.md",
)
#: What was measured or released keeps the words of its time.
LEFT_OUT = (GLOSSARY, "doc/benchmarks/")


def retired():
    """Return (pattern, new word) of each line of the list."""
    text = (ROOT / GLOSSARY).read_text(encoding="utf-8")
    block = text.split("\nRetired words\n")[1].split(".. code-block:: text\n")[1]
    lines = [line.strip() for line in block.splitlines() if line.startswith("   ")]
    return [tuple(line.split(" -> ", 1)) for line in lines]


def matches(pattern):
    """Return the lines of all files that match, as Git prints them."""
    left_out = [f":!{path}" for path in LEFT_OUT]
    found = subprocess.run(
        ["git", "grep", "-nIP", "-e", pattern, "--", *PLACES, *left_out],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode > 1:
        raise ValueError(f"{pattern!r}: {found.stderr.strip()}")
    return found.stdout.splitlines()


def main():
    """Print each use of a retired word; return whether there is one."""
    words = retired()
    if not words:
        sys.exit(f"{GLOSSARY} lists no retired words")
    wrong = False
    for pattern, new in words:
        for line in matches(pattern):
            wrong = True
            print(f"{line.strip()}\n    write: {new}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
