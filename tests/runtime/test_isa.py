"""Every instruction set of the machine: forced by SPKERNELS_ISA, then put to the same tests."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT, TESTS

import spkernels
from spkernels import _core

CONFIG = spkernels.show_config("dicts")
AVAILABLE = CONFIG["simd"]["available"]
PRINT = "import spkernels; print(spkernels.show_config('dicts')['simd']['in use'])"


def test_the_portable_kernels_are_always_there():
    assert AVAILABLE[0] == "scalar"
    assert CONFIG["simd"]["in use"] in AVAILABLE


@pytest.mark.parametrize("isa", AVAILABLE)
def test_spkernels_isa_forces_one(isa, run_script):
    assert run_script(PRINT, env={"SPKERNELS_ISA": isa}).stdout.strip() == isa


@pytest.mark.parametrize("value", [None, ""])
def test_without_it_the_widest_is_used(value, run_script):
    assert run_script(PRINT, env={"SPKERNELS_ISA": value}).stdout.strip() == AVAILABLE[-1]


@pytest.mark.parametrize("value", ["sse9", "AVX2", "avx", "avx2 ", "scalar,avx2"])
def test_an_unsupported_value_is_an_error(value, run_script):
    done = run_script(PRINT, env={"SPKERNELS_ISA": value}, check=False)
    assert done.returncode != 0
    assert f"SPKERNELS_ISA={value!r} is not supported here" in done.stderr
    assert ", ".join(AVAILABLE) in done.stderr


def test_another_processor_is_an_error(run_script):
    missing = {"avx2", "avx512", "neon"} - set(AVAILABLE)
    for isa in missing:
        done = run_script(PRINT, env={"SPKERNELS_ISA": isa}, check=False)
        assert done.returncode != 0
        assert f"SPKERNELS_ISA={isa!r} is not supported here" in done.stderr


@pytest.mark.parametrize("isa", [isa for isa in AVAILABLE if isa != CONFIG["simd"]["in use"]])
def test_all_kernels_under(isa, request, two_at_once, tmp_path_factory):
    """Runs the tests marked every_isa again; those of the set in use have run anyway."""
    marked = "@pytest.mark." + "every_isa"
    files = [path for path in sorted(TESTS.rglob("test_*.py")) if marked in path.read_text()]

    def run(isa):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "every_isa", "-p", "no:cacheprovider",
             "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), *map(str, files)],
            cwd=tmp_path_factory.mktemp("isa"),
            env={"HYPOTHESIS_PROFILE": "again", **os.environ, "SPKERNELS_ISA": isa},
            capture_output=True,
            text=True,
        )  # fmt: skip

    done = two_at_once(request, "isa", run)
    assert done.returncode == 0, done.stdout[-4000:]


def test_show_config_prints_what_it_returns(capsys, monkeypatch):
    # Else it counts what the machine does meanwhile.
    monkeypatch.setattr(_core, "contended_regions", lambda: 7)
    assert spkernels.show_config() is None
    printed = capsys.readouterr().out
    config = spkernels.show_config(mode="dicts")
    assert config["threads"]["contended regions"] == 7
    for section, entries in config.items():
        assert f"{section}:" in printed
        for name, value in entries.items():
            assert f"  {name}: {', '.join(value) if isinstance(value, list) else value}" in printed
    assert CONFIG["spkernels"]["version"] == spkernels.__version__
    assert CONFIG["threads"]["default"] == spkernels.get_num_threads()
