"""The command line: what it prints, what it measures, and what it says when something is wrong."""

import argparse
import dataclasses
import functools
import gzip
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import threadpoolctl
from conftest import NO_REAL_DATA, REAL_DATA
from hypothesis import given
from hypothesis import strategies as st

import spkernels
from spkernels import datasets
from spkernels.__main__ import main
from spkernels._runtime import settling
from spkernels.cli import (
    COMMANDS,
    accuracy,
    affinity,
    conclusion,
    info,
    measure,
    report,
    sources,
    survey,
    table,
    timing,
)

#: Options that make a product as cheap as it gets.
QUICK = ["--seconds", "0", "--repeat", "1"]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Let the default plot, and Python's own idea of where packages are, be in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def brief(monkeypatch):
    """Take samples that are shorter still, and take them whatever else runs here."""
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "WARM_UP_SECONDS", 1e-5)
    monkeypatch.setattr(settling, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "DISTURBED_SHARE", float("inf"))


@pytest.fixture
def layer(tmp_path):
    path = tmp_path / "layer.smtx"
    datasets.save_smtx(path, datasets.random_pruned(40, 30, 0.8, rng=0))
    return path


def start(*arguments, **options):
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "spkernels", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def demo_json(capsys, *arguments, status=0):
    assert main(["demo", "--json", "--no-plot", *QUICK, *map(str, arguments)]) == status
    return json.loads(capsys.readouterr().out)


def make_timing(seconds, noisy=False):
    return timing.Timing(seconds, seconds, seconds, 5, 0, noisy, waited=1.0 if noisy else 0.0)


def make_cell(nnz=100, columns=8, dense=2.0, scipy=3.0, **changes):
    """Make a cell of a 10 x 100 matrix whose spkernels time is 1 ms; others in its multiples."""
    timings = {"scipy": make_timing(scipy * 1e-3), "spkernels": make_timing(1e-3)}
    if dense is not None:
        timings["dense"] = make_timing(dense * 1e-3)
    cell = measure.Cell(
        name="matrix",
        shape=(10, 100),
        nnz=nnz,
        format="csr",
        dtype="float32",
        columns=columns,
        kernel="scalar spmv_csr, 1 thread",
        error=0.1,
        timings=timings,
    )
    return dataclasses.replace(cell, **changes)


