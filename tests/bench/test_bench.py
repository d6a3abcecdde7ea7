"""The benchmarks: statistics, judgement of answers, peers that misbehave, resuming, reports."""

import gzip
import importlib
import importlib.util
import json
import math
import os
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from spkernels import accelerate, datasets, sparse_attention
from spkernels.__main__ import main
from spkernels.bench import analysis, cells, collection, comparison, roofline, run
from spkernels.bench.cells import Cell, Matrix
from spkernels.bench.measure import check, machine, process, session, stats
from spkernels.bench.measure.load import AFTER_NUMPY, LOADS, busy_processes
from spkernels.bench.ops import OPS, bert_layer, fused
from spkernels.bench.ops.estimators import ESTIMATORS
from spkernels.bench.ops.fused import ACTIVATIONS, FUNCTIONS, FUSED
from spkernels.bench.ops.networks import NETWORKS
from spkernels.bench.peers import EARLIER, MODULES, numpy_dense
from spkernels.bench.problem import LAYOUTS, Problem
from spkernels.bench.report import tables
from spkernels.bench.results import KEY, Results
from spkernels.bench.suites import SUITES
from spkernels.bench.suites.common import Options

# Statistics


def sample(seconds, guard=1.0, waited=0.0):
    return {"seconds": seconds, "guard": guard, "waited": waited}


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


def test_one_sample_is_its_own_quartiles_and_interval():
    found = stats.describe([sample(4.0)], typical_guard=1.0)
    assert {found[name] for name in ("q1", "q3", "median", "low", "high")} == {4.0}


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (25, 7)]
)
def test_interval_of_a_median_has_the_ranks_of_the_sign_test(count, rank):
    low, high = stats.median_interval(list(range(count)))
    assert (low, high) == (rank, count - 1 - rank)


def test_interval_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(2000):
        low, high = stats.median_interval(sorted(rng.exponential(size=11)))
        found += low <= math.log(2) <= high
    assert found >= 0.95 * 2000


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20), st.floats(0.1, 10.0))
def test_geometric_mean_scales_and_stays_inside(values, factor):
    mean = stats.geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    scaled = stats.geometric_mean(factor * value for value in values)
    assert scaled == pytest.approx(factor * mean)


def test_geometric_mean_of_nothing_is_nan():
    assert math.isnan(stats.geometric_mean([]))


# Problems and judgement


def matrix(entries=400, shape=(40, 40), seed=1):
    density = entries / (shape[0] * shape[1])
    A = datasets.random_pruned(*shape, 1 - density, rng=seed)
    return Matrix(f"random {shape} {entries} {seed}", "random", lambda: A)


def cell_of(op="spmm", width=5, dtype="float32", **changes):
    return Cell("dlmc", op, matrix(**changes), width, 1, "warm", dtype)


def problem_of(*arguments, **changes):
    cell = cell_of(*arguments, **changes)
    return cell.problem(cell.matrix.load())


def right_answer(problem):
    if problem.op == "kwinners":
        rank = np.argsort(np.argsort(-problem.x, axis=-1), axis=-1)
        return np.where(rank < OPS["kwinners"].winners(problem), problem.x, problem.x.dtype.type(0))
    if problem.op in ESTIMATORS:
        return ESTIMATORS[problem.op].fit(problem)
    if problem.op in ACTIVATIONS or problem.op == "bert_layer":
        return numpy_dense.bind(problem)()
    if problem.product == "spmm":
        return problem.sparse() @ problem.b
    if problem.product == "dense_spmm":
        return problem.b @ problem.sparse()
    if problem.op == "attention":
        q, k, v = (problem.operands[name] for name in "qkv")
        return sparse_attention(q, k, v, problem.sparse())
    return (problem.x @ problem.yt.T)[problem.rows(), problem.indices]


def test_formulas_of_activations_and_their_slopes():
    x = np.concatenate([np.linspace(-12, 12, 4801), [-1e30, 1e30]])
    assert FUNCTIONS.keys() == reference.ACTIVATIONS.keys()
    for op in FUSED:
        with np.errstate(all="ignore"):
            value = FUNCTIONS[op.activation](x)
            exact = reference.ACTIVATIONS[op.activation](x)
            narrow = numpy_dense._ACTIVATIONS[op.activation](x.astype(np.float32))
        np.testing.assert_allclose(value, exact, rtol=1e-14, atol=1e-14, err_msg=op.NAME)
        steepest = np.max(np.abs(np.diff(value[:-2]) / np.diff(x[:-2])))
        assert steepest <= fused.LIPSCHITZ, op.NAME
        assert narrow.dtype == np.float32, op.NAME


# What estimators, networks and a layer of BERT need is another kind of matrix.
PRODUCTS = [op for op in OPS if op not in {*ESTIMATORS, *NETWORKS, "bert_layer"}]


@pytest.mark.parametrize("op", PRODUCTS)
def test_problem_survives_the_file(op, tmp_path):
    problem = problem_of(op)
    problem.save(tmp_path / "p.npz")
    again = Problem.load(tmp_path / "p.npz")
    assert (again.op, again.shape, again.container) == (op, problem.shape, "csr_array")
    assert again.operands.keys() == problem.operands.keys()
    for name, array in problem.operands.items():
        assert again.operands[name].dtype == np.float32
        assert np.array_equal(again.operands[name], array)
    for name in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(again, name), getattr(problem, name))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [None, 1, 5])
