"""The suite of networks: weights, peers in this process, error bounds, tables."""

import importlib
import sys

import numpy as np
import pytest

from spkernels.__main__ import main
from spkernels.bench import cells
from spkernels.bench.measure import check
from spkernels.bench.ops import OPS
from spkernels.bench.ops import networks as ops
from spkernels.bench.peers import MODULES
from spkernels.bench.problem import Problem
from spkernels.bench.report import models as report
from spkernels.bench.suites import models
from spkernels.bench.suites.common import Options

torch = pytest.importorskip("torch", reason="torch is not installed.")
from spkernels.bench import networks  # noqa: E402

#: Networks like those of the suite that take milliseconds.
TINY = {
    "MLP": (lambda: networks.mlp(13, 32, 10), (13,)),
    "encoder layer, 128 tokens": (lambda: networks.encoder(1, 24, 2, 48), (5, 24)),
    "encoder layer, 384 tokens": (lambda: networks.encoder(1, 24, 3, 40), (7, 24)),
    "encoder of 6 layers, 128 tokens": (lambda: networks.encoder(3, 24, 2, 32), (5, 24)),
    "LSTM": (lambda: networks.Recurrent(torch.nn.LSTM, 12, 16), (6, 12)),
    "GRU": (lambda: networks.Recurrent(torch.nn.GRU, 12, 16), (6, 12)),
    "ResNet bottleneck": (lambda: networks.Bottleneck(32, 8, 32, norm=False), (32, 6, 6)),
    "GSC": (lambda: networks.gsc(16, 40, 12), (1, 32, 32)),
    "ResNet-50": (lambda: networks.resnet((1, 2), 8, 10), (3, 32, 32)),
}
ASKED = ("torch eager", "onnxruntime network", "openvino", "deepsparse", "spkernels")


@pytest.fixture
def small(monkeypatch):
    """Small networks under the names of the suite's."""
    small = {name: networks.Network(*parts) for name, parts in TINY.items()}
    monkeypatch.setattr(networks, "NETWORKS", small)


@pytest.fixture
def problem_of(small):
    """A function that makes the problem of a small network."""

    def make(name, sparsity=0.8, batch=3):
        matrix = matrix_of(f"{name}, {100 * sparsity:g}%")
        (cell,) = models.cells([matrix], Options(widths=(batch,), threads=(1,)))
        return cell.problem(matrix.load())

    return make


def matrix_of(name):
    return next(m for m in models.matrices(Options()) if m.name == name)


def test_sparsities_that_are_asked_for_stand_in_place_of_the_usual_ones(small):
    made = list(models.matrices(Options(sparsities=(0.3, 0.99))))
    assert [m.name for m in made if m.kind == "MLP"] == ["MLP, 30%", "MLP, 99%"]
    for matrix in made[:2]:
        A = matrix.load()
        assert 1 - A.nnz / A.shape[1] == pytest.approx(float(matrix.name[5:-1]) / 100, abs=0.02)


@pytest.mark.parametrize("name", TINY)
def test_every_peer_that_is_installed_gives_the_same_result(problem_of, name, tmp_path):
    problem_of(name).save(tmp_path / "p.npz")
    problem = Problem.load(tmp_path / "p.npz")
    exact, bound = check.reference(problem)
    assert np.abs(exact).max() > 0.01
    asked = 0
    for peer in ASKED:
        try:
            adapter = importlib.import_module(f"spkernels.bench.peers.{MODULES[peer]}")
            call = adapter.bind(problem)
        except (ModuleNotFoundError, NotImplementedError):
            continue
        answer = adapter.to_numpy(call(), problem)
        assert check.fault(answer, exact, bound, np.dtype(np.float32)) is None, peer
        wrong = answer.copy()
        wrong.flat[0] += 0.05 * np.abs(exact).max()
        assert "1 of" in check.fault(wrong, exact, bound, np.dtype(np.float32))
        asked += 1
    assert asked >= 2  # torch eager and spkernels need torch alone


@pytest.mark.parametrize("sparsity", models.SPARSITIES)
@pytest.mark.parametrize("name", ["MLP", "LSTM", "ResNet-50"])
def test_each_weight_has_the_sparsity_and_activations_keep_their_size(problem_of, name, sparsity):
    problem = problem_of(name, sparsity)
    built = networks.build(problem)
    weights = [p.numpy() for p in built.parameters() if p.ndim > 1]
    assert sum(w.size for w in weights) == problem.shape[1]
    assert sum(np.count_nonzero(w) for w in weights) == problem.nnz
    for weight in weights:
        assert np.count_nonzero(weight) == round((1 - sparsity) * weight.size)
        assert np.square(weight).sum() == pytest.approx(len(weight), rel=1e-4)
    vectors = [p.numpy() for p in built.parameters() if p.ndim == 1]
    assert np.array_equal(np.concatenate(vectors), problem.operands["vectors"])
    assert OPS[name].flops(problem) == 2 * 3 * problem.nnz
    expected = 4 * (2 * problem.nnz + 2 + problem.operands["x"].size)
    assert OPS[name].bytes(problem) == expected + problem.operands["vectors"].nbytes