# The commands


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "info" in err and "demo" in err


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"spkernels {spkernels.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "program"),
    [
        ("/usr/bin/spkernels", "spkernels"),
        ("/site-packages/spkernels/__main__.py", "python -m spkernels"),
        ("/usr/bin/pytest", "python -m spkernels"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_can_be_typed_and_fits(capsys, monkeypatch, command, typed, program):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", [typed, command, "--help"])
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {program} {command} ")
    examples = out.partition("\nexamples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) >= 3 and all(f"{program} {command}" in line for line in examples)
    assert program in out and (program == "python -m spkernels") is ("python -m" in out)
    assert max(map(len, out.splitlines())) <= 100


def test_both_programs_say_their_names():
    program = Path(sys.executable).with_name("spkernels")
    for command, name in (
        ([program], "spkernels"),
        ([sys.executable, "-m", "spkernels"], "python -m spkernels"),
    ):
        done = subprocess.run([*command, "demo", "--help"], capture_output=True, text=True)
        assert done.stdout.startswith(f"usage: {name} demo ")
        done = subprocess.run([*command, "unknown"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"usage: {name} ")


def test_help_of_the_demo_explains_every_column(capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    explained = capsys.readouterr().out.partition("what the columns mean:")[2]
    for column in ("nonzeros", "sparsity", "N", "ms", "GFLOP/s", "vs dense", "vs scipy", "error"):
        assert column in table.HEADER
        assert f"\n  {column} " in explained


def test_a_command_is_a_module_with_two_functions():
    for name in COMMANDS:
        command = importlib.import_module(f"spkernels.cli.{name}")
        commands = argparse.ArgumentParser().add_subparsers()
        command.add_parser(commands)
        (parser,) = commands.choices.values()
        assert parser.get_default("run") is command.run


def test_the_package_and_info_load_neither_matplotlib_nor_tqdm(run_script):
    run_script(
        "import sys, spkernels\n"
        "from spkernels.__main__ import main\n"
        "assert main(['info']) == 0\n"
        "assert not {'matplotlib', 'tqdm'} & set(sys.modules)\n"
    )


def test_the_demo_does_not_load_the_bench(layer, run_script):
    run_script(
        "import sys\n"
        "from spkernels.__main__ import main\n"
        f"assert main(['demo', {str(layer)!r}, '--no-plot', *{QUICK!r}]) == 0\n"
        "assert not [name for name in sys.modules if name.startswith('spkernels.bench')]\n"
    )


# info


def test_info_in_a_process_of_its_own():
    with start("info", "--json") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    found = json.loads(out)
    config = spkernels.show_config(mode="dicts")
    assert found["spkernels"] == config["spkernels"]
    assert found["simd"] == config["simd"]
    assert found["python"]["executable"] == sys.executable
    assert found["machine"]["CPUs"] == os.cpu_count()
    assert Path(found["C interface"]["package"]).name == "spkernels"
    blas = [path for path, text in found["runtimes"].items() if "(blas)" in text]
    loaded = {library["filepath"] for library in threadpoolctl.threadpool_info()}
    assert blas and set(blas) <= loaded


def test_info_as_text_says_the_same(capsys, monkeypatch):
    monkeypatch.setenv("SPKERNELS_TEST", "a setting")
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for section, entries in info.collect().items():
        assert f"{section}:\n" in out
        for name in entries:
            assert f"\n  {name}:" in out
    assert "\n  SPKERNELS_TEST: a setting\n" in out
    assert f"\n  in use: {spkernels.show_config(mode='dicts')['simd']['in use']}\n" in out


def test_info_has_the_folders_of_the_c_interface_only_if_they_exist(tmp_path, monkeypatch):
    monkeypatch.setattr(info, "__file__", str(tmp_path / "cli" / "info.py"))
    (tmp_path / "include").mkdir()
    assert info.collect()["C interface"] == {
        "package": str(tmp_path),
        "include": str(tmp_path / "include"),
        "lib": None,
    }


def test_info_lists_what_is_needed_and_what_is_optional():
    found = info.collect()
    assert found["GPU"]["available"] is (found["GPU"]["missing"] is None)
    assert found["python"]["threadpoolctl"] == threadpoolctl.__version__
    assert set(found["optional packages"]) == {"matplotlib", "tqdm"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SPKERNELS_ISA", "SPKERNELS_ISA='bogus' is not supported here"),
        ("SPKERNELS_NUM_THREADS", "SPKERNELS_NUM_THREADS must be a positive integer, got 'bogus'"),
    ],
)
def test_a_bad_environment_is_told_in_the_last_line(name, message):
    with start("info", env={**os.environ, name: "bogus"}) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert message in err.splitlines()[-1]


# The demo on its own matrices


def test_demo_without_arguments(capsys, brief):
    assert main(["demo", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert max(map(len, lines)) <= table.WIDTH
    names = [source.name for source in sources.generated(0)]
    assert [name for name in names if any(line.startswith(name) for line in lines)] == names
    assert "dense left out (1.6 GB)" in out
    assert "\nDoes sparsity pay here?\nN = 128: " in out
    assert out.endswith("Plot: spkernels-demo.png\n")
    assert Path("spkernels-demo.png").read_bytes().startswith(PNG)


def test_generated_matrices_depend_on_the_seed_alone(capsys, brief, monkeypatch):
    few = [source.name for source in sources.generated(0)][-2:]
    generated = sources.generated
    monkeypatch.setattr(sources, "generated", lambda seed: generated(seed)[-2:])
    first, again, other = (demo_json(capsys, "--seed", seed)["results"] for seed in (3, 3, 4))
    assert [result["name"] for result in first] == few
    assert [result["error"] for result in first] == [result["error"] for result in again]
    assert [result["error"] for result in first] != [result["error"] for result in other]


# The demo on files


def test_json_schema_and_arithmetic(capsys, brief, layer):
    found = demo_json(capsys, layer, "-n", 3, 8, "--workers", 1)
    assert set(found) == {
        "config", "settings", "results", "conclusions", "skipped", "ignored", "interrupted", "plot",
    }  # fmt: skip
    assert found["config"] == spkernels.show_config(mode="dicts")
    assert found["settings"] == {
        "columns": [3, 8], "dtype": "float32", "threads": 1, "seconds": 0.0, "rounds": 1, "seed": 0,
    }  # fmt: skip
    assert (found["skipped"], found["interrupted"], found["plot"]) == ([], False, None)
    assert found["ignored"] == 0
    assert [result["columns"] for result in found["results"]] == [3, 8]
    assert [each["columns"] for each in found["conclusions"]] == [3, 8]
    for result in found["results"]:
        assert result["name"] == "layer.smtx"
        assert (result["shape"], result["nnz"]) == ([40, 30], 240)
        assert result["sparsity"] == pytest.approx(0.8)
        assert (result["format"], result["dtype"]) == ("csr", "float32")
        assert result["isa"] == found["config"]["simd"]["in use"]
        assert result["kernel"].startswith(result["isa"]) and "1 thread" in result["kernel"]
        assert 0 < result["error"] < 1
        assert set(result["peers"]) == {"scipy", "dense", "spkernels"}
        for peer in result["peers"].values():
            assert 0 < peer["low"] <= peer["seconds"] <= peer["high"]
            assert peer["samples"] >= 1
            flops = 2 * result["nnz"] * result["columns"]
            assert peer["gflops"] == pytest.approx(flops / peer["seconds"] / 1e9)
        for peer, ratio in result["speedup"].items():
            ours = result["peers"]["spkernels"]["seconds"]
            assert ratio == pytest.approx(result["peers"][peer]["seconds"] / ours)


def write_every_format(folder):
    """Write a matrix per format, and matrices that are odd; return name -> nnz."""
    A = datasets.random_pruned(20, 30, 0.9, rng=1)
    (folder / "deep" / "er").mkdir(parents=True)
    datasets.save_smtx(folder / "a.smtx", A)
    datasets.save_smtx(folder / "deep" / "b.smtx.gz", A)
    scipy.io.mmwrite(folder / "c.mtx", A)
    content = (folder / "c.mtx").read_bytes()
    (folder / "deep" / "d.mtx.gz").write_bytes(gzip.compress(content))
    sp.save_npz(folder / "deep" / "er" / "e.npz", A)
    scipy.io.savemat(folder / "f.mat", {"A": A.astype(np.float64)})
    sp.save_npz(folder / "g-complex.npz", A * (1 + 2j))
    sp.save_npz(folder / "h-integers.npz", sp.csr_array(A != 0).astype(np.int16))
    sp.save_npz(folder / "i-empty.npz", sp.csr_array((20, 30)))
    sp.save_npz(folder / "j-no-rows.npz", sp.csr_array((0, 30)))
    # Twice the same place, and a stored zero.
    doubled = sp.csr_array(([1.0, 2.0, 0.0], [4, 4, 7], [0, 3]), shape=(1, 9))
    sp.save_npz(folder / "k-doubled.npz", doubled)
    (folder / "notes.txt").write_text("not a matrix")
    odd = {"i-empty.npz": 0, "j-no-rows.npz": 0, "k-doubled.npz": 3}
    names = ["a.smtx", "c.mtx", "deep/b.smtx.gz", "deep/d.mtx.gz", "deep/er/e.npz", "f.mat"]
    return dict.fromkeys([*names, "g-complex.npz", "h-integers.npz"], 60) | odd


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_folder_with_every_format(tmp_path, capsys, brief, dtype):
    folder = tmp_path / "matrices"
    folder.mkdir()
    expected = write_every_format(folder)
    found = demo_json(capsys, folder, "-n", 1, 5, "--dtype", dtype)
    by_name = {result["name"].replace(os.sep, "/"): result for result in found["results"]}
    assert {name: result["nnz"] for name, result in by_name.items()} == expected
    assert len(found["results"]) == 2 * len(expected)
    for name, result in by_name.items():
        assert 0 <= result["error"] < 1
        if name == "g-complex.npz":
            assert result["dtype"] == {"float32": "complex64", "float64": "complex128"}[dtype]
            assert "scipy" in result["kernel"]
        else:
            assert result["dtype"] == dtype
            assert "spmm_csr" in result["kernel"]


def test_a_folder_as_text_and_as_a_plot(tmp_path, capsys, brief):
    folder = tmp_path / "matrices"
    folder.mkdir()
    expected = write_every_format(folder)
    picture = tmp_path / "picture.png"
    assert main(["demo", str(folder), "-n", "4", *QUICK, "--output", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert err == "1 file was ignored: not .smtx, .mtx, .npz or .mat\n"
    assert max(map(len, out.splitlines())) <= table.WIDTH
    assert all(f"\n{name.replace('/', os.sep)} " in out for name in expected)
    assert "nan" not in out and "inf" not in out
    assert picture.read_bytes().startswith(PNG)


def test_a_matrix_without_nonzeros_alone_has_no_plot(tmp_path, capsys, brief):
    sp.save_npz(tmp_path / "empty.npz", sp.csr_array((5, 4)))
    assert main(["demo", str(tmp_path / "empty.npz"), *QUICK]) == 0
    out, err = capsys.readouterr()
    assert "nothing to gain, it has no entries;" in out
    assert "N = 128: nothing to gain, no matrix has an entry." in out
    assert "pays" not in out and "faster" not in out
    assert "Plot" not in out
    assert err.startswith("no plot: ") and len(err.splitlines()) == 1
    assert not Path("spkernels-demo.png").exists()


def test_ignored_files_are_counted(tmp_path, capsys, brief, layer):
    folder = tmp_path / "matrices"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "layer.smtx").write_bytes(layer.read_bytes())
    for name in ("notes.txt", "deep/weights.pt", "deep/x.raw", ".hidden", ".git/HEAD"):
        (folder / name).write_text("no matrix")
    assert demo_json(capsys, folder)["ignored"] == 3
    assert demo_json(capsys, folder / "layer.smtx")["ignored"] == 0
    assert main(["demo", str(folder), "--no-plot", *QUICK]) == 0
    assert capsys.readouterr().err == "3 files were ignored: not .smtx, .mtx, .npz or .mat\n"


def test_names_leave_out_what_files_share(tmp_path, layer):
    other = tmp_path / "sub" / "other.smtx"
    other.parent.mkdir()
    other.write_bytes(layer.read_bytes())
    found, _ = sources.from_paths([str(other)], 0)
    assert [source.name for source in found] == ["other.smtx"]
    both, _ = sources.from_paths([str(layer), str(other)], 0)
    assert [source.name for source in both] == ["layer.smtx", os.path.join("sub", "other.smtx")]


def test_one_of_several_matrices_in_a_file(tmp_path, capsys, brief):
    path = tmp_path / "two.mat"
    A = sp.csc_array(datasets.random_pruned(6, 8, 0.5, rng=0).astype(np.float64))
    scipy.io.savemat(path, {"A": A, "B": A.T.tocsc()})
    found = demo_json(capsys, f"{path}#B")
    assert [result["name"] for result in found["results"]] == ["two.mat#B"]
    assert found["results"][0]["shape"] == [8, 6]
    # Without a key, all of them; in a folder too.
    for name in (path, tmp_path):
        found = demo_json(capsys, name)
        assert [result["name"] for result in found["results"]] == ["two.mat#A", "two.mat#B"]
        assert [result["shape"] for result in found["results"]] == [[6, 8], [8, 6]]
    # But of SuiteSparse's files the matrix, not what comes with it.
    scipy.io.savemat(path, {"Problem": {"A": A, "Zeros": A}})
    assert [result["name"] for result in demo_json(capsys, path)["results"]] == ["two.mat"]
    scipy.io.savemat(path, {"A": A, "B": A})
    reason = demo_json(capsys, f"{path}#C", status=1)["skipped"][0]["reason"]
    assert "A" in reason and "B" in reason


def test_a_large_dense_form_is_left_out(capsys, brief, layer, monkeypatch):
    monkeypatch.setattr(measure, "DENSE_LIMIT", 40 * 30 * 4 - 1)
    assert main(["demo", str(layer), *QUICK]) == 0
    out = capsys.readouterr().out
    assert "dense left out" in out
    assert "no dense form was small enough" in out
    monkeypatch.setattr(measure, "DENSE_LIMIT", 40 * 30 * 4)
    assert "dense" in demo_json(capsys, layer)["results"][0]["peers"]


def test_workers_limit_both_spkernels_and_the_dense_product(capsys, brief, layer, monkeypatch):
    def blas_threads():
        found = threadpoolctl.threadpool_info()
        return {library["num_threads"] for library in found if library["user_api"] == "blas"}

    seen, ours = [], []
    real_product, real_spmm = measure._product, measure.spmm

    def product(A, B):
        seen.append(blas_threads())
        return real_product(A, B)

    def spmm(A, B, workers):
        ours.append(workers)
        return real_spmm(A, B, workers=workers)

    monkeypatch.setattr(measure, "_product", product)
    monkeypatch.setattr(measure, "spmm", spmm)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        assert main(["demo", str(layer), *QUICK, "--no-plot", "--workers", "1"]) == 0
        assert blas_threads() == before
    assert set(map(frozenset, seen)) == {frozenset({1})}
    assert set(ours) == {1}
    assert "on 1 thread," in capsys.readouterr().out


# Errors


def test_missing_paths_are_named_before_anything_is_measured(tmp_path, capsys, layer):
    missing = [str(tmp_path / "no.smtx"), str(tmp_path / "neither")]
    # Only a file has keys.
    missing += [f"{tmp_path}#key", "#key", f"{tmp_path / 'no.mat'}#key"]
    assert main(["demo", str(layer), *missing]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"{path}: no such file or folder" for path in missing]


def test_a_folder_without_matrices(capsys, tmp_path):
    folder = tmp_path / "nothing"
    folder.mkdir()
    assert main(["demo", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and str(folder) in err


def test_malformed_files_are_skipped(tmp_path, capsys, brief, layer):
    cut = tmp_path / "cut.smtx"
    cut.write_bytes(layer.read_bytes()[:50])
    unknown = tmp_path / "table.csv"
    unknown.write_text("1,2")
    arguments = [str(cut), str(layer), str(unknown), "--no-plot", *QUICK]
    assert main(["demo", *arguments]) == 1
    out, err = capsys.readouterr()
    assert "layer.smtx" in out and "Does sparsity pay" in out
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "skipped cut.smtx",
        "skipped table.csv",
    ]
    found = demo_json(capsys, cut, layer, unknown, status=1)
    assert [skipped["name"] for skipped in found["skipped"]] == ["cut.smtx", "table.csv"]
    assert len(found["results"]) == 1


def test_malformed_files_alone(tmp_path, capsys):
    path = tmp_path / "bad.mtx"
    path.write_text("%%MatrixMarket but not really\n")
    assert main(["demo", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "Does sparsity pay" not in out
    assert "Traceback" not in err and len(err.splitlines()) == 1


def test_too_little_memory_skips_a_matrix(capsys, brief, layer, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(measure, "_dense_operand", fail)
    found = demo_json(capsys, layer, status=1)
    assert found["skipped"] == [{"name": "layer.smtx", "reason": "not enough memory"}]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--columns", "0", "positive integer, got '0'"),
        ("--columns", "two", "positive integer, got 'two'"),
        ("--repeat", "-1", "expected"),
        ("--seconds", "soon", "seconds, at least 0, got 'soon'"),
        ("--seconds", "inf", "seconds, at least 0, got 'inf'"),
        ("--seed", "-1", "at least 0"),
        ("--workers", "0", "workers must be a positive or negative"),
        ("--workers", "99999999999999999999", "expected at most"),
        ("--dtype", "int8", "float32"),
    ],
)
def test_wrong_options(capsys, option, value, message):
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"{option}={value}"])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("output", ["missing/plot.png", "plot.txt"])
def test_a_wrong_output_is_found_before_measuring(capsys, layer, output):
    assert main(["demo", str(layer), "--output", output]) == 2
    out, err = capsys.readouterr()
    assert out == "" and output in err and len(err.splitlines()) == 1


def test_a_plot_that_cannot_be_written(capsys, brief, layer):
    Path("taken.png").mkdir()
    assert main(["demo", str(layer), *QUICK, "--output", "taken.png"]) == 1
    out, err = capsys.readouterr()
    assert "Plot" not in out
    assert err.startswith("no plot: ") and len(err.splitlines()) == 1


def test_without_matplotlib_and_tqdm(run_script, layer):
    done = run_script(
        "import sys\n"
        "sys.modules['matplotlib'] = sys.modules['tqdm'] = None\n"
        "sys.stderr.isatty = lambda: True\n"
        "from spkernels.__main__ import main\n"
        f"sys.exit(main(['demo', {str(layer)!r}, *{QUICK!r}]))\n"
    )
    assert "pip install matplotlib" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Does sparsity pay" in done.stdout and "Plot" not in done.stdout
    assert not list(Path().glob("*.png"))


# Ctrl-C


@pytest.fixture
def interrupting(monkeypatch):
    """Let the third product be interrupted."""
    real, done = measure.measure, []

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments)
        return real(*arguments)

    monkeypatch.setattr("spkernels.cli.survey.measure", interrupted)


def test_ctrl_c_keeps_what_was_measured(capsys, brief, layer, interrupting):
    assert main(["demo", str(layer), "-n", "1", "2", "3", "4", *QUICK]) == 130
    out, err = capsys.readouterr()
    assert "interrupted" in err and "Traceback" not in err
    assert "\nN = 1: " in out and "\nN = 2: " in out and "\nN = 3: " not in out
    assert not list(Path().glob("*.png"))


def test_ctrl_c_with_json(capsys, brief, layer, interrupting):
    found = demo_json(capsys, layer, "-n", 1, 2, 3, 4, status=130)
    assert found["interrupted"] is True
    assert [result["columns"] for result in found["results"]] == [1, 2]


def test_ctrl_c_anywhere_else(monkeypatch):
    def interrupted(seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "generated", interrupted)
    assert main(["demo"]) == 130


@pytest.mark.skipif(os.name != "posix", reason="Signals are those of POSIX.")
def test_a_real_signal(layer):
    arguments = ("demo", layer, "-n", "1", "2", "--seconds", "0.2", "--repeat", "1000000")
    # Ctrl-C is ignored by what a shell starts in the background, and by its children.
    restore = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with start(*arguments, preexec_fn=restore) as process:
        try:
            # The table's head comes before the first product, which would last for hours.
            assert any(line.startswith("---") for line in process.stdout)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "interrupted" in err and "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="Pipes are those of POSIX.")
def test_a_reader_that_goes_away(layer):
    with start("demo", layer, "--no-plot", "--seconds", "0.2") as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (1, "")


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_progress_bar_on_a_terminal_stays_on_stderr(capsys, brief, layer, monkeypatch):
    pytest.importorskip("tqdm", reason="tqdm is not installed.")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["demo", str(layer), "-n", "1", "2", "--no-plot", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "layer.smtx: " in terminal.getvalue() and "0/2" in terminal.getvalue()
    assert "\r" not in out
    assert max(map(len, out.splitlines())) <= table.WIDTH


# Accuracy


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 5),
    st.floats(0, 1),
    st.sampled_from(["float32", "float64", "complex64", "complex128"]),
    st.integers(0, 2**32 - 1),
)
def test_a_right_product_is_within_its_bound_and_a_wrong_one_is_not(m, k, n, density, dtype, seed):
    rng = np.random.default_rng(seed)
    A = sp.csr_array(sp.random(m, k, density, "csr", None, rng)).astype(dtype)
    B = rng.standard_normal((k, n)).astype(dtype)
    if dtype.startswith("complex"):
        A.data = A.data * np.exp(1j * rng.random(A.nnz)).astype(dtype)
        B = B * np.exp(1j * rng.random((k, n))).astype(dtype)
    C = A @ B
    assert 0 <= accuracy.worst_error(A, B, C) < 1
    i, j = rng.integers(m), rng.integers(n)
    terms = A.indptr[i + 1] - A.indptr[i] + 2
    bound = terms * np.finfo(dtype).eps / 2 * (abs(A).toarray()[i] @ np.abs(B[:, j]))
    C[i, j] += 3 * bound + np.finfo(dtype).tiny
    assert accuracy.worst_error(A, B, C) > 1


def test_an_error_is_measured_in_units_of_the_bound():
    A = sp.csr_array(np.array([[1.0, 2.0], [0.0, 4.0]], dtype=np.float32))
    B = np.array([[1.0], [1.0]], dtype=np.float32)
    C = A @ B
    unit = np.finfo(np.float32).eps / 2
    C[1] += np.float32(4 * 2 * unit)  # twice u times |a||b| = 4, in a sum of one term
    assert accuracy.worst_error(A, B, C) == pytest.approx(2, rel=1e-6)


def test_measuring_an_error_changes_nothing():
    A = sp.csr_array(([1.0, 2.0, 4.0], [1, 0, 1], [0, 3]), shape=(1, 2))
    before = A.data.copy(), A.indices.copy(), A.indptr.copy()
    assert accuracy.worst_error(A, np.ones((2, 1)), np.full((1, 1), 7.0)) == 0
    for array, kept in zip((A.data, A.indices, A.indptr), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_errors_of_many_columns_and_of_what_is_not_finite(monkeypatch):
    monkeypatch.setattr(accuracy, "_CHUNK", 3)
    A = sp.csr_array(np.eye(3, dtype=np.float32))
    B = np.ones((3, 7), dtype=np.float32)
    C = A @ B
    assert accuracy.worst_error(A, B, C) == 0
    C[2, 6] = 2
    assert accuracy.worst_error(A, B, C) > 1
    C[0, 0] = np.nan
    assert np.isnan(accuracy.worst_error(A, B, C))


def test_errors_where_numbers_are_too_large():
    A = sp.csr_array(np.array([[2e38, 2e38], [1, 0], [np.inf, 1], [np.nan, 0]], dtype=np.float32))
    B = np.ones((2, 1), dtype=np.float32)
    C = A @ B
    assert np.isinf(C[0, 0])
    assert accuracy.worst_error(A, B, C) == 0
    for row, wrong in ((1, 2), (2, 1), (3, 1)):
        changed = C.copy()
        changed[row] = wrong
        assert accuracy.worst_error(A, B, changed) > 1


def test_values_beyond_the_precision_are_skipped(tmp_path, capsys, brief):
    path = tmp_path / "large.npz"
    sp.save_npz(path, sp.csr_array(np.array([[1e300, 1.0], [np.inf, 0.0]])))
    found = demo_json(capsys, path, status=1)
    reason = found["skipped"][0]["reason"]
    assert reason == "expected values in the range of float32, found larger ones"
    found = demo_json(capsys, path, "--dtype", "float64")
    assert found["results"][0]["error"] < 1


def test_a_wrong_result_is_shouted_about(capsys, brief, layer, monkeypatch):
    monkeypatch.setattr(measure, "spmm", lambda A, B, workers: A @ B + 1)
    assert main(["demo", str(layer), "--no-plot", *QUICK]) == 0
    assert "WARNING: a result is off by" in capsys.readouterr().out


def test_a_change_of_precision_keeps_duplicates():
    A = sp.csr_array(([1.0, 2.0], [0, 0], [0, 2]), shape=(1, 1))
    changed = measure.in_precision(A, np.dtype(np.float32))
    assert (changed.nnz, changed.dtype) == (2, np.float32)


# Timing


def test_peers_take_turns(brief):
    calls = []
    peers = {name: lambda name=name: calls.append(name) for name in ("a", "b", "c")}
    found = timing.interleave(peers, seconds=0, rounds=4, threads=1)
    assert set(found) == {"a", "b", "c"}
    # Once each before the rounds, then once per round, each turn being calls in a row.
    turns = [name for name, before in zip(calls, [None, *calls], strict=False) if name != before]
    assert turns == ["a", "b", "c"] * 5
    assert all(1 <= each.samples + each.dropped for each in found.values())


def test_times_are_those_of_the_calls():
    peers = {"short": lambda: time.sleep(0.002), "long": lambda: time.sleep(0.01)}
    found = timing.interleave(peers, seconds=0.1, rounds=2, threads=1)
    assert 0.002 <= found["short"].seconds < 0.01 <= found["long"].seconds < 0.1


def test_measuring_lasts_as_long_as_asked():
    began = time.perf_counter()
    found = timing.interleave({"a": lambda: time.sleep(0.004)}, seconds=0.3, rounds=1, threads=1)
    assert time.perf_counter() - began >= 0.3
    assert found["a"].samples + found["a"].dropped > 3


def test_disturbed_samples_are_dropped():
    samples = [timing.Sample(1, 0), timing.Sample(9, 0.5), timing.Sample(3, 0.04)]
    assert timing.summary(samples) == timing.Timing(2, 1.5, 2.5, 2, 1, False, 0.04)


def test_among_disturbed_samples_the_least_disturbed_count():
    samples = [timing.Sample(seconds, seconds / 10) for seconds in (8, 7, 2, 6, 1, 5, 4, 3)]
    assert timing.summary(samples) == timing.Timing(1.5, 1.25, 1.75, 2, 6, True, 0.2)
    assert timing.summary([timing.Sample(1, 0.9)]).noisy


@pytest.mark.parametrize("tick", [1e-6, 0.004, 0.0099])
def test_settling_waits_for_busy_threads(monkeypatch, tick):
    clock = {"wall": 0.0, "cpu": 0.0}

    def sleep(seconds):
        clock["wall"] += seconds
        # Another thread spins for 50 ms; the system counts its time at ticks alone.
        clock["cpu"] = min(clock["wall"], 0.05) // tick * tick

    monkeypatch.setattr(settling.time, "sleep", sleep)
    monkeypatch.setattr(settling.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(settling.time, "process_time", lambda: clock["cpu"])
    settling.settle()
    assert 0.05 <= clock["wall"] < 0.08
    monkeypatch.setattr(settling.time, "process_time", lambda: clock["wall"])
    settling.settle()  # never quiet
    assert settling.SETTLE_SECONDS <= clock["wall"] < 2 * settling.SETTLE_SECONDS


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="Only Linux counts it.")
def test_waiting_for_a_cpu_is_noticed(run_script):
    done = run_script(
        "import os, threading, time\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from spkernels._runtime import settling\n"
        "quiet = settling.waited()\n"
        "busy = [os.fork() for _ in range(2)]\n"
        "if 0 in busy:\n"
        "    end = time.perf_counter() + 0.6\n"
        "    while time.perf_counter() < end: pass\n"
        "    os._exit(0)\n"
        "end = time.perf_counter() + 0.3\n"
        "while time.perf_counter() < end: pass\n"
        "print(settling.waited() - quiet)\n"
    )
    assert float(done.stdout) > 0.05


def affinities():
    return {task: os.sched_getaffinity(task) for task in affinity.helpers()}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Only Linux lists threads there.")
def test_threads_of_libraries_are_placed_and_released():
    square = np.ones((600, 600))
    square @ square  # makes the threads of the BLAS, if it has any
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2 or not affinity.helpers():
        pytest.skip("It needs two CPUs and a library with threads.")
    before = affinities()
    with affinity.one_per_cpu(len(cpus)) as move_caller:
        placed = affinities()
        assert all(len(allowed) == 1 and cpus[0] not in allowed for allowed in placed.values())
        move_caller()
        assert sorted(os.sched_getaffinity(0)) == cpus
    assert affinities() == before
    with affinity.one_per_cpu(len(cpus) - 1) as move_caller:
        assert affinities() == before
        move_caller()


# The table


def test_verdicts():
    assert table.verdict(make_cell(dense=1.05)) == "sparsity pays"
    assert table.verdict(make_cell(dense=1.04)) == "a draw with dense"
    assert table.verdict(make_cell(dense=0.96)) == "a draw with dense"
    assert table.verdict(make_cell(dense=0.95)) == "dense is faster"
    assert table.verdict(make_cell(dense=2, scipy=0.9)) == "sparsity pays, scipy is faster"
    big = make_cell(dense=None, shape=(100_000, 5_000))
    assert table.verdict(big) == "dense left out (2 GB)"


def test_lines_of_a_cell():
    cell = make_cell(nnz=250_000, columns=16, dense=0.5, scipy=12.34)
    cell.timings["dense"] = make_timing(0.002, noisy=True)
    first, second = table.cell_lines(cell).splitlines()
    assert first.split() == [
        "16", "12.3", "0.648", "~2.00", "4.00", "1.00", "8.00", "2.00x", "12.3x", "0.100",
    ]  # fmt: skip
    assert second == "        too disturbed to tell; scalar spmv_csr, 1 thread"


@pytest.mark.parametrize(
    ("share", "short", "long"),
    [
        (0.5, "50%", "50.00%"),
        (0.996, "99.6%", "99.60%"),
        (0.99982, "99.98%", "99.98%"),
        (0.999962, "99.996%", "99.996%"),
        (1.0, "100%", "100.00%"),
    ],
)
def test_a_share_near_one_keeps_its_digits(share, short, long):
    assert (table.percent(share), table.percent(share, 2)) == (short, long)


def test_an_error_within_its_bound_does_not_look_like_one():
    assert table.cell_lines(make_cell(error=0.9999)).splitlines()[0].endswith(" 0.999")
    assert table.cell_lines(make_cell(error=1.0)).splitlines()[0].endswith(" 1.00")


def test_a_long_name_has_a_line_of_its_own():
    short, long = make_cell(name="a" * 55), make_cell(name="folder/" + "a" * 60)
    assert len(table.matrix_lines(short)) == table.WIDTH
    name, facts = table.matrix_lines(long).splitlines()
    assert name == long.name
    assert facts == table.matrix_lines(short)[56:].rjust(table.WIDTH)


@given(st.floats(0.01, 1e9))
def test_numbers_keep_three_digits(value):
    text = table.significant(value)
    assert float(text) == pytest.approx(value, rel=0.006)
    assert "e" not in text


def test_small_numbers():
    shown = [table.significant(value) for value in (0.0, 0.00012, float("nan"), float("inf"))]
    assert shown == ["0", "0.0001", "nan", "inf"]


@given(
    st.builds(
        make_cell,
        nnz=st.integers(0, 10**9),
        columns=st.integers(1, 999),
        dense=st.none() | st.floats(0.1, 1e4),
        scipy=st.floats(0.1, 1e4),
        name=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200),
        shape=st.tuples(st.integers(0, 10**8 - 1), st.integers(0, 10**8 - 1)),
        error=st.floats(0, 1000) | st.just(float("nan")),
        kernel=st.just("avx512 spmm_csr_1x4v packed, blocks of 123456 rows, 128 threads"),
    )
)
def test_lines_fit(cell):
    lines = [*table.matrix_lines(cell).splitlines(), *table.cell_lines(cell).splitlines()]
    assert max(map(len, lines)) <= table.WIDTH


# Conclusions


def conclude(*pairs, **options):
    """Conclude from (nonzeros of 1000, speed-up over dense)."""
    return conclusion.conclude([make_cell(nnz=n, dense=d, **options) for n, d in pairs])[0]


def test_a_clean_crossover():
    found = conclude((500, 0.4), (400, 0.8), (300, 1.0), (200, 1.5), (50, 9.0))
    assert (found.always, found.never) == (0.8, 0.7)
    assert found.text[0] == (
        "N = 8: from 80% zeros on sparsity pays (1.50x to 9.00x dense); up to 70% it does not "
        "(0.400x to 1.00x dense)."
    )


def test_a_blurred_crossover():
    found = conclude((500, 0.5), (400, 1.2), (300, 0.9), (200, 1.3), (200, 0.9), (100, 4.0))
    assert (found.always, found.never) == (0.9, 0.5)
    assert "from 60% to 80% it depends on the matrix (it pays on 2 of 4)" in found.text[0]


def test_a_crossover_at_one_sparsity():
    found = conclude((100, 0.5), (100, 2.0))
    assert (found.always, found.never) == (None, None)
    assert found.text[0] == "N = 8: at 90% it depends on the matrix (it pays on 1 of 2)."


def test_always_and_never():
    pays = conclude((500, 1.2), (1, 80.0))
    assert (pays.always, pays.never) == (0.5, None)
    assert "sparsity pays on all" in pays.text[0] and "1.20x to 80.0x" in pays.text[0]
    does_not = conclude((500, 0.2), (400, 0.3))
    assert (does_not.always, does_not.never) == (None, 0.6)
    assert "does not pay on any" in does_not.text[0]


def test_without_a_dense_product():
    found = conclude((500, None))
    assert (found.always, found.never) == (None, None)
    assert "no dense form was small enough" in found.text[0]


def test_scipy_in_conclusions():
    cells = [make_cell(scipy=4.0), make_cell(scipy=9.0)]
    (found,) = conclusion.conclude(cells)
    assert found.over_scipy == pytest.approx(6)
    assert (
        "6.00x the speed of scipy (geometric mean; 4.00x to 9.00x), slower on none"
        in (found.text[1])
    )
    cells += [make_cell(scipy=0.5, name=f"slow {i}") for i in range(4)]
    (found,) = conclusion.conclude(cells)
    assert found.text[1].endswith("slower on 4 of 6: slow 0, slow 1, slow 2, ...")


def test_disturbed_times_count_for_nothing():
    noisy = make_cell(nnz=990, dense=50.0, scipy=0.1)
    noisy.timings["dense"] = make_timing(0.05, noisy=True)
    assert table.verdict(noisy) == "too disturbed to tell"
    (found,) = conclusion.conclude([make_cell(scipy=2.0), noisy])
    assert (found.always, found.over_scipy) == (0.9, pytest.approx(2.0))
    (found,) = conclusion.conclude([noisy])
    assert (found.always, found.never, found.over_scipy) == (None, None, None)
    assert found.text == ["N = 8: too disturbed to tell."]
    closing = report.closing(survey.Survey([make_cell(), noisy]), [])
    assert "1 of 2 products, which other programs disturbed" in closing


@pytest.mark.parametrize(
    ("dense", "scipy", "waited", "noisy"),
    [
        ((200.0, True), (3.0, False), 0.9, False),  # 20 at least
        ((2.0, True), (3.0, False), 0.3, False),
        ((2.0, True), (3.0, False), 0.6, True),
        ((2.0, True), (3.0, False), 1.7, True),  # several threads waited
        ((0.5, True), (3.0, False), 0.9, False),
        ((5.0, False), (1.5, True), 0.5, True),
        ((5.0, False), (0.5, True), 0.5, False),
    ],
)
def test_what_disturbances_cannot_explain_is_told(dense, scipy, waited, noisy):
    cell = make_cell()
    for peer, (seconds, disturbed) in (("dense", dense), ("scipy", scipy)):
        cell.timings[peer] = dataclasses.replace(
            make_timing(seconds * 1e-3, noisy=disturbed), waited=waited
        )
    assert cell.noisy == noisy
    cell = make_cell(dense=1 / dense[0], scipy=1 / scipy[0])
    cell.timings["spkernels"] = dataclasses.replace(make_timing(1e-3, noisy=True), waited=waited)
    assert cell.noisy == any(
        measure._rank(1 / each[0]) != measure._rank(1 / each[0] / max(1e-300, 1 - waited))
        for each in (dense, scipy)
    )


def test_what_was_left_out_is_not_among_all():
    noisy = make_cell(nnz=990)
    noisy.timings["dense"] = make_timing(0.05, noisy=True)
    cells = [make_cell(dense=2.0), make_cell(dense=3.0), noisy, make_cell(nnz=0, dense=0.1)]
    (found,) = conclusion.conclude(cells)
    assert "pays on all matrices that could be compared (2 of 4 not)" in found.text[0]
    (found,) = conclusion.conclude([make_cell(dense=0.5), make_cell(dense=None)])
    assert "not pay on any matrices that could be compared (1 of 2 not)" in found.text[0]
    (found,) = conclusion.conclude([make_cell(dense=0.5)])
    assert "not pay on any of these matrices" in found.text[0]


def test_matrices_without_entries_are_no_part_of_means():
    (found,) = conclusion.conclude([make_cell(scipy=4.0), make_cell(nnz=0, scipy=9.0, dense=99.0)])
    assert found.over_scipy == pytest.approx(4)
    assert "99" not in found.text[0] and "9.00x" not in found.text[1]
    (found,) = conclusion.conclude([make_cell(nnz=0)])
    assert found.text == ["N = 8: nothing to gain, no matrix has an entry."]


def test_conclusions_per_number_of_columns():
    found = conclusion.conclude([make_cell(columns=n) for n in (32, 1, 32)])
    assert [each.columns for each in found] == [1, 32]


# The plot


@pytest.mark.parametrize("count", [1, 12, 60])
@pytest.mark.parametrize("widths", [(8,), (1, 32, 512)])
@pytest.mark.filterwarnings("error")
def test_plots(tmp_path, count, widths):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed.")
    from spkernels.cli import plot

    cells = [
        make_cell(
            nnz=1 + 900 * i // count,
            columns=columns,
            name=f"a name {i} that is as long as those of files in folders in folders",
            dense=None if i % 5 == 4 else 0.5 + i,
        )
        for i in range(count)
        for columns in widths
    ]
    plot.save(cells, 2, 0, tmp_path / "plot.png")
    height, width, _ = image.imread(tmp_path / "plot.png").shape
    assert 500 < height < 3000 and 1000 < width < 4000


def test_labels_are_short_and_tell_names_apart():
    names = ["short", "a/" + "b" * 60]
    assert table.distinct(names, 42) == ["short", "..." + "b" * 39]
    layers = [
        f"dlmc/rn50/{method}_pruning/{sparsity}/bottleneck_2_block_group3_5_1_of_a_network.smtx"
        for method in ("magnitude", "extended_magnitude", "random")
        for sparsity in (0.5, 0.95)
    ]
    labels = table.distinct([*names, *layers], 42)
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 60
    for label, layer in zip(labels[2:], layers, strict=True):
        assert layer.split("/")[2] in label and layer.split("/")[3] in label
    awkward = ["x" * 50, "y" + "x" * 50, "x" * 50 + "z", "x" * 60, "x" * 60]
    assert len(set(table.distinct(awkward, 42))) == 4


def test_the_plot_counts_operations_of_complex_numbers():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed.")
    from spkernels.cli import plot

    real, complex_ = make_cell(), make_cell(dtype="complex64")
    assert "(2 nnz N / time)" in plot._rate_label([real])
    assert "(8 nnz N / time)" in plot._rate_label([complex_])
    assert "(2 or 8 nnz N / time)" in plot._rate_label([real, complex_])


def test_a_plot_says_what_it_leaves_out(tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed.")
    from spkernels.cli import plot

    said = []
    monkeypatch.setattr(figure.Figure, "supxlabel", lambda self, text, **_: said.append(text))
    plot.save([make_cell()], 1, 0, tmp_path / "plot.png")
    assert not said
    plot.save([make_cell()], 1, 2, tmp_path / "plot.png")
    assert "2 of 3 products" in said[0]


def test_disturbed_products_are_not_plotted(capsys, brief, layer, monkeypatch):
    monkeypatch.setattr(timing, "DISTURBED_SHARE", 0.05)
    monkeypatch.setattr(timing, "waited", lambda: 2 * time.perf_counter())
    assert main(["demo", str(layer), *QUICK]) == 0
    out, err = capsys.readouterr()
    assert "too disturbed to tell" in out and "Left out of this: 1 of 1 products" in out
    assert err.startswith("no plot: ") and len(err.splitlines()) == 1
    assert not list(Path().glob("*.png"))


@pytest.mark.filterwarnings("error")
def test_a_plot_without_any_dense_product(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed.")
    from spkernels.cli import plot

    plot.save([make_cell(dense=None)], 1, 0, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(PNG)


# Real matrices


@pytest.mark.skipif(not (REAL_DATA / "mat").is_dir(), reason=NO_REAL_DATA)
def test_real_matrices(capsys, brief):
    found = demo_json(capsys, REAL_DATA / "mat", REAL_DATA / "mtx", "-n", 4)
    names = {result["name"] for result in found["results"]}
    assert {os.path.join("mat", "helmholtz_2D.mat"), os.path.join("mtx", "karate.mtx.gz")} <= names
    assert all(result["error"] < 1 for result in found["results"])
    assert not found["skipped"]