@pytest.mark.parametrize("op", PRODUCTS)
def test_right_answers_pass_and_wrong_ones_do_not(op, width, dtype):
    problem = problem_of(op, width, dtype, shape=(40, 30))
    exact, bound = check.reference(problem)
    answer = right_answer(problem)
    assert check.fault(answer, exact, bound, np.dtype(dtype)) is None
    for spoil in (np.nan, answer.flat[3] + 10 * np.broadcast_to(bound, answer.shape).flat[3]):
        wrong = answer.copy()
        wrong.flat[3] = spoil
        assert "1 of" in check.fault(wrong, exact, bound, np.dtype(dtype))
    assert "expected" in check.fault(answer[1:], exact, bound, np.dtype(dtype))
    assert "expected" in check.fault(answer.astype(np.float16), exact, bound, np.dtype(dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("container", ["csr_array", "csc_array", "coo_array", "bsr_array"])
@pytest.mark.parametrize("op", ["habit", "dense_habit"])
def test_layouts_are_what_they_say_and_change_no_answer(op, container, layout, tmp_path):
    cell = replace(cell_of(op, shape=(40, 30)), container=container, layout=layout)
    problem = cell.problem(cell.matrix.load())
    problem.save(tmp_path / "p.npz")
    again = Problem.load(tmp_path / "p.npz")
    flags = again.b.flags
    assert (flags.c_contiguous, flags.f_contiguous) == {
        "F": (False, True), "rows apart": (False, False), "columns apart": (False, False),
    }.get(layout, (True, False))  # fmt: skip
    A = again.sparse()
    index = np.int64 if layout == "int64 indices" else np.int32
    assert type(A).__name__ == container
    assert (A.row if A.format == "coo" else A.indices).dtype == index
    exact, bound = check.reference(again)
    for peer in ("scipy", "spkernels one thread", "spkernels"):
        adapter = importlib.import_module(f"spkernels.bench.peers.{MODULES[peer]}")
        answer = adapter.bind(again)()
        assert check.fault(answer, exact, bound, np.dtype(np.float32)) is None
        if layout == "result in F" and peer != "scipy":
            assert answer.flags.f_contiguous


@pytest.mark.parametrize("dtype", ["int64 x float32", "float32 x float64"])
def test_operands_of_two_dtypes(dtype):
    problem = replace(cell_of("habit"), dtype=dtype).problem(matrix().load())
    assert f"{problem.data.dtype} x {problem.b.dtype}" == dtype
    assert problem.dtype == np.float64
    exact, bound = check.reference(problem)
    answer = problem.sparse() @ problem.b
    assert check.fault(answer, exact, bound, problem.dtype) is None
    wrong = answer + 1e-6
    assert check.fault(wrong, exact, bound, problem.dtype) is not None


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_fit_the_same_on_the_kernels(name):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed.")
    cell = replace(cell_of(name, width=1, dtype="float64", shape=(120, 60), entries=900))
    problem = cell.problem(cell.matrix.load())
    exact, bound = check.reference(problem)
    with accelerate():
        answer = ESTIMATORS[name].fit(problem)
    assert check.fault(answer, exact, bound, np.dtype(np.float64)) is None
    assert check.fault(answer * 1.1, exact, bound, np.dtype(np.float64)) is not None


def test_a_layer_of_bert_is_the_same_by_every_peer():
    d = 24
    problem = cell_of("bert_layer", 7, shape=(12 * d, d), entries=6 * d * d).problem
    problem = problem(matrix(shape=(12 * d, d), entries=6 * d * d).load())
    exact, bound = check.reference(problem)
    assert exact.shape == (d, 7) and abs(exact.std() - 1) < 0.01
    assert sorted(w.shape for w in bert_layer.weights(problem).values()) == sorted(
        [(3 * d, d), (d, d), (4 * d, d), (d, 4 * d)]
    )
    for peer in ("numpy dense", "spkernels"):
        adapter = importlib.import_module(f"spkernels.bench.peers.{MODULES[peer]}")
        answer = adapter.bind(problem)()
        assert check.fault(answer, exact, bound, np.dtype(np.float32)) is None
        assert check.fault(answer + 0.01, exact, bound, np.dtype(np.float32)) is not None


def test_bound_of_an_empty_row_is_zero():
    empty = Matrix("empty", "none", lambda: sp.csr_array((3, 3), dtype=np.float32))
    problem = replace(cell_of(), matrix=empty).problem(empty.load())
    exact, bound = check.reference(problem)
    assert not bound.any()
    assert check.fault(np.full((3, 5), 1e-30, np.float32), exact, bound, np.dtype(np.float32))


def test_operations_and_bytes_are_counted():
    A = sp.csr_array(np.array([[1, 1, 0], [0, 0, 0]], np.float32))
    of = {op: cell_of(op, 4).problem(A) for op in PRODUCTS}
    index_bytes = A.indptr.nbytes + A.indices.nbytes + 4 * A.nnz
    heads = of["attention"].operands["q"].shape[0]
    assert OPS["attention"].flops(of["attention"]) == 4 * heads * 2 * 4
    assert OPS["attention"].bytes(of["attention"]) == index_bytes + 4 * 4 * heads * (2 + 3 + 3 + 2)
    # Of B's four entries, A's two meet three.
    sparse = of["activations"]
    sparse.operands["b"] = np.array([[1, 0, 0, 0], [0, 2, 3, 0], [0, 0, 0, 4]], np.float32)
    assert OPS["activations"].flops(sparse) == 2 * 3
    assert OPS["activations"].bytes(sparse) == index_bytes + 8 * 4 + 4 * 2 * 4
    assert OPS["kwinners"].flops(of["kwinners"]) == 4 * 3
    assert OPS["kwinners"].bytes(of["kwinners"]) == 2 * 4 * 4 * 3
    others = set(PRODUCTS) - {"attention", "activations", "kwinners"}
    assert [OPS[op].flops(of[op]) for op in others] == [2 * 2 * 4] * len(others)
    # Rows of B that A touches: 2 of 3; columns of X: 1 of 2; rows of X and Y together: 3 of 5.
    assert OPS["spmm"].bytes(of["spmm"]) == index_bytes + 4 * 4 * (2 + 2)
    assert OPS["int8"].bytes(of["int8"]) == 3 * A.nnz + 4 * (3 + 4 * 2)
    assert OPS["dense_spmm"].bytes(of["dense_spmm"]) == index_bytes + 4 * 4 * (1 + 3)
    assert OPS["prepared_sddmm"].bytes(of["prepared_sddmm"]) == OPS["sddmm"].bytes(of["sddmm"])
    assert OPS["sddmm"].bytes(of["sddmm"]) == index_bytes + 4 * 4 * 3


# Peers in their processes

GOOD = """
    import os, time
    def versions(): return {{"numpy": "1"}}
    def bind(problem):
        a, b = problem.dense(), problem.b
        def call():
            {line}
            return a @ b
        return call
    def to_numpy(result, problem): return result{change}
"""
SETTINGS = process.Settings(
    threads=1, rounds=2, most_rounds=4, seconds=0.0005, timeout=60.0, patience=0.0, losses=2
)


@pytest.fixture
def fake(tmp_path):
    """A function that writes a peer's adapter and returns its name and its path."""

    def write(name, line="pass", change=""):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(GOOD).format(line=line, change=change))
        return name, str(path)

    return write


@pytest.fixture
def measure():
    """A function that measures some problems with some peers, one process each."""
    opened = []

    def go(*peers, cells=1, flush=False, load="none", settings=SETTINGS):
        workers = {name: process.Worker(path, settings) for name, path in peers}
        opened.append(session.Session(workers, settings))
        names = [name for name, _ in peers]
        measured = opened[-1].measure
        found = [measured(problem_of(), names, flush=flush, load=load) for _ in range(cells)]
        return opened[-1], found

    yield go
    for one in opened:
        one.close()


@pytest.mark.parametrize("flush", [False, True])
def test_peers_that_answer_right_are_timed_in_turn(fake, measure, flush):
    _, (found,) = measure(fake("one"), fake("two", "print('chatter')"), flush=flush)
    for peer in ("one", "two"):
        taken = found[peer].taken
        assert found[peer].failure is None and found[peer].prepare > 0
        assert 2 <= len(taken) <= 4
        assert all(0 < s["seconds"] < 1 and s["guard"] > 0 and s["waited"] >= 0 for s in taken)


def test_wrong_peer_is_rejected_and_never_timed(fake, measure):
    _, (found,) = measure(fake("good"), fake("wrong", change=" * 1.001"))
    assert "times the bound" in found["wrong"].failure
    assert not found["wrong"].taken
    assert found["good"].taken


@pytest.mark.parametrize("load", ["1 busy process", AFTER_NUMPY])
def test_under_a_load_single_calls_are_timed(fake, measure, load, monkeypatch):
    _, (found,) = measure(fake("one"), load=load)
    taken = found["one"].taken
    assert found["one"].failure is None and 2 <= len(taken) <= 4
    assert all(0 < s["seconds"] and 0 < s["slowest"] for s in taken)
    described = stats.describe(taken, 1.0, loaded=True)
    assert described["dropped"] == 0 and not described["noisy"]
    assert described["mean"] == pytest.approx(np.mean([s["seconds"] for s in taken]))
    assert described["slowest"] == pytest.approx(np.median([s["slowest"] for s in taken]))


def test_busy_processes_run_inside_of_the_block_alone():
    def children():
        listed = Path("/proc/self/task").glob("*/children")
        return {int(pid) for path in listed for pid in path.read_text().split()}

    if not Path("/proc/self/task").exists():
        pytest.skip("This system does not list the children of a process.")
    before = children()
    for load in LOADS:
        with busy_processes(load):
            count = len(children() - before)
        assert count == (int(load[0]) if "busy" in load else 0)
        assert children() == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [("os._exit(3)", "process ended"), ("time.sleep(300)", "no answer in 4 s")],
    ids=["dies", "hangs"],
)
def test_lost_peer_costs_only_its_own_cells(fake, measure, line, reason):
    settings = replace(SETTINGS, timeout=4.0)
    _, found = measure(fake("good"), fake("bad", line), cells=3, settings=settings)
    assert [reason in samples["bad"].failure for samples in found] == [True, True, False]
    assert "given up" in found[2]["bad"].failure
    assert all(samples["good"].taken for samples in found)


