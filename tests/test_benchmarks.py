"""The benchmark harness: its statistics, its judgement of answers, and peers that misbehave."""

import importlib
import json
import math
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

check = importlib.import_module("harness.check")
claims = importlib.import_module("harness.claims")
machine = importlib.import_module("harness.machine")
problems = importlib.import_module("harness.problems")
process = importlib.import_module("harness.process")
report = importlib.import_module("harness.report")
results = importlib.import_module("harness.results")
session = importlib.import_module("harness.session")
stats = importlib.import_module("harness.stats")
suites = importlib.import_module("harness.suites")


def sample(seconds, guard=1.0, waited=0.0):
    return {"seconds": seconds, "guard": guard, "waited": waited}


# Statistics


def test_slow_and_crowded_samples_are_dropped():
    taken = [sample(1.0), sample(9.0, guard=1.6), sample(3.0), sample(8.0, waited=0.5), sample(2.0)]
    found = stats.describe(taken, typical_guard=1.0)
    assert (found["median"], found["min"], found["kept"], found["dropped"]) == (2.0, 1.0, 3, 2)
    assert (found["q1"], found["q3"]) == (1.5, 2.5)
    assert not found["noisy"]


def test_samples_that_are_all_slow_count_and_are_marked():
    found = stats.describe([sample(4.0, guard=2.0), sample(6.0, guard=2.0)], typical_guard=1.0)
    assert found["noisy"]
    assert (found["median"], found["kept"], found["dropped"]) == (5.0, 0, 2)


def test_one_sample_is_its_own_quartiles():
    found = stats.describe([sample(4.0)], typical_guard=1.0)
    assert found["q1"] == found["q3"] == found["median"] == 4.0


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20), st.floats(0.1, 10.0))
def test_geometric_mean_scales_and_stays_inside(values, factor):
    mean = stats.geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    scaled = stats.geometric_mean(factor * value for value in values)
    assert scaled == pytest.approx(factor * mean)


def test_geometric_mean_of_nothing_is_nan():
    assert math.isnan(stats.geometric_mean([]))


def record(name, **medians):
    peers = {peer: {"median": t, "min": t / 2, "samples": []} for peer, t in medians.items()}
    return {"labels": {"matrix": name}, "flops": 10, "peers": peers}


def test_claim_takes_the_better_rival_cell_by_cell():
    claim = claims.Claim("us", ("a", "b"), mean_target=3.0, worst_target=2.0)
    records = [record("first", us=1.0, a=2.0, b=5.0), record("second", us=1.0, a=9.0, b=8.0)]
    verdict = claims.judge(claim, records)
    assert verdict.mean == pytest.approx(4.0)
    assert (verdict.worst, verdict.worst_cell["matrix"]) == (2.0, "first")
    assert verdict.met
    records.append(record("third", us=1.0, a=1.9, b=99.0))
    verdict = claims.judge(claim, records)
    assert not verdict.met
    assert verdict.worst_cell["matrix"] == "third"


def test_claim_skips_cells_where_a_side_is_missing():
    claim = claims.Claim("us", ("a",))
    assert claims.judge(claim, [record("only us", us=1.0), record("only a", a=1.0)]) is None


# Problems and judgement


def dense_mask(pattern):
    arrays = (np.ones(pattern.indices.size), pattern.indices, pattern.indptr)
    return scipy.sparse.csr_array(arrays, shape=pattern.shape).toarray()


def test_window_is_the_band_nearest_to_the_wanted_count():
    mask = problems.window_mask(8, 22)
    assert mask.sum() == 22
    assert np.array_equal(mask, np.abs(np.subtract.outer(range(8), range(8))) <= 1)
    assert problems.window_mask(8, 26).sum() == 22
    assert problems.window_mask(8, 64).all()


def test_random_mask_has_exactly_the_wanted_count():
    mask = problems.random_mask(20, 57, np.random.default_rng(0))
    pattern = problems.from_mask("some", mask)
    assert pattern.indices.size == 57
    assert np.array_equal(dense_mask(pattern), mask)


@pytest.mark.parametrize("indices", ["0 2 1", ""])
def test_smtx_is_read_with_and_without_entries(tmp_path, indices):
    import gzip

    count = len(indices.split())
    offsets = "0 2 2 3" if count else "0 0 0 0"
    path = tmp_path / "layer.smtx.gz"
    path.write_bytes(gzip.compress(f"3, 4, {count}\n{offsets}\n{indices}\n".encode()))
    pattern = problems.read_smtx(path, "layer")
    assert pattern.shape == (3, 4)
    assert pattern.indices.tolist() == [int(i) for i in indices.split()]


