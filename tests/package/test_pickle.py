"""Public objects are pickled and copied, and do afterwards what they did before."""

import copy
import multiprocessing
import pickle
import pickletools

import numpy as np
import pytest
import scipy.sparse as sp

import spkernels
from spkernels import accelerate, formats, masks, patterns, prepare

rng = np.random.default_rng(0)
KEPT = rng.random((12, 16)) < 0.4
D = np.where(KEPT, rng.standard_normal((12, 16)), 0)
A = sp.csr_array(D)
B = rng.standard_normal((16, 3))
BYTES = rng.integers(0, 256, (16, 3), np.uint8)
X, Y = rng.standard_normal((12, 4)), rng.standard_normal((4, 16))
NM = formats.NMArray.from_dense(np.where(rng.random((12, 16)) < 0.2, 1.0, 0.0), 4, 4)
LONG = masks.causal_window(12, 3) | masks.global_tokens(12, 1) & ~masks.causal(12)

#: Objects, and what they do.
OBJECTS = {
    "prepared": (prepare(A, tune=False), lambda W: W @ B),
    "prepared, tuned": (prepare(A), lambda W: (W @ B, W.spmm(B, activation="relu"))),
    "prepared, stored in 16 bits": (
        prepare(A.astype(np.float32), storage="float16", tune=False), lambda W: W @ B
    ),
    "prepared, padded": (prepare(A, pattern="auto", tune=False), lambda W: W @ B),
    "transpose": (prepare(A, tune=False).T, lambda W: (W @ X, Y @ W, W.T @ B)),
    "chain": (spkernels.Chain([prepare(A, tune=False)], [0.5], ["relu"]), lambda c: c(B.T)),
    "linear operator of prepared ones": (
        prepare(A, tune=False).T @ prepare(A, tune=False) + 2 * prepare(A.T @ A, tune=False),
        lambda W: W @ B,
    ),
    "int8": (prepare(A, dtype="int8"), lambda W: (W @ BYTES, W.spmm(BYTES, scale=0.5))),
    "int8 transposed": (
        prepare(A, dtype="int8").T,
        lambda W: (W @ BYTES[:12], BYTES.T @ W, W.T.linear(BYTES.T, [1.0] * 12)),
    ),
    "pattern": (prepare(A, op="sddmm"), lambda W: W.sddmm(X, Y).toarray()),
    "operator": (
        spkernels.aslinearoperator(A), lambda o: (o @ B, o.T @ X, o.H @ X, o.rmatvec(X[:, 0]))
    ),
    "operator of complex ones": (spkernels.aslinearoperator(A * 1j), lambda o: (o @ B, o.H @ X)),
    "n:m": (NM, lambda W: (W @ B, X.T @ W, W.toarray())),
    "n:m transposed": (NM.T, lambda W: (W @ X, B.T @ W)),
    "mask": (LONG, lambda mask: mask.toarray()),
    "inverted mask": (~LONG, lambda mask: mask.tocsr().toarray()),
    "mask of a sparse array": (masks.from_sparse(A), lambda mask: mask.toarray()),
    "recognised": (patterns.Pattern("block", (4, 1), 0.9), lambda found: (str(found), found.name)),
    "explanation": (prepare(A).explain(), lambda report: (str(report), report.candidates)),
    "candidate": (prepare(A).explain().candidates[0], repr),
    "report": (accelerate.report(), lambda report: (str(report), report.calls)),
    "switch": (accelerate, lambda switch: (switch is accelerate, switch.enabled)),
    "block": (accelerate(), lambda block: _within(block)),
    "pruned": (spkernels.prune.nm(D, 2, 4), lambda pruned: pruned.mask),
}
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def _within(block):
    with block as switch:
        return switch is accelerate and accelerate.enabled


def same(one, other):
    if isinstance(one, tuple) and not hasattr(one, "_fields"):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            same(mine, theirs)
    else:
        np.testing.assert_array_equal(one, other)


def copies(value):
    yield copy.copy(value)
    yield copy.deepcopy(value)
    for protocol in PROTOCOLS:
        yield pickle.loads(pickle.dumps(value, protocol))


@pytest.mark.parametrize("name", OBJECTS)
def test_pickled_and_copied(name):
    value, use = OBJECTS[name]
    for used in (False, True):  # before its first use, and with what that has made
        for other in copies(value):
            assert type(other) is type(value)
            same(use(other), use(value))
            for attribute in ("shape", "dtype", "nnz"):
                assert getattr(other, attribute, None) == getattr(value, attribute, None)
        assert used or use(value) is not None


@pytest.mark.parametrize("name", OBJECTS)
def test_cloudpickled(name):
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed.")
    value, use = OBJECTS[name]

    def function():
        return use(value)

    same(pickle.loads(cloudpickle.dumps(function))(), use(value))


