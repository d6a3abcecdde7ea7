"""Sparse models that are saved, loaded, converted, shared by processes, and called by threads."""

import copy
import io
import pickle
import threading

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

import spkernels  # noqa: E402
import spkernels.torch as st  # noqa: E402

#: Every module is replaced, as no test may depend on times.
ALL = {"min_speedup": 1e-9}
X = torch.linspace(-2, 2, 60).reshape(3, 20)


def dense_model(amount=0.8, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 7)).eval()
    for layer in (model[0], model[2]):
        prune.random_unstructured(layer, "weight", amount=amount)
        prune.remove(layer, "weight")
    return model


def sparse_model(amount=0.8, seed=0):
    model = dense_model(amount, seed)
    st.sparsify_(model, example_inputs=X, **ALL)
    assert all(isinstance(model[place], st.SparseLinear) for place in (0, 2))
    return model


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes_that_a_model_is_converted_to(dtype):
    expected = dense_model().to(dtype).double()(X.to(dtype).double())
    model = sparse_model().to(dtype)
    bound = 8 * torch.finfo(dtype).eps * expected.abs().max() + 1e-7
    for _ in range(3):
        found = model(X.to(dtype))
        assert found.dtype is dtype
        assert ((found.double() - expected).abs() <= bound).all()
    torch.testing.assert_close(st.densify_(model)[0].weight, dense_model().to(dtype)[0].weight)


def test_a_model_without_memory():
    model = sparse_model()
    state = model.state_dict()
    empty = copy.deepcopy(model).to("meta")
    assert empty(X.to("meta")).shape == (3, 7)
    empty.load_state_dict(state, assign=True)
    torch.testing.assert_close(empty(X), model(X))


@pytest.mark.parametrize("other", [(0.8, 1), (0.5, 1), (1.0, 0)])
def test_a_state_dict_brings_its_structure(other):
    model, into = sparse_model(), sparse_model(*other)
    for _ in range(3):
        into(X)  # what is packed must not survive
    stored = io.BytesIO()
    torch.save(model.state_dict(), stored)
    stored.seek(0)
    into.load_state_dict(torch.load(stored, weights_only=True))
    for _ in range(3):
        torch.testing.assert_close(into(X), model(X))
    torch.testing.assert_close(st.densify_(into)(X), dense_model()(X))


def test_a_state_dict_of_trained_values_brings_its_structure():
    layer, into = st.SparseLinear(20, 7, sparsity=0.8), st.SparseLinear(20, 7, sparsity=0.5)
    values = into.values
    into(X).sum().backward()
    into.load_state_dict(layer.state_dict())
    assert into.values is values and values.grad is None
    torch.testing.assert_close(into(X), layer(X))
    torch.optim.AdamW(into.parameters()).step()
    into(X).sum().backward()
    assert values.grad.shape == layer.values.shape


def test_state_dicts_of_other_layers_are_refused():
    with pytest.raises(RuntimeError, match="size mismatch for 0.offsets"):
        nn.Sequential(st.SparseLinear(20, 30)).load_state_dict(
            nn.Sequential(st.SparseLinear(20, 31)).state_dict()
        )
    with pytest.raises(RuntimeError, match="(?s)Missing key.*0.values.*Unexpected key.*0.weight"):
        sparse_model().load_state_dict(dense_model().state_dict())
    wider, narrow = st.SparseLinear(40, 7, sparsity=0), st.SparseLinear(20, 7)
    narrow.load_state_dict(wider.state_dict())
    with pytest.raises(ValueError, match=r"must be a matrix of shape \(7, 20\) in CSR"):
        narrow(X)


