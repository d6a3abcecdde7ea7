"""spkernels.cuda where the library, a driver or a GPU is missing: it says which."""

import copy
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import ROOT

import spkernels.cuda
from spkernels.cuda import CudaMatrix, _library, _runtime
from spkernels.cuda._packed import Source
from spkernels.cuda._sparse import rows_of


@pytest.fixture(autouse=True)
def not_loaded(monkeypatch):
    monkeypatch.setattr(_runtime, "_loaded", None)
    monkeypatch.delenv("SPKERNELS_CUDA_LIBRARY", raising=False)


def check_missing(text):
    """Everything that needs a GPU says so."""
    assert not spkernels.cuda.is_available()
    assert text in spkernels.cuda.why_not()
    with pytest.raises(spkernels.cuda.UnavailableError) as caught:
        spkernels.cuda.prepare(sp.csr_array((2, 2)))
    assert str(caught.value) == spkernels.cuda.why_not()
    assert isinstance(caught.value, RuntimeError)


def test_no_library(monkeypatch):
    monkeypatch.setattr(_library, "find", lambda: None)
    check_missing("pip install ./cuda")
    check_missing("-Dcuda=enabled")
    check_missing("SPKERNELS_CUDA_LIBRARY")


def test_a_library_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("SPKERNELS_CUDA_LIBRARY", str(tmp_path / "nowhere.so"))
    check_missing(
        f"{tmp_path / 'nowhere.so'}, which SPKERNELS_CUDA_LIBRARY names, cannot be loaded"
    )


def test_a_library_that_is_none(monkeypatch, tmp_path):
    path = tmp_path / "text.so"
    path.write_text("no library")
    monkeypatch.setenv("SPKERNELS_CUDA_LIBRARY", str(path))
    check_missing("cannot be loaded")


def test_an_abi_of_another_version(monkeypatch):
    class Other:
        def __getattr__(self, name):
            raise AttributeError(name)

        @staticmethod
        def spk_cuda_abi_version():
            return 999

    monkeypatch.setattr(_library.ctypes, "CDLL", lambda path: Other())
    monkeypatch.setattr(_library, "_FUNCTIONS", {})
    monkeypatch.setenv("SPKERNELS_CUDA_LIBRARY", "/other.so")
    check_missing("has ABI version 999, this package needs 1")


def test_a_function_that_is_missing(monkeypatch):
    monkeypatch.setattr(_library.ctypes, "CDLL", lambda path: object())
    monkeypatch.setenv("SPKERNELS_CUDA_LIBRARY", "/old.so")
    check_missing("/old.so has no function spk_cuda_query: it is not of this version")


def test_where_it_is_looked_for(monkeypatch, tmp_path):
    package = tmp_path / _library.WHEEL_PACKAGE
    package.mkdir()
    (package / "__init__.py").touch()
    (package / _library.FILE_NAME).touch()
    monkeypatch.syspath_prepend(tmp_path)
    beside = Path(_library.__file__).with_name(_library.FILE_NAME)
    assert _library.find() == (beside if beside.exists() else package / _library.FILE_NAME)
    monkeypatch.setenv("SPKERNELS_CUDA_LIBRARY", "/named.so")
    assert _library.find() == Path("/named.so")


class Fake:
    """A library that finds what a test says."""

    def __init__(self, status, **found):
        self.status, self.found = status, {"runtime_version": 13000, **found}

    def spk_cuda_query(self, device, found):
        for name, value in self.found.items():
            setattr(found._obj, name, value)
        return self.status

    def spk_cuda_last_error(self):
        return b"unknown error"


@pytest.mark.parametrize(
    ("fake", "text"),
    [
        (Fake(_library.ERR_DRIVER), "there is no NVIDIA driver here (libcuda.so.1): spkernels'"),
        (
            Fake(_library.ERR_DRIVER, driver_version=12080),
            "the NVIDIA driver supports CUDA 12.8, spkernels' library for GPUs needs 13.0",
        ),
        (
            Fake(_library.ERR_DRIVER, driver_version=13010),
            "the NVIDIA driver does not start: unknown error",
        ),
        (Fake(_library.ERR_DEVICE, driver_version=13000), "there is no NVIDIA GPU here"),
        (
            Fake(_library.ERR_DEVICE, driver_version=13000, count=1, major=7, minor=5),
            "device 0 has compute capability 7.5, spkernels needs 8.0",
        ),
        (Fake(_library.ERR_RUNTIME), "CUDA reported an error: unknown error"),
    ],
)
def test_what_a_query_finds(monkeypatch, fake, text):
    monkeypatch.setattr(_runtime, "_loaded", fake)
    check_missing(text)


def test_hidden_gpus(monkeypatch):
    monkeypatch.setattr(_runtime, "_loaded", Fake(_library.ERR_DEVICE, driver_version=13000))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_missing("there is no NVIDIA GPU here (CUDA_VISIBLE_DEVICES='')")


def built():
    """The library as nvcc built it, where it was."""
    paths = [
        ROOT / "build" / "cuda" / "cuda" / "src" / _library.FILE_NAME,
        Path(_library.__file__).with_name(_library.FILE_NAME),
    ]
    return next((path for path in paths if path.exists()), None)


@pytest.mark.skipif(built() is None, reason="Nothing was built with -Dcuda=enabled.")
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="There may be a GPU here.")
def test_the_library_without_a_driver(monkeypatch):
    monkeypatch.setenv("SPKERNELS_CUDA_LIBRARY", str(built()))
    check_missing("there is no NVIDIA driver here")
    config = spkernels.cuda.show_config(mode="dicts")
    assert config["library"] == str(built())
    assert config["CUDA of the driver"] is None and config["devices"] == 0


def test_show_config(monkeypatch, capsys):
    monkeypatch.setattr(_library, "find", lambda: None)
    config = spkernels.cuda.show_config(mode="dicts")
    assert config["available"] is False and config["library"] is None
    assert spkernels.cuda.show_config() is None
    assert capsys.readouterr().out.startswith("available: False\nmissing: spkernels' library")
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts'"):
        spkernels.cuda.show_config("json")


def test_spkernels_does_not_need_it():
    """Importing the package loads nothing of it, and importing it loads no library of arrays."""
    code = (
        "import sys, spkernels; assert 'spkernels.cuda' not in sys.modules; import spkernels.cuda; "
        "assert not {'cupy', 'torch', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd="/")


def test_a_matrix_says_what_it_is_and_cannot_be_pickled():
    """Without a GPU: of a source that has packed nothing, or stands for one that has."""
    A = sp.csr_array(np.eye(3, 4, dtype=np.float32))
    source = Source(rows_of(A, "A"), None, "float32", "strict", "auto", ("sddmm", "spmm"), 64)
    W = CudaMatrix(source)
    facts = "3 stored, float32, for sddmm and spmm"
    assert repr(W) == f"<CudaMatrix of 3 x 4, {facts}, kernel not chosen yet>"
    assert repr(W.T) == f"<CudaMatrix of 4 x 3, {facts}, kernel not chosen yet, transposed>"
    source._packed[0] = SimpleNamespace(kernel_name=lambda n: f"rows for {n}", nbytes=1000)
    assert repr(W) == f"<CudaMatrix of 3 x 4, {facts}, kernel rows for 64>"
    assert type(W).__sizeof__(W) == object.__sizeof__(W) + 1000
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a CudaMatrix cannot be pickled or copied, as it lies"):
            copied(W)
