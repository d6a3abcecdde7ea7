"""prepare_many: the same as prepare of each, in order, by several threads and in bounded memory."""

import gc
import threading
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from reference import assert_spmm

from spkernels import Int8Matrix, datasets, prepare, prepare_many
from spkernels._prepare import cache, calibration
from spkernels._prepare import many as many_module
from spkernels._prepare.strategies import KERNELS


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(cache, "known", {})
    monkeypatch.setattr(cache, "basis", {})


def layers(count=7):
    shapes = [(8 + 16 * i, 40 - 3 * i) for i in range(count)]
    formats = ["csr", "csc", "coo", "bsr", "lil"]
    return [
        datasets.random_pruned(*shape, 0.1 * i + 0.2, rng=i).asformat(formats[i % 5])
        for i, shape in enumerate(shapes)
    ]


@pytest.mark.parametrize("jobs", [None, 1, 2, 3, 50, 10**30])
@pytest.mark.parametrize("tune", [True, False])
def test_each_is_prepared_in_order(jobs, tune):
    matrices = layers()
    many = prepare_many(iter(matrices), n=4, tune=tune, jobs=jobs)
    assert type(many) is list and len(many) == len(matrices)
    for W, A in zip(many, matrices, strict=True):
        B = np.random.default_rng(0).standard_normal((A.shape[1], 4)).astype(np.float32)
        assert_spmm(W @ B, A, B)
        if not tune:
            assert W.kernel == prepare(A, n=4, tune=False).kernel


def test_columns_and_options_are_those_of_prepare():
    matrices = layers(4)
    many = prepare_many(
        matrices, n=[1, 2, np.int64(64), 7], dtype=np.float64, tune=False, workers=1
    )
    assert [W._n for W in many] == [1, 2, 64, 7]
    assert all(W.dtype == np.float64 and W._workers == 1 for W in many)
    rounded = prepare_many(matrices, storage="bfloat16", tune=False)
    assert [W._n for W in rounded] == [128] * 4
    assert all("bfloat16" in repr(W) for W in rounded)
    small = prepare_many(matrices, dtype="int8", n=np.array([1, 4, 4, 128]))
    assert all(isinstance(W, Int8Matrix) for W in small)
    assert prepare_many([]) == [] and prepare_many((), n=[]) == []
    blocks = sp.kron(sp.eye_array(4, dtype=np.float32), np.ones((4, 4), np.float32))
    assert prepare_many([blocks], pattern="4x4", tune=False)[0].shape == (16, 16)


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("index", [0, 5, 17])
def test_errors_name_the_matrix(index, jobs):
    matrices = layers(5) * 4
    bad = list(matrices)
    bad[index] = np.eye(3)
    bad[index + 1] = matrices[0] * np.nan  # not the first
    with pytest.raises(TypeError, match=rf"^matrices\[{index}\]: A must be"):
        prepare_many(bad, jobs=jobs, tune=False)
    wrong = matrices[0].tocsr().copy()
    wrong.indices[0] = 1000
    bad[index] = wrong
    with pytest.raises(ValueError, match=rf"^matrices\[{index}\]: A"):
        prepare_many(bad, jobs=jobs, tune=False)
    n = [4] * len(matrices)
    n[index] = 0
    with pytest.raises(ValueError, match=rf"^matrices\[{index}\]: n must be at least 1"):
        prepare_many(matrices, n=n, jobs=jobs, tune=False)


def test_errors_of_arguments():
    matrices = layers(3)
    with pytest.raises(TypeError, match="matrices must be an iterable of sparse matrices"):
        prepare_many(matrices[0])
    with pytest.raises(TypeError, match="matrices must be an iterable of sparse matrices"):
        prepare_many(3)
    for wrong in ([1, 2], [1, 2, 3, 4]):
        for given in (matrices, iter(matrices)):
            with pytest.raises(ValueError, match="n must have a number for each matrix, got"):
                prepare_many(given, n=wrong, tune=False)
    wrong_types = 1.5, "four", [1.0, 2.0, 3.0], {4: 1, 5: 1, 6: 1}, {4, 5, 6}, np.ones((3, 1), int)
    for wrong in wrong_types:
        with pytest.raises(TypeError, match="^n must be an integer or a sequence of integers, got"):
            prepare_many(matrices, n=wrong, tune=False)
    for given in (matrices, []):  # of all, not of the first
        with pytest.raises(ValueError, match="^n must be at least 1"):
            prepare_many(given, n=0, tune=False)
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        prepare_many(matrices, jobs=0)
    with pytest.raises(TypeError, match="jobs must be an integer, got 1.5"):
        prepare_many(matrices, jobs=1.5)
    with pytest.raises(TypeError, match="tune must be True or False, got 1"):
        prepare_many(matrices, tune=1)
    with pytest.raises(ValueError, match="workers must be a positive or negative"):
        prepare_many([], workers=0)