def test_peer_that_dies_once_comes_back(fake, measure, tmp_path):
    marker = tmp_path / "died"
    line = f"os.path.exists({str(marker)!r}) or (open({str(marker)!r}, 'w').close(), os._exit(3))"
    _, found = measure(fake("shaky", line), cells=2)
    assert "process ended" in found[0]["shaky"].failure
    assert found[1]["shaky"].taken


def test_peer_that_raises_says_so(fake, measure):
    _, (found,) = measure(fake("raiser", "raise RuntimeError('no such kernel')"))
    assert found["raiser"].failure == "RuntimeError: no such kernel"


def test_peer_without_the_operation_is_passed_over(fake, measure):
    _, (found,) = measure(fake("other", "raise NotImplementedError('not this one')"))
    assert found == {}


def test_peer_that_cannot_be_imported_is_left_out(fake, measure, tmp_path):
    (tmp_path / "missing.py").write_text("import no_such_library\n")
    measuring, (found,) = measure(("missing", str(tmp_path / "missing.py")), fake("good"))
    assert measuring.left_out["missing"] == "no_such_library is not installed"
    assert list(found) == ["good"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Only Linux places threads.")
@pytest.mark.parametrize("own", [False, True])
def test_threads_of_a_library_are_pinned_unless_they_are_all_its_own(fake, measure, own, tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("Threads are placed where there are two CPUs.")
    seen = tmp_path / "places"
    note = f"open({str(seen)!r}, 'w').write(str(len(os.sched_getaffinity(helper.native_id))))"
    name, path = fake("threads", note)
    with open(path, "a") as file:
        file.write("import threading\n")
        file.write("helper = threading.Thread(target=threading.Event().wait, daemon=True)\n")
        file.write(f"helper.start()\nOWN_THREADS = {own}\n")
    _, (found,) = measure((name, path), settings=replace(SETTINGS, threads=2))
    assert found[name].failure is None and found[name].taken
    assert seen.read_text() == ("2" if own else "1")


def test_missing_python_is_left_out(fake):
    worker = process.Worker(fake("good")[1], SETTINGS, "/nonexistent/python")
    with session.Session({"good": worker}, SETTINGS) as measuring:
        assert "good" in measuring.left_out


def test_worker_needs_no_spkernels(fake):
    """Peers may live in a Python without it: no adapter but its own may import it."""
    name, path = fake("isolated", "import sys; assert 'spkernels' not in sys.modules")
    with session.Session({name: process.Worker(path, SETTINGS)}, SETTINGS) as measuring:
        assert measuring.measure(problem_of(), [name])[name].failure is None


@pytest.mark.parametrize("peer", [*OPS["spmm"].PEERS, "spkernels prepared"])
def test_adapters_that_are_installed_answer_right(measure, peer):
    measuring, found = measure((peer, MODULES[peer]))
    if peer in measuring.left_out:
        assert peer not in ("scipy", "numpy dense", "spkernels prepared", "spkernels")
        pytest.skip(f"The peer {peer!r} is left out here: {measuring.left_out[peer]}.")
    assert found[0][peer].failure is None and found[0][peer].taken


def test_aocl_is_left_out_where_the_processor_is_another(monkeypatch, tmp_path):
    name = f"spkernels.bench.peers.{MODULES['aocl']}"
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    machine.CPUINFO.write_text("vendor_id : GenuineIntel\n")
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match="AOCL-Sparse is made for CPUs of AMD, and this is none"):
        importlib.import_module(name)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", [None, 1, 7])
@pytest.mark.parametrize("op", ["activations", "kwinners"])
def test_adapters_answer_right_where_activations_are_sparse(op, width, full):
    problem = problem_of(op, width, entries=1200 if full else 400, shape=(40, 30))
    exact, bound = check.reference(problem)
    asked = 0
    for peer in ("scipy", "numpy dense", "spkernels prepared", "spkernels"):
        if peer not in OPS[op].PEERS:
            continue
        adapter = importlib.import_module(f"spkernels.bench.peers.{MODULES[peer]}")
        answer = adapter.to_numpy(adapter.bind(problem)(), problem)
        assert check.fault(answer, exact, bound, np.dtype(np.float32)) is None, peer
        asked += 1
    assert asked == (4 if op == "activations" else 2)


# Suites


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", SUITES)
def test_suites_make_their_matrices_and_cells(name, quick):
    if name == "models":
        pytest.importorskip("torch", reason="torch is not installed.")
    made = list(SUITES[name].matrices(Options(quick=quick)))
    if not quick:
        made = made[:: max(1, len(made) // 5)]
    assert len({m.name for m in made}) == len(made)
    found = list(SUITES[name].cells(made, Options(quick=quick, threads=(1, 2))))
    assert len({cell.key for cell in found}) == len(found)
    assert {cell.matrix for cell in found} == set(made)
    assert {cell.op for cell in found} <= OPS.keys()
    A = made[0].load()
    assert A.indices.dtype == np.int32
    labels = cells.describe(found[0], A, found[0].problem(A))
    assert set(KEY) <= labels.keys()
    json.dumps(labels)


def test_attention_has_the_84_masks_of_the_survey_and_12_less_sparse():
    masks = list(SUITES["attention"].matrices(Options()))
    assert len(masks) == 84 + 12
    for mask in masks[:32]:
        A = mask.load()
        wanted = float(mask.name.split()[-1].rstrip("%")) / 100
        assert 1 - A.nnz / np.prod(A.shape) == pytest.approx(wanted, abs=0.01)


def test_files_go_to_the_suites_that_read_them(tmp_path):
    A = datasets.random_pruned(20, 30, 0.8, rng=0)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    datasets.save_smtx(tmp_path / "deep" / "er" / "layer.smtx", A)
    sp.save_npz(tmp_path / "graph.npz", sp.csr_matrix(A))
    found = collection.cells(["dlmc", "graph", "tiny"], tmp_path, Options(ops=["spmm"]))
    names = {suite: {c.matrix.name for c in found if c.suite == suite} for suite in SUITES}
    assert names["dlmc"] == {"deep/er/layer.smtx"}
    assert names["graph"] == {"graph.npz"}
    assert len(names["tiny"]) == 2


# Runs and their files


@pytest.fixture
def plan():
    chosen = [cell_of(width=width, seed=seed) for seed in (1, 2) for width in (3, 4)]
    return run.Plan(chosen, ["scipy", "numpy dense", "spkernels"], SETTINGS)


@pytest.fixture(autouse=True)
def no_roofline(monkeypatch):
    """Measuring them takes a second."""
    line = {
        "isa": "avx2",
        "GFLOP/s": {"float32": 100.0, "float64": 50.0},
        "GB/s": {"L1": 400.0, "L2": 200.0, "L3": 100.0, "DRAM": 10.0},
        "cache bytes": {"L1": 1 << 15, "L2": 1 << 19, "L3": 1 << 24},
    }
    monkeypatch.setattr(
        roofline, "line", lambda t, n: {"line": "roofline", "run": n, "threads": t, **line}
    )


def test_a_run_is_resumed_and_repeats_nothing(plan, tmp_path):
    path = tmp_path / "run.jsonl"
    seen = []

    def interrupt_after_two(cell, before):
        seen.append((cell.key, before))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(plan, Results(path), interrupt_after_two)
    first = Results(path)
    assert {analysis.key_of(r) for r in first.results} == {c.key for c in plan.cells[:2]}
    # As if the process had been killed in the middle of a line.
    path.write_text(path.read_text() + '{"line": "result", "peer": "sci')
    seen.clear()
    assert run.run(plan, Results(path), lambda *what: seen.append(what[1])) == {}
    assert seen == [True, True, False, False]
    again = Results(path)
    assert len(again.lines) == len(again.runs) + len(again.rooflines) + 3 * 4
    assert len(again.runs) == 2 and len(again.rooflines) == 1
    seen.clear()
    run.run(plan, again, lambda *what: seen.append(what[1]))
    assert seen == [True] * 4
    assert Results(path).lines == again.lines


def test_a_file_that_cannot_be_read_costs_only_its_own_cells(plan, tmp_path):
    def unreadable():
        raise ValueError("bad.npz: expected a NumPy .npz file")

    bad = Matrix("bad", "random", unreadable)
    plan.cells = [replace(plan.cells[0], matrix=bad), *plan.cells]
    left_out = run.run(plan, Results(tmp_path / "r.jsonl"), lambda *_: None)
    assert left_out == {"bad": "bad.npz: expected a NumPy .npz file"}
    found = Results(tmp_path / "r.jsonl")
    assert {analysis.key_of(r) for r in found.results} == {c.key for c in plan.cells[1:]}


def test_all_matrices_of_a_file_are_measured(tmp_path):
    A = sp.csr_array(np.eye(3, dtype=np.float32))
    parts = {"data": A.data, "indices": A.indices, "indptr": A.indptr, "shape": A.shape}
    both = {f"{key}_{part}": array for key in ("adj", "attr") for part, array in parts.items()}
    np.savez(tmp_path / "graph.npz", **both)
    (tmp_path / "broken.npz").write_text("nothing")
    found = collection.cells(["graph"], tmp_path, Options(ops=["sddmm"], widths=(64,)))
    assert [c.matrix.name for c in found] == ["broken.npz", "graph.npz#adj", "graph.npz#attr"]
    assert found[1].matrix.load().shape == (3, 3)


def test_peers_that_skip_a_cell_do_not_make_it_run_again(plan, tmp_path):
    plan.most_dense = 1
    run.run(plan, Results(tmp_path / "r.jsonl"), lambda *_: None)
    found = Results(tmp_path / "r.jsonl")
    skipped = [r for r in found.results if "skipped" in r]
    assert {r["peer"] for r in skipped} == {"numpy dense"} and len(skipped) == 4
    seen = []
    run.run(plan, found, lambda *what: seen.append(what[1]))
    assert seen == [True] * 4


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    for content in (b"hello\nworld\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="notes.txt"):
            Results(path)
        assert path.read_bytes() == content


def test_compressed_results_are_read_resumed_and_repaired(plan, tmp_path):
    plain, packed = tmp_path / "r.jsonl", tmp_path / "r.jsonl.gz"
    run.run(plan, Results(plain), lambda *_: None)
    lines = plain.read_text().splitlines(keepends=True)
    packed.write_bytes(gzip.compress("".join(lines[:4]).encode() + b'{"line": "res'))
    resumed = Results(packed)
    assert gzip.decompress(packed.read_bytes()).decode() == "".join(lines[:4])
    resumed.append(map(json.loads, lines[4:]))
    assert Results(packed).lines == Results(plain).lines


def test_compressed_results_that_are_broken_are_refused_by_name(tmp_path):
    whole = gzip.compress(b'{"line": "run", "run": 0}\n' * 9)
    for number, content in enumerate((whole[:-9], b"plain text\n", whole[:10] + b"\xff" * 30)):
        path = tmp_path / f"{number}.jsonl.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{number}\.jsonl\.gz: no gzip"):
            Results(path)
        assert path.read_bytes() == content


@pytest.fixture(scope="module")
def publish():
    path = ROOT / "benchmarks" / "publish.py"
    spec = importlib.util.spec_from_file_location("publish", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_published_has_the_same_tables_and_rounded_times_of_last_runs(publish, tmp_path):
    long = np.array([1.00004e-3, 1.00006e-3, 1.2e-3])
    lines = [
        *record("once", scipy=2 * long, spkernels=long),
        *record("twice", scipy=3 * long, spkernels=9 * long),
        *record("twice", run_number=1, scipy=3 * long, spkernels=long),
    ]
    for line in lines:
        line["samples"]["guard"] = line["samples"]["waited"] = [1.0] * 3
    whole = results_of(tmp_path, lines)
    path = tmp_path / "published.jsonl.gz"
    path.write_bytes(publish.compressed(publish.published(whole)))
    found = Results(path)
    assert tables.markdown(found) == tables.markdown(whole)
    assert len(found.results) == 4 and {line["line"] for line in found.lines} == {
        "run", "roofline", "result",
    }  # fmt: skip
    ours = [r for r in found.results if r["peer"] == "spkernels"]
    assert [r["samples"] for r in ours] == [{"seconds": [1e-3, 1e-3, 1.2e-3]}] * 2
    assert publish.published(whole, ops=["sddmm"]) == whole.runs + whole.rooflines


def test_published_pages_are_made_of_the_results_beside_them():
    published = sorted((ROOT / "doc" / "benchmarks").glob("*/*.jsonl.gz"))
    if not published:
        pytest.skip("The results of published runs are in the repository alone.")
    for path in published:
        page = path.with_name(path.name.removesuffix(".jsonl.gz") + ".md")
        assert tables.markdown(Results(path)) == page.read_text(), page


def record(matrix="layer", width=32, run_number=0, sparsity=0.9, threads=2, kind="random", **peers):
    labels = dict(
        suite="dlmc", op="spmm", matrix=matrix, kind=kind, rows=10, cols=10, nnz=10,
        sparsity=sparsity, width=width, threads=threads, cache="warm", dtype="float32",
        container="csr_array", flops=10**6, bytes=10**5,
    )  # fmt: skip
    lines = []
    for peer, seconds in peers.items():
        line = {"line": "result", "run": run_number, **labels, "peer": peer.replace("_", " ")}
        if isinstance(seconds, str):
            lines.append(line | {"failure": seconds})
            continue
        values = np.atleast_1d(seconds).tolist()
        described = stats.describe([sample(value) for value in values], 1.0)
        columns = {"seconds": values}
        lines.append(line | {"prepare": 5e-3, "samples": columns} | described)
    return lines


def results_of(tmp_path, lines, name="r.jsonl"):
    made = Results(tmp_path / name)
    made.begin(
        {
            "machine": machine.fingerprint(),
            "settings": {"rounds": 3, "seconds": 0.01},
            "versions": {"scipy": {"scipy": "1"}, "spkernels": {"spkernels": "2"}},
            "left out": {"mkl": "no mkl"},
        }
    )
    made.append([roofline.line(2, 0), *lines])
    return made


def test_speedups_take_the_better_rival_of_the_same_run():
    lines = record(scipy=9e-3, mkl=2e-3, spkernels=1e-3) + record(run_number=1, spkernels=4e-3)
    (cell,) = analysis.cells_of(lines)
    assert cell.speedup(("scipy", "mkl")) is None  # of an earlier run
    (cell,) = analysis.cells_of(record(scipy=9e-3, mkl=2e-3, spkernels=1e-3, torch="wrong"))
    assert cell.speedup(("scipy", "mkl")) == pytest.approx(2.0)
    assert cell.speedup(("scipy",)) == pytest.approx(9.0)
    assert cell.speedup(("torch",)) is None
    assert cell.rate("spkernels") == pytest.approx(1.0)
    assert cell.sparsity_class == "85-92.5%"


def test_roof_is_the_lower_of_rate_and_bandwidth_of_the_level():
    (cell,) = analysis.cells_of(record(spkernels=1e-3))
    roofs = [roofline.line(2, 0)]
    assert analysis.roof(cell, roofs) == 100.0  # 10 operations a byte, 100 kB: from L2
    cell.labels |= {"flops": 2 * 10**4}
    assert analysis.roof(cell, roofs) == pytest.approx(0.2 * 200)
    cell.labels |= {"cache": "flushed"}
    assert analysis.roof(cell, roofs) == pytest.approx(0.2 * 10)
    cell.labels |= {"threads": 7}
    assert analysis.roof(cell, roofs) is None


def test_preparation_pays_after_as_many_calls_as_it_saves():
    (cell,) = analysis.cells_of(record(mkl=1e-3, spkernels=2e-3))
    assert analysis.break_even(cell, "mkl") == pytest.approx(5.0)
    (cell,) = analysis.cells_of(record(mkl=3e-3, spkernels=2e-3))
    assert analysis.break_even(cell, "mkl") == math.inf


def test_the_report_says_when_preparation_pays(tmp_path):
    lines = record("layer", scipy=6e-3, mkl=2e-3, spkernels=1e-3)
    text = tables.markdown(results_of(tmp_path, lines))
    assert "| mkl | 2.5 | spkernels | never |" in text
    assert "| spkernels | 5 | scipy | 1 |" in text  # 5 ms of preparation, 5 ms saved per product


def test_report_names_the_worst_cell_and_what_failed(tmp_path):
    lines = record("slow", scipy=1e-3, spkernels=1e-3)
    lines += record("fast", scipy=4e-3, spkernels=1e-3, torch="wrong: 1 of 2")
    text = tables.markdown(results_of(tmp_path, lines))
    assert "| 32 | 85-92.5% | 2 | 0.5 | 1 | 1% | 1% |" in text
    assert "| scipy | 2 | 2 | 2 | 1 | slow, 32 |" in text
    assert "Left out: mkl (no mkl)" in text
    assert "- torch failed on fast: wrong: 1 of 2" in text
    assert "L2 200" in text and "100 GFLOP/s" not in text.split("Versions")[1]


def test_plots_are_drawn_for_what_was_measured(tmp_path):
    plots = pytest.importorskip(
        "spkernels.bench.report.plots",
        reason="matplotlib is not installed.",
        exc_type=ImportError,
    )
    lines = []
    for threads in (1, 2):
        for sparsity in (0.5, 0.8, 0.9, 0.98):
            lines += record(
                f"at {sparsity}", sparsity=sparsity, threads=threads, scipy=5e-3,
                spkernels=1e-3 / threads, numpy_dense=2e-3,
            )  # fmt: skip
    lines += record("block", sparsity=0.9, kind="4 x 4", spkernels=1e-4, numpy_dense=2e-3)
    drawn = plots.save_all(results_of(tmp_path, lines), tmp_path)
    names = {name for _, name in drawn}
    kinds = ("speedup", "peers", "crossover", "kinds", "roofline", "threads")
    assert names == {f"dlmc-spmm-{kind}.png" for kind in kinds}
    for name in names:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / name).with_suffix(".svg").read_text()


def habit(matrix, width=8, **labels):
    """Return a function that gives the lines of a cell of the habits, from its peers' times."""

    def lines(**peers):
        changed = {"suite": "habits", "op": "habit", "layout": "C", "load": "none"} | labels
        return [line | changed for line in record(matrix, width=width, **peers)]

    return lines


def test_the_report_on_habits_says_what_each_costs(tmp_path):
    lines = habit("m")(scipy=4e-3, spkernels=1e-3, accelerate=2e-3, spkernels_before=2e-3)
    lines += habit("m", layout="F")(scipy=6e-3, spkernels=1.5e-3, spkernels_before=15e-3)
    lines += habit("layer", 128, op="fused nothing")(spkernels=1e-3, spkernels_before=1e-3)
    lines += habit("layer", 128, op="fused gelu")(spkernels=1.1e-3, spkernels_before=3e-3)
    lines += habit("BERT", 128, op="bert_layer")(spkernels=4e-3, spkernels_before=8e-3)
    for line in habit("layer", op="chosen")(spkernels_plain=2e-3, numpy_dense=4e-3, spkernels=1e-3):
        lines.append(line | {"first prepare": 0.02})
    lines += habit("text", 1, op="NMF")(
        scipy=3.0, scipy_one_BLAS_thread=2.5, accelerate=2.0, accelerate_one_BLAS_thread=1.0
    )
    for line in habit("m", load="2 busy processes")(scipy=4e-3, spkernels=2e-3):
        lines.append(line | {"mean": 2 * line["median"], "slowest": 3 * line["median"]})
    text = tables.markdown(results_of(tmp_path, lines))
    # Against scipy by both ways, and an earlier build.
    assert "| C | float32 | 1 | 4 | 4 | m, 8 | 2 | 2 | m, 8 | - | - | - | 2 | 2 | m, 8 |" in text
    assert "| F | float32 | 1 | 4 | 4 | m, 8 | - | - | - | 1.5 | 1.5 | m, 8 | 10 | 10 |" in text
    assert "| gelu | layer | 1,562 | 78.1 | 10% |" in text
    assert "| 128 | - | 8 | 4 | - | 2 |" in text
    assert "| none | 1 | 2 | 2 | layer, 8 | 1 of 1 | 20 | 20 |" in text
    assert "| NMF | none | 3 | 2.5 | - | 2 | 1 | 1.5 | 3 | 2.5 |" in text
    assert "| geometric mean | none |  |  |  |  |  | 1.5 | 3 | 2.5 |" in text
    assert "| 2 busy processes | m, 8 | 8,000 | - | - | 4,000 | 0.5 | 0.5 | - |" in text


def test_results_of_before_layouts_and_loads_are_read():
    (line,) = record(spkernels=1e-3)
    assert analysis.key_of(line)[-2:] == ("C", "none")


# Comparisons


def two_runs(tmp_path, factor, drift=1.0, noise=0.02, cells=12):
    rng = np.random.default_rng(5)

    def times(mean):
        return mean * np.exp(noise * rng.standard_normal(9))

    old, new = [], []
    for i in range(cells):
        mean = float(rng.uniform(1e-4, 1e-2))
        old += record(f"m{i}", scipy=times(5 * mean), spkernels=times(mean))
        new += record(
            f"m{i}", scipy=times(5 * mean * drift), spkernels=times(mean * factor * drift)
        )
    return results_of(tmp_path, old, "old.jsonl"), results_of(tmp_path, new, "new.jsonl")


@pytest.mark.parametrize("drift", [1.0, 1.7])
@pytest.mark.parametrize(("factor", "verdict"), [(1.2, "slower"), (0.8, "faster"), (1.0, "same")])
def test_comparison_tells_a_change_from_a_slower_machine(tmp_path, factor, verdict, drift):
    old, new = two_runs(tmp_path, factor, drift)
    (change,) = comparison.compare(old, new, np.random.default_rng(0))
    assert change.verdict == verdict
    assert change.low < factor < change.high
    assert change.ratio == pytest.approx(factor, rel=0.03)


def test_comparison_of_noise_is_unclear(tmp_path):
    old, new = two_runs(tmp_path, 1.0, noise=0.6, cells=4)
    (change,) = comparison.compare(old, new, np.random.default_rng(0))
    assert change.verdict == "unclear"


def test_agreement_of_speedups(tmp_path):
    old, new = two_runs(tmp_path, 0.5, noise=0.0)
    (found,) = comparison.agreements(old, new)
    assert (found.name, found.peer, found.cells) == ("dlmc spmm, 2 threads, warm", "scipy", 12)
    assert (found.old, found.new) == (pytest.approx(5), pytest.approx(10))
    assert (found.old_minima, found.new_minima) == (pytest.approx(5), pytest.approx(10))


# The command


def test_earlier_builds_are_peers_where_some_python_has_them(monkeypatch, capsys, tmp_path):
    from spkernels.cli import bench

    asked = []

    def run_cells(plan, results, advance):
        asked.append([peer for peer in plan.peers if peer in EARLIER])
        return {}

    monkeypatch.setattr(bench, "run_cells", run_cells)
    monkeypatch.chdir(tmp_path)
    main(("bench", "tiny", "--quick"))
    main(("bench", "tiny", "--quick", "--python", "spkernels before=old/bin/python"))
    assert asked == [[], ["spkernels before"]]


QUICK = ("--rounds", "2", "--seconds", "0.001", "--patience", "0", "--threads", "1")


def test_command_measures_reports_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("bench", "tiny", "--quick", "--peers", "scipy", "spkernels", *QUICK)
    asked = (*asked, "--widths", "vector", "4")
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "| 10x10, 30 entries | vector | float32 | csr_array |" in out
    assert (tmp_path / "bench-tiny.jsonl").exists()
    assert (tmp_path / "bench-tiny-report" / "index.md").exists()
    lines = (tmp_path / "bench-tiny.jsonl").read_text()
    assert {json.loads(line).get("width", 4) for line in lines.splitlines()} == {None, 4}
    assert main(asked) == 0
    assert (tmp_path / "bench-tiny.jsonl").read_text() == lines
    assert main(("bench", "report", "bench-tiny.jsonl", "--folder", "elsewhere")) == 0
    assert (tmp_path / "elsewhere" / "index.md").exists()
    capsys.readouterr()
    assert main(("bench", "compare", "bench-tiny.jsonl", "bench-tiny.jsonl")) == 0
    out = capsys.readouterr().out
    assert "new / old time" in out and "spkernels against" in out and "1.000" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), "no suite 'nonsense'"),
        (("dlmc", "--data", "no/such/folder"), "does not exist"),
        (("dlmc", "--threads", "100000"), "threads on"),
        (("tiny", "--ops", "sddmm"), "nothing to measure"),
        (("report",), "one file"),
        (("report", "missing.jsonl"), "missing.jsonl does not exist"),
        (("compare", "one.jsonl"), "two files"),
    ],
)
def test_command_says_what_is_wrong(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(("bench", *arguments)) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sparsity", ["1", "-0.1", "nan", "half"])
def test_a_sparsity_is_a_share_below_1(sparsity, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(("bench", "models", "--sparsities", sparsity))
    assert exit_.value.code == 2
    assert f"expected a number from 0 to below 1, got '{sparsity}'" in capsys.readouterr().err


def test_all_suites_run_quickly_where_none_is_named(monkeypatch, capsys, tmp_path):
    from spkernels.cli import bench

    asked = []
    monkeypatch.setattr(bench, "collect", lambda suites, *_: asked.append(suites) or [])
    monkeypatch.chdir(tmp_path)
    assert main(("bench", "--quick", "--threads", "1")) == 2
    assert asked == [list(SUITES)]
    assert "nothing to measure" in capsys.readouterr().err
    # Without --quick that would take hours: nobody should start it by accident.
    assert main(("bench", "--threads", "1")) == 2
    assert asked == [list(SUITES)]
    assert "expected a suite: all, dlmc" in capsys.readouterr().err


# The machine


def test_fingerprint_names_no_folder(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/a/b/bench", "--data", "/a/b/dlmc", "--python=mkl=/x/y"])
    found = machine.fingerprint()["command line"]
    assert found == ["bench", "--data", "dlmc", "--python=mkl=y"]


def test_more_threads_than_cpus_is_an_error():
    with pytest.raises(ValueError, match="threads on"):
        machine.choose_cpus(10**6)


def test_rooflines_are_those_of_a_machine(monkeypatch):
    monkeypatch.undo()
    found = roofline.line(1, 0)
    assert found["GFLOP/s"]["float32"] > found["GFLOP/s"]["float64"] > 0.1
    assert all(rate > 0.1 for rate in found["GB/s"].values())
    assert set(found["GB/s"]) == {"L1", "L2", "L3", "DRAM"}


def test_the_command_line_says_what_every_suite_is():
    from spkernels.cli import bench

    lines = [line.split() for line in bench._EPILOG.splitlines() if line.startswith("  ")]
    assert {words[0] for words in lines} >= SUITES.keys()