def test_all_public_classes_are_here():
    """Whatever class is public has an object above; modules' functions need none."""
    modules = [spkernels, formats, masks, patterns, spkernels.prune, spkernels.datasets]
    public = {
        value
        for module in modules
        for value in (getattr(module, name) for name in module.__all__)
        if isinstance(value, type) and not issubclass(value, BaseException)
    }
    shown = {base for value, _ in OBJECTS.values() for base in type(value).__mro__}
    assert public <= shown


def named(value):
    """Return the modules of the package that pickles name, in any protocol."""
    return {
        argument.split(" ")[0]  # of old protocols, which have the attribute behind it
        for protocol in PROTOCOLS
        for _, argument, _ in pickletools.genops(pickle.dumps(value, protocol))
        if isinstance(argument, str) and argument.startswith("spkernels")
    }


@pytest.mark.parametrize("name", OBJECTS)
def test_pickles_name_public_modules_alone(name):
    value, use = OBJECTS[name]
    use(value)
    modules = named(value)
    assert modules or isinstance(value, sp.linalg.LinearOperator)
    assert not [module for module in modules if "._" in module]


def test_public_functions_and_classes_name_their_modules():
    """joblib and multiprocessing send functions by name."""
    modules = [spkernels, formats, masks, patterns, spkernels.prune, spkernels.datasets]
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                assert named(value) == {module.__name__}, name
                assert pickle.loads(pickle.dumps(value)) is value


# The switch ---------------------------------------------------------------------------------------


@accelerate
def decorated(A, B):
    """Multiply."""
    return A @ B, accelerate.enabled


@accelerate()
def decorated_by_a_call(A, B):
    """Multiply."""
    return A @ B, accelerate.enabled


def test_the_switch_is_that_of_the_process():
    for other in copies(accelerate):
        assert other is accelerate
    for other in copies([accelerate, {"key": accelerate}]):
        assert other[0] is other[1]["key"] is accelerate
    accelerate.enable()
    try:
        data = pickle.dumps(accelerate)
        assert pickle.loads(data).enabled
    finally:
        accelerate.disable()
    assert not pickle.loads(data).enabled


@pytest.mark.parametrize("function", [decorated, decorated_by_a_call])
def test_decorated_functions(function):
    for other in copies(function):
        product, enabled = other(A, B)
        np.testing.assert_allclose(product, D @ B)
        assert enabled and not accelerate.enabled
    assert function.__doc__ == "Multiply."


@pytest.mark.parametrize("with_call", [False, True])
def test_functions_of_a_notebook(with_call):
    """cloudpickle sends them by value, with all that they name."""
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed.")
    scope = {"accelerate": accelerate, "__name__": "__main__"}
    exec(
        f"@accelerate{'()' if with_call else ''}\n"
        "def function(A, B):\n"
        "    with accelerate():\n"
        "        return A @ B, accelerate.enabled\n"
        "def plain(A, B):\n"
        "    with accelerate() as switch:\n"
        "        return A @ B, switch.enabled\n",
        scope,
    )
    for name in ("function", "plain"):
        product, enabled = pickle.loads(cloudpickle.dumps(scope[name]))(A, B)
        np.testing.assert_allclose(product, D @ B)
        assert enabled and not accelerate.enabled


SCRIPT = """
import multiprocessing, sys
import numpy as np, scipy.sparse as sp
from spkernels import accelerate, prepare

A, B = sp.csr_array(np.eye(12, 16)), np.ones((16, 3))

def work(A, B):
    with accelerate():
        return A @ B, accelerate.enabled

@accelerate
def decorated(A, B):
    return A @ B, accelerate.enabled

@accelerate()
def decorated_by_a_call(A, B):
    return A @ B, accelerate.enabled

def shape(value):
    return value.shape

def is_the_switch(value):
    return value is accelerate
"""


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib(backend, run_script):
    pytest.importorskip("joblib", reason="joblib is not installed.")
    run_script(f"""{SCRIPT}
if __name__ == "__main__":
    import joblib
    calls = [joblib.delayed(f)(A, B) for f in (work, decorated, decorated_by_a_call)]
    for product, enabled in joblib.Parallel(n_jobs=2, backend={backend!r}, timeout=60)(calls):
        np.testing.assert_array_equal(product, A.toarray() @ B)
        assert enabled
    assert not accelerate.enabled
    parallel = joblib.Parallel(n_jobs=2, backend={backend!r}, timeout=60)
    assert parallel([joblib.delayed(is_the_switch)(accelerate)]) == [True]
""")


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_processes_take_objects(method, run_script):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"This system has no {method}.")
    run_script(f"""{SCRIPT}
if __name__ == "__main__":
    values = [prepare(A, tune=False), prepare(A, tune=False).T, prepare(A, dtype="int8")]
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        assert pool.map_async(shape, values).get(60) == [(12, 16), (16, 12), (12, 16)]
        assert pool.map_async(is_the_switch, [accelerate]).get(60) == [True]
        for function in (work, decorated, decorated_by_a_call):
            assert pool.apply_async(function, (A, B)).get(60)[1]
""")
