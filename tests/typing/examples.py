"""Write the code of README, the pages and the docstrings into files that type checkers read.

Each line keeps its number: what a checker says of ``guide.py:33`` holds for ``guide.rst:33``.
"""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from pathlib import Path

_FENCE = re.compile(r"```(\w*)$")
_TESTCODE = re.compile(r"\.\. testcode::$")


def of_doctests(lines: list[str]) -> list[str]:
    """Return the input of interactive examples, and an empty line for each other one."""
    code = [""] * len(lines)
    for example in doctest.DocTestParser().get_examples("\n".join(lines)):
        source = example.source.splitlines()
        code[example.lineno : example.lineno + len(source)] = source
    return code


def of_markdown(lines: list[str]) -> list[str]:
    """Return what stands in fences of Python, and an empty line for each other one."""
    code, language = [], None
    for line in lines:
        fence = _FENCE.match(line)
        if fence:
            language = fence[1] if language is None else None
        code.append(line if language == "python" and not fence else "")
    return code


def of_page(lines: list[str]) -> list[str]:
    """Return the interactive examples and the ``testcode`` blocks of a page."""
    code, inside = of_doctests(lines), False
    for number, line in enumerate(lines):
        if _TESTCODE.match(line):
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        elif inside:
            code[number] = line.removeprefix("   ")
    return code


def docstrings(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each object whose docstring has examples that run, and its lines."""
    source = path.read_text()
    lines = source.splitlines()

    def walk(node: ast.AST, name: str) -> Iterator[tuple[str, list[str]]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield from walk(child, f"{name}.{child.name}")
        if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            return
        text = ast.get_docstring(node) or ""
        if ">>>" in text and "+SKIP" not in text:
            first = node.body[0]
            before = first.lineno - 1
            yield name, [""] * before + lines[before : first.end_lineno]

    yield from walk(ast.parse(source), path.stem)


def write(folder: Path, root: Path) -> list[Path]:
    """Write all of them into `folder`, and return the files."""
    doc = root / "doc"
    setup = re.search(r'doctest_global_setup = """\n(.*?)"""', (doc / "conf.py").read_text(), re.S)
    assert setup is not None
    imports = "; ".join(setup[1].splitlines())
    made = {"README": of_markdown((root / "README.md").read_text().splitlines())}
    for page in sorted(doc.rglob("*.rst")):
        code = of_page(page.read_text().splitlines())
        if any(code):
            assert not code[0], f"{page}: there is no line for imports before the first example"
            made["_".join(page.relative_to(doc).with_suffix("").parts)] = [imports, *code[1:]]
    for module in sorted((root / "spkernels").rglob("*.py")):
        where = ".".join(module.relative_to(root).parent.parts)
        for name, lines in docstrings(module):
            code = of_doctests(lines)
            # An example may define a function; annotations would distract there.
            code[0] = "# mypy: allow-untyped-defs, allow-untyped-calls"
            made[f"{where}.{name}".replace(".", "_")] = code
    files = []
    for name, lines in made.items():
        files.append(folder / f"{name.replace('-', '_')}.py")
        files[-1].write_text("\n".join(lines) + "\n")
    return files
