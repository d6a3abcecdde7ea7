"""The tests run from the root of the source tree, whose ./spkernels has no compiled module."""

import subprocess
import sys

import pytest
from conftest import ROOT

import spkernels


def test_the_installed_package_is_tested():
    assert hasattr(spkernels._core, "spmm")


IN_CODE = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.mark.parametrize("command", [["-m", "pytest"], ["-c", IN_CODE]])
def test_pytest_finds_the_installed_package_from_the_root(command):
    done = subprocess.run(
        [sys.executable, *command, "-q", "--collect-only", "-p", "no:cacheprovider",
         "tests/runtime/test_isa.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
