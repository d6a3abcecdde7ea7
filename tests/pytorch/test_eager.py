"""When modules may call kernels without PyTorch's dispatcher: private names of PyTorch tell."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch.autograd import forward_ad  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import spkernels.torch  # noqa: E402, F401
from spkernels.torch._eager import is_plain  # noqa: E402


class Functions(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Dispatches(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Subclass(torch.Tensor):
    pass


def modes():
    yield Functions()
    yield Dispatches()
    yield torch._subclasses.fake_tensor.FakeTensorMode()
    yield forward_ad.dual_level()
    yield torch.autocast("cpu", torch.bfloat16)
    yield torch.profiler.profile()
    yield torch.device("cpu")  # a mode that sets the default


@pytest.mark.parametrize("mode", list(modes()), ids=lambda mode: type(mode).__name__)
def test_modes_need_the_dispatcher(mode):
    x = torch.ones(3)
    with torch.no_grad():
        assert is_plain(x)
        with mode:
            assert not is_plain(x)
        assert is_plain(x)


def test_transforms_and_traces_need_the_dispatcher():
    found = []

    def call(x):
        found.append(is_plain(x))
        return x * 2

    x = torch.ones(3, 2)
    with torch.no_grad():
        torch.func.vmap(call)(x)
        torch.func.jvp(call, (x,), (x,))
        torch.func.functionalize(call)(x)
        torch.jit.trace(call, x, check_trace=False)
        torch.fx.experimental.proxy_tensor.make_fx(call)(x)
        assert found and not any(found)
        call(x)
    assert found[-1]


@pytest.mark.parametrize("grad", [False, True])
def test_gradients_need_the_dispatcher(grad):
    x, frozen = torch.ones(3), torch.ones(3)
    trained = torch.ones(3, requires_grad=True)
    with torch.set_grad_enabled(grad):
        assert is_plain(x, frozen, None)
        assert is_plain(x, trained) is not grad
        assert is_plain(trained) is not grad


def test_other_tensors_need_the_dispatcher():
    x = torch.ones(3)
    assert not is_plain(x.as_subclass(Subclass))
    assert not is_plain(x.to("meta"))
    with torch.inference_mode():
        assert is_plain(x) and is_plain(x * 2)
