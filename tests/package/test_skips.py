"""Whoever runs the tests reads why some were skipped: in sentences."""

import ast
from pathlib import Path

import pytest
from conftest import NO_REAL_DATA, TESTS

SKIPPING = {"skip", "skipif", "importorskip"}


def text_of(node):
    """Return what a string says, whatever is put in its place, or None of what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "X" for part in node.values)
    if isinstance(node, ast.Name) and node.id == "NO_REAL_DATA":
        return NO_REAL_DATA
    return None


def reasons(path):
    """Yield the line and the reason of each skip of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr not in SKIPPING:
            continue
        named = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        if not named and node.func.attr == "skip":
            named = node.args[:1]
        yield node.lineno, text_of(named[0]) if named else None


def files():
    return sorted(path for path in TESTS.rglob("test_*.py")) + sorted(TESTS.rglob("conftest.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(TESTS)))
def test_reasons_are_sentences(path: Path):
    for line, reason in reasons(path):
        assert reason is not None, f"line {line} gives no reason"
        assert reason.endswith(".") and len(reason.split()) >= 3, f"line {line}: {reason!r}"
