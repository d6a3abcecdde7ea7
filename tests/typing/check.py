"""Check what type checkers make of the installed package: ``python tests/typing/check.py``.

mypy --strict and pyright (basedpyright, which pip installs whole) find nothing in the code of
README, the pages and the docstrings, infer what right.py says, and find each error of wrong.py.
Runs with the Python that has spkernels, mypy and basedpyright; scipy-stubs may be there or not.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from examples import write

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Marks in wrong.py: lines with an error, and those with one if scipy's classes have types.
MARK, MARK_IF_KNOWN = "# expect-error", "# expect-error-if-scipy-is-known"
#: A mark in right.py: overloads are ambiguous, and give Any, if scipy's classes have no types.
MARK_ANY = "# if-known"
#: An error of NumPy's stubs: any keyword might be the one that is not an array.  And PyTorch is not
#: installed: examples that import it are checked as if it had no types.
NOT_OURS = re.compile(
    r'Argument \d+ to "savez" has incompatible type "\*\*dict'
    r'|Cannot find implementation or library stub for module named "torch"'
    r'|Import "torch" could not be resolved'
)
#: A file, the number of a line, and what is wrong there.
Found = tuple[str, int, str]

STUBS = importlib.util.find_spec("scipy-stubs") is not None


def mypy(folder: Path) -> list[Found]:
    """Return the errors that mypy finds in the files of a folder."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    if not STUBS:
        command.append("--ignore-missing-imports")
    done = run(command, folder, (0, 1))
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", done, re.MULTILINE)
    if len(found) != done.count(" error: "):
        sys.exit(done)
    return [(name, int(line), text) for name, line, text in found if not NOT_OURS.match(text)]


def pyright(folder: Path) -> list[Found]:
    """Return the errors that pyright finds."""
    # Examples show values by naming them.
    settings = {"typeCheckingMode": "standard", "reportUnusedExpression": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    report = json.loads(run(command, folder, (0, 1)))
    return [
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["message"])
        for each in report["generalDiagnostics"]
        if each["severity"] == "error" and not NOT_OURS.match(each["message"])
    ]


def run(command: list[str], folder: Path, fine: tuple[int, ...]) -> str:
    """Run a checker on all files of a folder, and return what it prints."""
    files = sorted(path.name for path in folder.glob("*.py"))
    done = subprocess.run([*command, *files], cwd=folder, capture_output=True, text=True)
    if done.returncode not in fine:
        sys.exit(f"{command}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def judge(name: str, found: list[Found], known: bool) -> list[str]:
    """Return what a checker said too much, and what it should have said."""
    marks = [MARK, MARK_IF_KNOWN] if known else [MARK]
    if not STUBS:
        right = (HERE / "right.py").read_text().splitlines()
        found = [
            one for one in found
            if not (one[0] == "right.py" and right[one[1] - 1].endswith(MARK_ANY))
        ]  # fmt: skip
    lines = enumerate((HERE / "wrong.py").read_text().splitlines(), start=1)
    expected = {number for number, line in lines if any(line.endswith(mark) for mark in marks)}
    got = {line for file, line, _ in found if file == "wrong.py"}
    assert expected
    return [
        *(f"{name}: {file}:{line}: {text}" for file, line, text in found if file != "wrong.py"),
        *(f"{name}: wrong.py:{line}: found no error" for line in sorted(expected - got)),
        *(f"{name}: wrong.py:{line}: an error without a mark" for line in sorted(got - expected)),
    ]


def main() -> None:
    """Check, and exit with 1 if anything is not as it should be."""
    checkers: list[tuple[str, Callable[[Path], list[Found]], bool]] = [
        ("mypy", mypy, STUBS),
        ("pyright", pyright, True),  # which reads scipy's source otherwise
    ]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        files = write(folder, ROOT)
        for name in ("right.py", "wrong.py"):
            (folder / name).write_text((HERE / name).read_text())
        wrong = []
        for name, check, known in checkers:
            wrong += judge(name, check(folder), known)
    for line in wrong:
        print(line)
    print(f"{len(files)} files of examples, {'with' if STUBS else 'without'} scipy-stubs")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