def test_smtx_that_contradicts_itself_is_refused(tmp_path):
    import gzip

    path = tmp_path / "layer.smtx.gz"
    path.write_bytes(gzip.compress(b"3, 4, 3\n0 2 2 3\n0 2\n"))
    with pytest.raises(ValueError, match="do not fit"):
        problems.read_smtx(path, "layer")


def spmm_problem(n=5, dtype=np.float32):
    mask = problems.random_mask(40, 400, np.random.default_rng(1))
    return problems.spmm_problem(problems.from_mask("some", mask), n, 2, dtype)


def test_problem_survives_the_file(tmp_path):
    problem = spmm_problem()
    problem.save(tmp_path / "p.npz")
    again = problems.Problem.load(tmp_path / "p.npz")
    assert (again.op, again.shape, again.container) == (problem.op, problem.shape, "csr_array")
    assert again.b.dtype == np.float32
    for name in ("indptr", "indices", "data", "b"):
        assert np.array_equal(getattr(again, name), getattr(problem, name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [None, 1, 5])
def test_right_answers_pass_and_wrong_ones_do_not(n, dtype):
    problem = spmm_problem(n, dtype)
    exact, bound = check.reference(problem)
    answer = problem.sparse() @ problem.b
    assert check.fault(answer, exact, bound, np.dtype(dtype)) is None
    for spoil in (np.nan, answer.flat[3] + 10 * bound.flat[3]):
        wrong = answer.copy()
        wrong.flat[3] = spoil
        assert "1 of" in check.fault(wrong, exact, bound, np.dtype(dtype))
    assert "expected" in check.fault(answer[1:], exact, bound, np.dtype(dtype))
    assert "expected" in check.fault(answer.astype(np.float16), exact, bound, np.dtype(dtype))


def test_bound_of_an_empty_row_is_zero():
    problem = problems.spmm_problem(
        problems.from_mask("empty", np.zeros((3, 3), bool)), 2, 0
    )  # fmt: skip
    exact, bound = check.reference(problem)
    assert not bound.any()
    assert check.fault(np.full((3, 2), 1e-30, np.float32), exact, bound, np.dtype(np.float32))


def test_sampled_product_is_judged_at_the_stored_positions():
    mask = problems.random_mask(30, 90, np.random.default_rng(3))
    problem = problems.sddmm_problem(problems.from_mask("some", mask), 16, 4)
    exact, bound = check.reference(problem)
    answer = (problem.x @ problem.yt.T)[mask]
    assert check.fault(answer, exact, bound, np.dtype(np.float32)) is None
    assert check.fault(answer[::-1], exact, bound, np.dtype(np.float32))
    assert problem.flops == 2 * 90 * 16


# Peers in their processes

GOOD = """
    import os, time
    NAME = "{name}"
    def versions(): return {{"numpy": "1"}}
    def bind(problem):
        a, b = problem.dense(), problem.b
        def call():
            {line}
            return a @ b
        return call
    def to_numpy(result, problem): return result{change}
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A function that writes a peer module and returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name, line="pass", change=""):
        text = textwrap.dedent(GOOD).format(name=name, line=line, change=change)
        (tmp_path / f"fake_{name}.py").write_text(text)
        return f"fake_{name}"

    return write


@pytest.fixture
def run():
    """A function that measures some cells with one worker per module."""
    settings = process.Settings(
        threads=1, rounds=2, seconds=0.0005, timeout=2.0, patience=0.0, losses=2
    )
    opened = []

    def measure(*modules, cells=1, together=False):
        groups = [modules] if together else [[module] for module in modules]
        measuring = session.Session([process.Worker(g, settings) for g in groups], settings)
        opened.append(measuring)
        done = [session.Cell({"matrix": str(i)}, spmm_problem) for i in range(cells)]
        for cell in done:
            measuring.measure(cell)
        return measuring, done

    yield measure
    for measuring in opened:
        measuring.close()


def test_peers_that_answer_right_are_timed_in_turn(fake, run):
    measuring, (cell,) = run(fake("one"), fake("two", "print('chatter')"))
    for peer in ("one", "two"):
        taken = cell.samples[peer].taken
        assert cell.samples[peer].failure is None
        assert 2 <= len(taken) <= 4
        assert all(0 < s["seconds"] < 1 and s["guard"] > 0 and s["waited"] >= 0 for s in taken)
    assert cell.flops == 2 * 400 * 5
    document = json.loads(json.dumps(results.suite_document([cell], measuring)))
    found = document["cells"][0]["peers"]["one"]
    assert found["median"] > 0
    assert len(found["samples"]["waited"]) == len(cell.samples["one"].taken)
    assert document["versions"]["one"]["numpy"] == "1"


def test_wrong_peer_is_rejected_and_never_timed(fake, run):
    _, (cell,) = run(fake("good"), fake("wrong", change=" * 1.001"))
    assert "times the bound" in cell.samples["wrong"].failure
    assert not cell.samples["wrong"].taken
    assert cell.samples["good"].taken


@pytest.mark.parametrize(
    ("line", "reason"),
    [("os._exit(3)", "process ended"), ("time.sleep(60)", "no answer in 2 s")],
    ids=["dies", "hangs"],
)
def test_lost_peer_costs_only_its_own_cells(fake, run, line, reason):
    _, cells = run(fake("good"), fake("bad", line), cells=3)
    assert [reason in cell.samples["bad"].failure for cell in cells] == [True, True, False]
    assert "given up" in cells[2].samples["bad"].failure
    assert all(cell.samples["good"].taken for cell in cells)


def test_peer_that_dies_once_comes_back(fake, run, tmp_path):
    marker = tmp_path / "died"
    line = f"os.path.exists({str(marker)!r}) or (open({str(marker)!r}, 'w').close(), os._exit(3))"
    _, cells = run(fake("shaky", line), cells=2)
    assert "process ended" in cells[0].samples["shaky"].failure
    assert cells[1].samples["shaky"].taken


def test_peer_that_raises_says_so(fake, run):
    _, (cell,) = run(fake("raiser", "raise RuntimeError('no such kernel')"))
    assert cell.samples["raiser"].failure == "RuntimeError: no such kernel"


def test_peer_without_the_operation_is_passed_over(fake, run):
    _, (cell,) = run(fake("other", "raise NotImplementedError('not this one')"))
    assert cell.samples == {}


@pytest.mark.parametrize("together", [False, True], ids=["apart", "one process"])
def test_peer_that_cannot_be_imported_is_left_out(fake, run, together):
    measuring, (cell,) = run("fake_missing", fake("good"), together=together)
    assert "fake_missing" in measuring.left_out["fake_missing"]
    assert list(cell.samples) == ["good"]


def test_missing_python_is_left_out(fake):
    settings = process.Settings(threads=1, rounds=1)
    worker = process.Worker([fake("good")], settings, "/nonexistent/python")
    measuring = session.Session([worker], settings)
    assert "fake_good" in measuring.left_out
    measuring.close()


# Suites, report, machine


def test_suites_hold_what_they_promise():
    assert len(suites.cells("sddmm", None, quick=False)) == 3 * 6 * 2 * 2
    tiny = suites.cells("tiny", None, quick=False)
    assert len(tiny) == 2 * 3 * 2 * 2
    assert {cell.make().b.shape for cell in tiny} == {
        (k, *tail) for k in (10, 1000) for tail in ((), (1,), (4,))
    }
    with pytest.raises(ValueError, match="--data"):
        suites.cells("spmm", None, quick=True)


def test_report_names_the_worst_cell_and_what_failed():
    labels = {"matrix": "layer", "N": 32, "sparsity": "85-92.5%"}
    good = {"samples": [], "median": 1e-3, "min": 1e-3, "kept": 3, "dropped": 1, "noisy": False}
    fast = good | {"median": 1e-4, "min": 1e-4}
    peers = {"scipy": good, "spkernels": fast, "torch": {"failure": "wrong: 1 of 2"}}
    document = {
        "machine": machine.fingerprint(1),
        "settings": {"rounds": 3, "seconds": 0.01, "quick": False, "realtime": True},
        "suites": {
            "spmm": {
                "versions": {"scipy": {"scipy": "1"}, "spkernels": {"spkernels": "2"}},
                "left out": {"peers.mkl_csr": "no mkl"},
                "cells": [{"labels": labels, "flops": 10**6, "peers": peers}],
            }
        },
    }
    text = report.markdown(document)
    assert "| 32 | 85-92.5% | 1 | 1 | 10 | 10 |" in text
    assert "| 32 | all | 1 | 1 | 10 | 10 |" in text
    assert "geometric mean 10.00 over 1 cells" in text
    assert "worst 10.00 on layer" in text
    assert "Left out: peers.mkl_csr (no mkl)" in text
    assert "torch failed on layer: wrong: 1 of 2" in text
    assert "8 samples, 2 dropped" in text


def test_fingerprint_names_no_folder(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["/a/b/compare.py", "--data", "/a/b/dlmc", "--python=mkl=/x/y"]
    )
    found = machine.fingerprint(1)["command line"]
    assert found == ["compare.py", "--data", "dlmc", "--python=mkl=y"]


def test_more_threads_than_cpus_is_an_error():
    with pytest.raises(ValueError, match="threads on"):
        machine.choose_cpus(10**6)