def test_memory_is_bounded():
    """Of a generator's matrices, few are alive at any time."""
    made, most = [], 0

    def generated():
        nonlocal most
        for seed in range(40):
            A = sp.csr_array(np.eye(30, dtype=np.float32) * (seed + 1))
            made.append(weakref.ref(A))
            gc.collect()
            most = max(most, sum(ref() is not None for ref in made))
            yield A
            del A

    many = prepare_many(generated(), jobs=2, tune=False)
    assert [W.toscipy()[0, 0] for W in many] == list(range(1, 41))
    assert most <= 2 * 2 + 1


def test_packing_is_parallel_and_measuring_is_not(monkeypatch):
    """Two pack at once, or the barrier breaks; nobody does while one is measured."""
    barrier, lock = threading.Barrier(2, timeout=60), threading.Lock()
    packing = measuring = 0
    ahead, choose = many_module.packed_ahead, many_module.chosen

    def packed_ahead(*args):
        nonlocal packing
        barrier.wait()
        with lock:
            packing += 1
            assert measuring == 0
        made = ahead(*args)
        with lock:
            packing -= 1
        return made

    def chosen(*args):
        nonlocal measuring
        with lock:
            measuring += 1
            assert packing == 0 and measuring == 1
        made = choose(*args)
        with lock:
            measuring -= 1
        return made

    monkeypatch.setattr(many_module, "packed_ahead", packed_ahead)
    monkeypatch.setattr(many_module, "chosen", chosen)
    assert len(prepare_many(layers(6), n=4, jobs=2)) == 6


def test_what_is_packed_ahead_is_used(monkeypatch):
    """Nothing is packed twice, and what is measured was packed before."""
    made = []
    make = KERNELS["packed"].__init__

    def count(self, *args, **options):
        made.append(threading.current_thread() is threading.main_thread())
        make(self, *args, **options)

    monkeypatch.setattr(KERNELS["packed"], "__init__", count)
    calibration.factor("rows", 1)  # packs its own
    made.clear()
    matrices = [datasets.random_pruned(64, 64, 0.7, rng=i) for i in range(4)]
    prepare_many(matrices, n=16, jobs=2)
    assert made == [False] * 4


# The probe ----------------------------------------------------------------------------------------


def test_the_machine_is_probed_once(monkeypatch):
    """By the threads that come first, and never without tuning."""
    calibration._factors.cache_clear()
    count = []
    measure = calibration.measure

    def counted(*args, **options):
        count.append(1)
        return measure(*args, **options)

    monkeypatch.setattr(calibration, "measure", counted)
    matrices = [datasets.random_pruned(64, 64, 0.7, rng=i) for i in range(4)]
    prepare_many(matrices, tune=False)
    prepare(matrices[0], tune=False).explain  # noqa: B018
    assert not count
    prepare_many(matrices, n=8, jobs=4)
    probed = len(count)
    assert 2 <= probed <= 4  # for a vector and for more, with the dense product if it can be had
    prepare_many(matrices, n=9)
    prepare(matrices[0], n=1)
    assert len(count) == probed


def test_factors_are_of_this_machine():
    for name in ("rows", "packed", "padded", "dense"):
        for n in (1, 4, 8, 64, 1000):
            assert 0.25 <= calibration.factor(name, n) <= 16
    assert calibration.factor("rows", 1) == calibration.factor("rows", 64) == 1


def test_a_crowded_machine_tells_nothing_of_the_dense_product(monkeypatch):
    measure, seen = calibration.measure, []

    def crowded(candidates, **options):
        seen.extend(candidates)
        found = measure(candidates, **options)
        found.crowded = True
        return found

    calibration._factors.cache_clear()
    monkeypatch.setattr(calibration, "measure", crowded)
    assert calibration.factor("dense", 1) == 1 and "dense" not in seen
    calibration._factors.cache_clear()