def test_blocks_are_whole(small):
    found = matrix_of("MLP, 95% as 16 x 1").load().toarray().ravel()
    weight = found[: 32 * 13].reshape(2, 16, 13) != 0
    assert (weight.all(axis=1) == weight.any(axis=1)).all() and weight.any()


def test_networks_have_the_parameters_of_their_papers():
    counts = {
        name: sum(np.prod(shape) for _, _, shape in networks._parameters(name))
        for name in networks.NETWORKS
    }
    assert counts == {
        "MLP": 784 * 1024 + 2 * 1024**2 + 10 * 1024 + 3 * 1024 + 10,
        "encoder layer, 128 tokens": 7_087_872,
        "encoder layer, 384 tokens": 7_087_872,
        "encoder of 6 layers, 128 tokens": 6 * 7_087_872,
        "LSTM": 4 * 1024 * (256 + 1024 + 2),
        "GRU": 3 * 1024 * (256 + 1024 + 2),
        "ResNet bottleneck": 2 * 256 * 1024 + 9 * 256**2 + 2 * 256 + 1024,
        "GSC": 64 * 26 + 64 * (25 * 64 + 1) + 1600 * 1500 + 1500 + 12 * 1501,
        "ResNet-50": 25_557_032,  # torchvision's
    }


def test_suite_and_operations_know_the_same_networks():
    assert networks.NETWORKS.keys() == ops.NETWORKS.keys() == models.BATCHES.keys() == TINY.keys()
    assert {*models.QUICK, *models.BLOCKED} < ops.NETWORKS.keys()


def test_winners_stay_and_others_become_zeros():
    x = torch.tensor([[3.0, -1.0, 2.0], [-1.0, -2.0, -3.0]])
    assert networks.Winners(1)(x).tolist() == [[3, 0, 0], [-1, 0, 0]]
    image = x.reshape(1, 2, 3, 1)
    assert networks.Winners(1)(image).flatten().tolist() == [3, -1, 2, 0, 0, 0]


def test_without_onnx_peers_that_read_it_are_passed_over(problem_of, monkeypatch):
    monkeypatch.setattr(ops, "find_spec", lambda name: None)
    problem = problem_of("MLP")
    with pytest.raises(NotImplementedError, match="no onnx"):
        ops.onnx_model(problem)


def test_export_leaves_torch_as_it_was(problem_of):
    pytest.importorskip("onnx", reason="onnx is not installed.")
    torch.backends.mha.set_fastpath_enabled(True)
    assert len(networks.to_onnx(problem_of("encoder layer, 128 tokens"))) > 1000
    assert torch.backends.mha.get_fastpath_enabled()


def test_without_torch_networks_are_left_out_with_a_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.delitem(sys.modules, "spkernels.bench.networks")
    monkeypatch.delattr("spkernels.bench.networks")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.chdir(tmp_path)
    asked = ("--peers", "torch eager", "--threads", "1", "--patience", "0")
    assert main(("bench", "models", "--quick", *asked)) == 0
    assert "left out models: torch is not installed\n" in capsys.readouterr().err


def cell_of(matrix, batch, **peers):
    """Return a measured cell from the seconds of its peers."""
    labels = {"op": "MLP", "matrix": matrix, "width": batch, "threads": 2}
    records = {
        peer.replace("_", " "): {"median": seconds, "min": seconds / 2, "prepare": 100 * seconds}
        for peer, seconds in peers.items()
    }
    return report.Cell(labels, records)


def test_tables_compare_with_the_fastest_dense_peer():
    found = [
        cell_of("MLP, 90%", 1, torch_eager=4e-3, openvino=2e-3, deepsparse=5e-4, spkernels=1e-3),
        cell_of("MLP, 90%", 8, torch_eager=2e-3, openvino=9e-3, spkernels=4e-3),
    ]
    times, speedups = report.sections(found)
    assert "| MLP, 90% | 1 | 4 / 2 | 2 / 1 | 0.5 / 0.25 | 1 / 0.5 |" in times
    assert "| MLP, 90% | 8 | 2 / 1 | 9 / 4.5 | - / - | 4 / 2 |" in times
    # Geometric means of 2 and 0.5; the worst is at batch 8.
    row = "| MLP, 90% | 2 | 1 | 1 | 0.5 | 8 | 1.41 (0.5) | - | - | 2.12 (2) | 0.5 (0.5) | 0.4 |"
    assert row in speedups
    (times,) = report.sections([cell_of("MLP, 90%", 1, openvino=2e-3)])
    assert "| MLP, 90% | 1 | 2 / 1 |" in times


def test_values_of_networks_are_those_of_their_weights(small):
    matrix = matrix_of("MLP, 90%")
    A = matrix.load()
    (cell,) = models.cells([matrix], Options(widths=(2,), threads=(1,)))
    assert np.array_equal(cell.problem(A).data, A.data)
    labels = cells.describe(cell, A, cell.problem(A))
    assert labels["sparsity"] == pytest.approx(0.9, abs=0.01) and labels["kind"] == "MLP"
