"""`densify_` gives back what the model computes, whatever was done to it since `sparsify_`."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402
from torch_models import X, mlp  # noqa: E402

import spkernels.torch as st  # noqa: E402

ALL = {"min_speedup": 1e-9}


def masked():
    model = mlp()
    prune.random_unstructured(model[0], "weight", amount=0.5)
    prune.random_unstructured(model[0], "bias", amount=0.5)
    return model


def stored(layout, blocks=None):
    model = mlp()
    weight = model[0].weight.detach().to_sparse(layout=layout, blocksize=blocks)
    model[0].weight = nn.Parameter(weight, requires_grad=False)
    return model


FORMS = {
    "dense": mlp,
    "mask": masked,
    "csr": lambda: stored(torch.sparse_csr),
    "csc": lambda: stored(torch.sparse_csc),
    "coo": lambda: stored(torch.sparse_coo),
    "bsr": lambda: stored(torch.sparse_bsr, (2, 5)),
}


def other_state():
    torch.manual_seed(1)
    other = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 7)).eval()
    for layer in (other[0], other[2]):
        prune.random_unstructured(layer, "weight", amount=0.6)
    st.sparsify_(other, example_inputs=X, **ALL)
    return other.state_dict()


CHANGES = {
    "values": lambda model: model[0].values.mul_(2),
    "zeros": lambda model: model[0].values[:9].zero_(),
    "bias": lambda model: model[0].bias.add_(1),
    "loaded": lambda model: model.load_state_dict(other_state()),
    "assigned": lambda model: model.load_state_dict(other_state(), assign=True),
    "double": lambda model: model.double(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", FORMS)
def test_changes_come_back(form, change):
    model = FORMS[form]()
    layout = model[0].weight.layout
    assert len(st.sparsify_(model, example_inputs=X, **ALL).replaced) == 2
    with torch.no_grad():
        CHANGES[change](model)
    x = X.double() if change == "double" else X
    expected = model(x).detach()
    copied = copy.deepcopy(model)
    for each in (model, copied):
        st.densify_(each)
        weight = each[0].weight
        assert weight.layout is layout
        if layout is not torch.strided:  # few of these are multiplied by PyTorch
            each[0].weight = nn.Parameter(weight.detach().to_dense())
        torch.testing.assert_close(each(x), expected)
        assert prune.is_pruned(each[0]) is (form == "mask")


def test_what_a_mask_left_out_is_kept():
    model = masked()
    mask, before = model[0].weight_mask.clone(), model[0].weight_orig.detach().clone()
    st.sparsify_(model, example_inputs=X, **ALL)
    model[0].values.mul_(2)
    st.densify_(model)
    left = mask == 0
    assert torch.equal(model[0].weight_mask, mask)
    assert torch.equal(model[0].weight_orig[left], before[left])
    torch.testing.assert_close(model[0].weight_orig[~left], 2 * before[~left])


def test_a_weight_whose_elements_share_memory():
    model = mlp()
    model[0].weight = nn.Parameter(torch.zeros(1, 1).expand(30, 20))
    st.sparsify_(model, example_inputs=X, **ALL)
    st.densify_(model)
    assert torch.equal(model[0].weight, torch.zeros(30, 20))
    assert model[0].weight.is_contiguous()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("columns", lambda columns: columns[3:4].fill_(30), "(indices|values) must be < 30"),
        ("columns", lambda columns: columns[3:4].fill_(-1), "(indices|values) must be >= 0"),
        ("columns", lambda columns: columns.copy_(columns.flip(0)), "columns must increase"),
        ("offsets", lambda offsets: offsets[1:2].fill_(10**6), "in CSR"),
        ("offsets", lambda offsets: offsets[-1:].add_(1), "in CSR"),
    ],
)
def test_a_structure_that_is_none_leaves_the_model_as_it_is(name, change, words):
    model = nn.Sequential(nn.Linear(20, 20), mlp()).eval()
    st.sparsify_(model, example_inputs=X, **ALL)
    modules = list(model.modules())
    change(getattr(model[1][2], name))
    with pytest.raises(ValueError, match=rf"^1\.2: .*{words}"):
        st.densify_(model)
    assert list(model.modules()) == modules