@pytest.mark.parametrize("made_in", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("called_in", [torch.no_grad, torch.inference_mode])
def test_modes_in_which_a_model_is_made_and_called(made_in, called_in):
    expected = dense_model()(X)
    with made_in():
        model = sparse_model()
    for _ in range(3):
        with called_in():
            torch.testing.assert_close(model(X), expected)
            assert model(X).is_inference() is (called_in is torch.inference_mode)


@pytest.mark.parametrize("trained", [False, True])
def test_a_model_that_inference_mode_converts_and_changes(trained):
    model = nn.Sequential(st.SparseLinear(20, 7)).eval() if trained else sparse_model()
    x = X.double()
    with torch.inference_mode():
        for _ in range(3):
            model(X)  # packed for the tensors that are converted
        model.half().double()
        for factor in (1, 2):
            for layer in model:
                if isinstance(layer, st.SparseLinear):
                    layer.values.mul_(factor)
            expected = x
            for layer in model:
                if isinstance(layer, st.SparseLinear):
                    expected = expected @ layer.weight.T + layer.bias
                    expected = expected if layer.activation is None else expected.relu()
            for _ in range(3):
                torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("structure", ["linear", "sddmm", "sparse_attention"])
def test_structures_whose_memory_moves(structure):
    layer = st.SparseLinear(50, 70, sparsity=0.5).requires_grad_(False)
    columns, offsets = layer.columns, layer.offsets
    x, y = torch.randn(70, 8), torch.randn(50, 8)
    ops = torch.ops.spkernels

    def call():
        if structure == "linear":  # values that are not packed are read where they are
            weight = layer.values.requires_grad_(), columns, offsets, 50
            return ops.linear(y.T, *weight).detach()
        if structure == "sddmm":
            return ops.sddmm(columns, offsets, x, y.T)
        return ops.sparse_attention(x, y, y, columns, offsets)

    expected = call()
    for tensor in (columns, offsets):
        tensor.share_memory_()
    _ = [torch.full((size,), -1, dtype=torch.int32) for size in range(1, 4000)]  # in the old memory
    torch.testing.assert_close(call(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_fused_steps_of_an_optimizer_are_noticed(dtype, training, compiled):
    """PyTorch counts no version for them."""
    layer = st.SparseLinear(20, 7, sparsity=0.5, dtype=dtype).train(training)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0, fused=True)
    step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
    x = X.to(dtype)
    for _ in range(3):
        with torch.no_grad():
            found = [layer(x) for _ in range(3)]
        expected = x @ layer.weight.T + layer.bias
        for result in found:
            torch.testing.assert_close(result, expected, atol=0.05, rtol=0.05)
        optimizer.zero_grad()
        layer(x).sum().backward()
        step()


def test_tensors_that_are_swapped(monkeypatch):
    monkeypatch.setattr(torch.__future__, "_swap_module_params_on_conversion", True)
    layer = st.SparseLinear(20, 7, sparsity=0.5)
    model = nn.Sequential(layer)
    model(X).sum().backward()
    with torch.no_grad():
        for _ in range(3):
            model.eval()(X)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["0.values"] *= 2
    for dtype in (torch.float32, torch.float64):
        model.to(dtype).load_state_dict(state)
        x = X.to(dtype)
        for _ in range(3):
            torch.testing.assert_close(model(x), x @ layer.weight.T + layer.bias)
    assert layer.values.dtype is torch.float64


def test_values_that_change_while_they_are_packed(monkeypatch):
    from spkernels.torch import _packed

    layer = st.SparseLinear(20, 7, sparsity=0.5).eval().requires_grad_(False)
    weight = layer.values, layer.columns, layer.offsets, 20
    prepare = spkernels.prepare

    def prepare_meanwhile(*args, **options):
        made = prepare(*args, **options)
        layer.values.mul_(2)
        _packed.weight_of(*weight)  # as another thread does
        return made

    monkeypatch.setattr(spkernels, "prepare", prepare_meanwhile)
    for _ in range(2):
        layer(X)  # the second call packs
    monkeypatch.undo()
    for _ in range(3):
        torch.testing.assert_close(layer(X), X @ layer.weight.T + layer.bias)


def test_copies_and_pickles_share_nothing():
    model = sparse_model()
    expected = model(X)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    with torch.no_grad():
        for parameter in [*model.parameters(), *model.buffers()]:
            if parameter.is_floating_point():
                parameter.zero_()
        assert not model(X).any()
    for made in copies:
        torch.testing.assert_close(made(X), expected)


def test_threads_that_call_one_model():
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(20, 4000), nn.ReLU(), nn.Linear(4000, 7)).eval()
    for layer in (wide[0], wide[2]):
        prune.random_unstructured(layer, "weight", amount=0.8)
        prune.remove(layer, "weight")
    expected = wide(X)
    st.sparsify_(wide, example_inputs=X, **ALL)
    model = copy.deepcopy(wide)  # nothing is packed yet: the threads find that out together
    errors, ready = [], threading.Barrier(4)

    def call():
        try:
            ready.wait()
            with torch.no_grad():
                for _ in range(50):
                    torch.testing.assert_close(model(X), expected)
        except BaseException as error:
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


COMMON = """
import sys
import torch
from torch import nn
import spkernels.torch as st

folder = sys.argv[0].rpartition("/")[0]
"""


def stored_inputs(model, folder):
    torch.save((X, dense_model()(X)), folder / "expected.pt")


def test_an_exported_model_runs_in_a_fresh_process(run_script, tmp_path):
    model = sparse_model()
    stored_inputs(model, tmp_path)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    made = torch.export.export(model, (X,), dynamic_shapes=(batch,))
    torch.export.save(made, tmp_path / "model.pt2")
    run_script(COMMON + """
model = torch.export.load(folder + "/model.pt2").module()
x, expected = torch.load(folder + "/expected.pt")
for _ in range(3):
    torch.testing.assert_close(model(x), expected)
torch.testing.assert_close(model(x[:2]), expected[:2])
""")


def test_a_saved_model_runs_in_a_fresh_process(run_script, tmp_path):
    model = sparse_model()
    stored_inputs(model, tmp_path)
    torch.save(model, tmp_path / "model.pt")
    run_script(COMMON + """
model = torch.load(folder + "/model.pt", weights_only=False)
x, expected = torch.load(folder + "/expected.pt")
for _ in range(3):
    torch.testing.assert_close(model(x), expected)
assert isinstance(st.densify_(model)[0], nn.Linear)
torch.testing.assert_close(model(x), expected)
""")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_share_a_model(run_script, tmp_path, method):
    stored_inputs(None, tmp_path)
    torch.save(sparse_model(), tmp_path / "model.pt")
    run_script(COMMON + f"""
import torch.multiprocessing as processes

def child(model, x, expected):
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(model(x), expected)
        # The parent has the same memory, and notices what it reads anew.
        model[2].values.zero_()

if __name__ == "__main__":
    model = torch.load(folder + "/model.pt", weights_only=False)
    x, expected = torch.load(folder + "/expected.pt")
    with torch.no_grad():
        for _ in range(3):
            model(x)  # packed, and the threads have started
        model.share_memory()
        torch.testing.assert_close(model(x), expected)
    assert all(buffer.is_shared() for buffer in model.buffers())
    child_of = processes.get_context("{method}").Process(target=child, args=(model, x, expected))
    child_of.start()
    child_of.join(60)
    assert child_of.exitcode == 0, child_of.exitcode
    assert not model[2].values.any()
    model[2].repack()
    torch.testing.assert_close(model(x), model[2].bias.expand(3, 7))
""")


def test_workers_of_a_data_loader_call_a_model(run_script, tmp_path):
    stored_inputs(None, tmp_path)
    torch.save(sparse_model(), tmp_path / "model.pt")
    run_script(COMMON + """
from torch.utils.data import DataLoader, Dataset

class Features(Dataset):
    def __init__(self, model, x):
        self.model, self.x = model, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, place):
        with torch.no_grad():
            return self.model(self.x[place])

if __name__ == "__main__":
    model = torch.load(folder + "/model.pt", weights_only=False)
    x, expected = torch.load(folder + "/expected.pt")
    with torch.no_grad():
        for _ in range(3):
            model(x)
    loader = DataLoader(Features(model, x), batch_size=3, num_workers=2)
    torch.testing.assert_close(next(iter(loader)), expected)
""")
