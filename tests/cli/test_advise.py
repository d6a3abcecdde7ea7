"""The command ``spkernels advise``: what it loads, what it refuses, and what it prints."""

import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch_models import X, mlp  # noqa: E402

import spkernels.torch as st  # noqa: E402
from spkernels.__main__ import main  # noqa: E402
from spkernels.torch import _advise, _measure, _profile  # noqa: E402

GRID = ["--sparsity", "0.5", "0.9", "--pattern", "16x1", "2:4"]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Let measurements be as short as possible."""
    for name in ("_SECONDS", "_PATIENCE", "_TURN_SECONDS"):
        monkeypatch.setattr(_measure, name, 0.0)
    monkeypatch.setattr(_profile, "_SECONDS", 0.0)
    monkeypatch.setattr(_advise, "_SHORT", 0.0)


@pytest.fixture
def given(monkeypatch):
    """Keep what `advise` is given, and give it back as an empty advice."""
    found = {}

    def advise(model, inputs, sparsities, patterns, **options):
        found.update(
            model=model, inputs=inputs, sparsities=sparsities, patterns=patterns, **options
        )
        return st.Advice((), (), 1.0)

    monkeypatch.setattr(st, "advise", advise)
    return found


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(mlp(), path)
    return str(path)


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(mlp(), (X,)), path)
    return str(path)


@pytest.fixture
def onnx_model(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed.")
    from onnx import TensorProto, helper, numpy_helper

    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 4]),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 20]),
    ]
    weight = numpy_helper.from_array(np.ones((20, 30), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")],
        "graph",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 30])],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "model.onnx")
    return str(tmp_path / "model.onnx")


def test_tables_and_a_plot(capsys, tmp_path, module):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed.")
    plot = tmp_path / "plot.png"
    words = ["advise", module, "--trust", "--input", "3x20", *GRID, "--plot", str(plot)]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("dense model: ") and out.endswith(f"Plot: {plot}\n") and not err
    assert plot.read_bytes().startswith(PNG)
    assert main([*words[:-1], str(tmp_path / "plot.unknown")]) == 1
    assert "no plot: " in capsys.readouterr().err


def test_json_of_a_program_with_its_own_inputs(capsys, program):
    assert main(["advise", program, *GRID, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == program
    assert [layer["input"] for layer in facts["layers"]] == [[3, 20], [3, 30]]
    assert [(each["pattern"], each["sparsity"]) for each in facts["outcomes"]] == [
        ("16x1", 0.5), ("16x1", 0.9), ("2:4", 0.5),
    ]  # fmt: skip


def test_threads_and_the_grid_are_handed_on(given, module):
    threads = torch.get_num_threads()
    try:
        words = ["--trust", "--input", "3x20", "1x4:int64", "5:bfloat16", "--threads", "3"]
        assert main(["advise", module, *words]) == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    shapes = [(tuple(x.shape), x.dtype) for x in given["inputs"]]
    assert shapes == [((3, 20), torch.float32), ((1, 4), torch.int64), ((5,), torch.bfloat16)]
    assert (given["inputs"][1] == 1).all()
    assert given["sparsities"] == [0.5, 0.7, 0.8, 0.9, 0.95]
    assert given["patterns"] == ["unstructured", "16x1", "4x4", "2:4"]


def test_inputs_by_name(capsys, given, module):
    words = ["advise", module, "--trust", "--input", "a=3x20"]
    assert main([*words, "--input", "b=2:bool"]) == 0
    found = {name: tuple(x.shape) for name, x in given["inputs"].items()}
    assert found == {"a": (3, 20), "b": (2,)}
    assert main([*words, "2x2"]) == 2
    assert "--input must name all inputs or none" in capsys.readouterr().err


def test_a_module_needs_trust_and_inputs(capsys, given, module):
    assert main(["advise", module, "--input", "3x20"]) == 2
    assert "give --trust" in capsys.readouterr().err
    assert main(["advise", module, "--trust"]) == 2
    assert "--input must tell the shapes" in capsys.readouterr().err
    assert not given


def test_a_module_of_a_class_in_the_current_folder(capsys, given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    source = tmp_path / "own_layers.py"
    source.write_text("import torch\nclass Own(torch.nn.Linear):\n    pass\n")
    sys.path.insert(0, str(tmp_path))
    import own_layers

    torch.save(own_layers.Own(2, 2), tmp_path / "own.pt")
    monkeypatch.delitem(sys.modules, "own_layers")
    sys.path.remove(str(tmp_path))
    words = ["advise", "own.pt", "--trust", "--input", "1x2"]
    assert main(words) == 0
    assert type(given["model"]).__name__ == "Own"
    monkeypatch.delitem(sys.modules, "own_layers")
    source.unlink()
    sys.path_importer_cache.clear()
    assert main(words) == 2
    assert "No module named 'own_layers'; run this where" in capsys.readouterr().err


def test_files_that_are_no_models(capsys, given, tmp_path, module):
    weights, listed, script, broken = (tmp_path / name for name in ("w.pt", "l.pt", "s.pt", "b.pt"))
    torch.save(mlp().state_dict(), weights)
    torch.save([1], listed)
    torch.jit.save(torch.jit.trace(mlp(), X), script)
    broken.write_bytes(b"")
    for path, words in (
        (weights, "holds weights alone"),
        (listed, "holds a list, not a module"),
        (script, "is TorchScript"),
        (broken, "cannot be loaded: EOFError: "),
        (tmp_path / "none.pt", "there is no such file"),
        (tmp_path / "b.pt2", "there is no such file"),
    ):
        assert main(["advise", str(path), "--trust", "--input", "1"]) == 2
        assert words in capsys.readouterr().err
    for name in ("b.pt2", "b.onnx"):
        (tmp_path / name).write_bytes(b"no model")
        assert main(["advise", str(tmp_path / name)]) == 2
        assert "b." in capsys.readouterr().err
    assert main(["advise", module, "--plot", str(tmp_path / "none" / "p.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert not given


def test_inputs_that_the_model_does_not_take(capsys, module):
    assert main(["advise", module, "--trust", "--input", "3x19"]) == 2
    assert "cannot be multiplied" in capsys.readouterr().err
    assert main(["advise", module, "--trust", "--input", "3x20", "--pattern", "x"]) == 2
    assert "patterns must be" in capsys.readouterr().err


def test_inputs_of_an_onnx_model(capsys, given, onnx_model):
    assert main(["advise", onnx_model]) == 2
    assert "--input must give a shape for ids (batchx4, int64)" in capsys.readouterr().err
    assert main(["advise", onnx_model, "--input", "y=3x4"]) == 2
    assert "has ids, x" in capsys.readouterr().err
    assert main(["advise", onnx_model, "--input", "x=3x20", "3x4"]) == 0
    found = {name: (tuple(x.shape), x.dtype) for name, x in given["inputs"].items()}
    assert found == {"ids": ((3, 4), torch.int64), "x": ((3, 20), torch.float32)}
    assert [each.name for each in given["model"].graph.node] == ["fc"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--input", "1x", "expected a shape"),
        ("--input", "1x2:complex64", "expected a shape"),
        ("--sparsity", "1", "expected a share above 0 and below 1, got '1'"),
        ("--sparsity", "x", "expected a share"),
        ("--threads", "0", "expected a positive integer"),
    ],
)
def test_wrong_options(capsys, option, value, words):
    with pytest.raises(SystemExit) as ended:
        main(["advise", "model.pt", option, value])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_without_torch(run_script):
    run_script(
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from spkernels.__main__ import main\n"
        "assert main(['advise', 'model.pt']) == 2\n"
    )
