"""The BLAS threads that `accelerate` leaves to the process."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import scipy.linalg  # noqa: F401
import threadpoolctl

from spkernels import accelerate
from spkernels._runtime import blas_limits


def blas_threads():
    """Return the number of threads of each BLAS, by path."""
    found = threadpoolctl.ThreadpoolController().select(user_api="blas").info()
    return {library["filepath"]: library["num_threads"] for library in found}


def of_all(number):
    return dict.fromkeys(blas_threads(), number)


# From 3.8 on, threadpoolctl has one thread at a time that OpenBLAS obeys.
OWNER = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)


@pytest.fixture(autouse=True)
def three_threads():
    """Have any number but those that the tests ask for."""
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        if not blas_threads() or blas_threads() != of_all(3):
            pytest.skip("There is no BLAS whose threads can be counted.")
        if OWNER:
            OWNER(force=True)
        yield
        assert blas_threads() == of_all(3)
    assert not accelerate.enabled


def test_the_default_leaves_them_alone():
    with accelerate():
        assert blas_threads() == of_all(3)


def test_a_block_limits_them_and_gives_them_back():
    with pytest.raises(KeyError), accelerate(blas_threads=1):
        assert accelerate.enabled
        assert blas_threads() == of_all(1)
        raise KeyError
    assert blas_threads() == of_all(3)


def test_a_limit_is_no_wish_for_more():
    with accelerate(blas_threads=5):
        assert blas_threads() == of_all(3)


def test_the_smallest_of_several_counts_in_whatever_order_they_end():
    outer, inner = contextlib.ExitStack(), contextlib.ExitStack()
    outer.enter_context(accelerate(blas_threads=1))
    inner.enter_context(accelerate(blas_threads=2))
    with accelerate():
        assert blas_threads() == of_all(1)
    outer.close()
    assert blas_threads() == of_all(2)
    inner.close()
    assert blas_threads() == of_all(3)


def test_disable_undoes_the_latest_enable():
    accelerate.enable()
    accelerate.enable(blas_threads=1)
    assert blas_threads() == of_all(1)
    accelerate.disable()
    assert accelerate.enabled
    assert blas_threads() == of_all(3)
    accelerate.disable()


@pytest.mark.parametrize("decorate", [accelerate(blas_threads=2), None])
def test_decorators(decorate):
    def count():
        return blas_threads()

    limited = decorate(count) if decorate else accelerate(count, blas_threads=2)
    for _ in range(2):
        assert limited() == of_all(2)
        assert blas_threads() == of_all(3)


def test_blocks_of_several_threads_leave_nothing_behind():
    def work(limit):
        for _ in range(20):
            with accelerate(blas_threads=limit):
                assert max(blas_threads().values()) <= limit

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, (1, 2, 1)))


def test_a_limit_of_another_thread_stays():
    entered, leave = threading.Event(), threading.Event()

    def work():
        with threadpoolctl.threadpool_limits(2, user_api="blas"):
            entered.set()
            leave.wait()

    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(work)
        entered.wait()
        with accelerate(blas_threads=1):
            assert blas_threads() == of_all(2 if OWNER else 1)
            leave.set()
            task.result()
            if not OWNER:
                pytest.skip("This threadpoolctl lets any thread undo what others have set.")


def test_a_block_may_end_in_another_thread():
    block = accelerate(blas_threads=1)
    block.__enter__()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(block.__exit__, None, None, None).result()
        assert blas_threads() == of_all(3)
        # Nobody is kept from setting limits afterwards.
        with threadpoolctl.threadpool_limits(2, user_api="blas"):
            assert blas_threads() == of_all(2)


def test_a_blas_that_takes_threads_of_openmp_is_left_alone(monkeypatch):
    class Library:
        filepath, internal_api, threading_layer, num_threads = "lib", "openblas", "openmp", 3

        def set_num_threads(self, number):
            raise AssertionError("it is the number of the kernels, too")

    class Controller:
        lib_controllers = (Library(),)

        def select(self, user_api):
            return self

    monkeypatch.setattr(blas_limits.threadpoolctl, "ThreadpoolController", Controller)
    with accelerate(blas_threads=1):
        pass


@pytest.mark.parametrize(
    ("number", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("1", TypeError)]
)
def test_the_number_is_checked(number, error):
    with pytest.raises(error, match="blas_threads must be"):
        accelerate(blas_threads=number)
    with pytest.raises(error, match="blas_threads must be"):
        accelerate.enable(blas_threads=number)
    assert not accelerate.enabled
