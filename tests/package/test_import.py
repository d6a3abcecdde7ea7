"""What importing the package, and using it, does to the process that it is in."""

import json
import os

import pytest

import spkernels

NAME = "KMP_DUPLICATE_LIB_OK"

COMPARE = """
import ctypes, os
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
before = dict(os.environ)

def unchanged():
    assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
    # In C, too, where libraries look.
    seen = getenv(b"KMP_DUPLICATE_LIB_OK")
    assert (None if seen is None else seen.decode()) == before.get("KMP_DUPLICATE_LIB_OK")
"""


@pytest.mark.parametrize("value", [None, "FALSE", "True", ""])
def test_the_environment_stays_as_it_was(value, run_script):
    run_script(COMPARE + """
import spkernels
unchanged()
import numpy as np, scipy.sparse as sp
from spkernels import bench, cli, cuda, datasets, formats, masks, patterns, prune
unchanged()
A = sp.csr_array(np.eye(50))
W = spkernels.prepare(A)
W @ np.ones((50, 3)), W.explain(), spkernels.show_config("dicts")
with spkernels.accelerate():
    A @ np.ones(50)
from spkernels.cli import bench, demo, info
unchanged()
assert info.collect()["environment"].get("KMP_DUPLICATE_LIB_OK") == before.get(
    "KMP_DUPLICATE_LIB_OK"
)
import threadpoolctl, spkernels._runtime.threadpools
assert spkernels._runtime.threadpools.threadpoolctl is threadpoolctl
unchanged()
""", env={NAME: value})


def test_what_the_user_imported_first_keeps_its_setting(run_script):
    run_script("""
import os, threadpoolctl
os.environ["KMP_DUPLICATE_LIB_OK"] = "mine"
import spkernels
assert os.environ["KMP_DUPLICATE_LIB_OK"] == "mine"
""", env={NAME: None})


@pytest.mark.parametrize("value", [None, "TRUE"])
def test_info_reports_what_the_user_set_alone(value, run_script):
    code = """
import runpy, sys
sys.argv = ["spkernels", "info", "--json"]
runpy.run_module("spkernels", run_name="__main__")
"""
    ours = ("SPKERNELS_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_", "BLIS_")
    done = run_script(code, env={NAME: value})
    expected = {key: text for key, text in os.environ.items() if key.startswith(ours)}
    expected.pop(NAME, None)
    if value is not None:
        expected[NAME] = value
    assert json.loads(done.stdout)["environment"] == expected


def test_cuda_is_there_when_named(run_script):
    run_script("""
import sys
import spkernels
from spkernels import *
assert not any("cuda" in name for name in sys.modules if name.startswith("spkernels"))
assert "cuda" in dir(spkernels)
assert not any("cuda" in name for name in sys.modules if name.startswith("spkernels"))
assert isinstance(spkernels.cuda.is_available(), bool)
assert sys.modules["spkernels.cuda"] is spkernels.cuda
from spkernels import cuda
assert cuda is spkernels.cuda
""")


def test_other_names_are_errors():
    with pytest.raises(AttributeError, match="module 'spkernels' has no attribute 'cudaa'"):
        spkernels.cudaa  # noqa: B018
    assert not hasattr(spkernels, "nonsense")
    assert set(spkernels.__all__) <= set(dir(spkernels))
