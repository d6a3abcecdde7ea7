"""Times that are compared, on clocks of the tests: of quiet and busy machines, and long calls."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402

from spkernels.torch._measure import (  # noqa: E402
    MEASURED,
    ONE_THREAD,
    Times,
    least,
    predict,
    times_of,
    total,
)


class Clock:
    """Time passes only in calls; the CPU time of this thread, only in those by one thread."""

    def __init__(self):
        self.now = self.used = self.work = 0.0

    def wall(self):
        return self.now

    def cpu(self):
        return self.used

    def all_threads(self):
        return self.work

    def call(self, wall, serial):
        """Return a function that takes the seconds of an iterator, or `serial` by one thread."""

        def function():
            function.calls += 1
            self.work += 1.5 * serial  # threads wait for each other
            if torch.get_num_threads() == 1:
                self.now += 3 * serial  # other processes have the CPU meanwhile
                self.used += serial
            else:
                self.now += next(wall)

        function.calls = 0
        return function


@pytest.fixture
def brief():
    """Let measurements be as long as elsewhere."""


@pytest.fixture(autouse=True)
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def test_times_that_repeat_are_those_of_all_threads():
    clock = Clock()
    dense = clock.call(itertools.cycle([3e-4, 2e-4, 9e-4]), 4e-4)
    sparse = clock.call(itertools.repeat(3e-5), 5e-5)
    times = times_of([dense, sparse], clock=clock)
    assert times.seconds == times.wall == pytest.approx((2e-4, 3e-5))
    assert times.serial == pytest.approx((4e-4, 5e-5))
    assert times.basis == MEASURED
    assert clock.now < 0.2


def test_time_slices_of_other_processes_are_not_taken_for_times():
    clock = Clock()
    dense = clock.call(itertools.repeat(8e-3), 2.5e-4)
    sparse = clock.call(itertools.repeat(3e-5), 5e-5)
    times = times_of([dense, sparse], clock=clock)
    assert times.wall == pytest.approx((8e-3, 3e-5))
    assert times.seconds == times.serial == pytest.approx((2.5e-4, 5e-5))
    assert times.basis == ONE_THREAD


def test_a_disturbance_that_ends_is_waited_for():
    clock = Clock()
    slices = itertools.chain(itertools.repeat(8e-3, 15), itertools.repeat(2e-4))
    times = times_of([clock.call(slices, 4e-4)], clock=clock)
    assert times.basis == MEASURED
    assert times.seconds == pytest.approx((2e-4,))


def test_times_that_do_not_repeat_are_not_compared():
    clock = Clock()
    shorter = (0.08 * 0.8**place for place in itertools.count())
    times = times_of([clock.call(shorter, 0.09)], clock=clock)
    assert times.basis == ONE_THREAD
    assert times.seconds == pytest.approx((0.09,))


def test_a_cpu_clock_that_stands_still_or_jumps_is_not_believed():
    clock = Clock()
    call = clock.call(itertools.repeat(8e-3), 4e-4)
    jumps = itertools.chain([0.0] * 4, [-4e-4, -3e-4], itertools.repeat(0.0))

    def disturbed():
        call()
        clock.used += next(jumps)

    assert times_of([disturbed], clock=clock).seconds == pytest.approx((4e-4,))


def test_long_calls_are_hardly_repeated():
    clock = Clock()
    functions = [clock.call(itertools.repeat(seconds), 40.0) for seconds in (20.0, 5.0)]
    times = times_of(functions, ready=True, clock=clock)
    assert [function.calls for function in functions] == [1, 1]
    assert times.seconds == times.serial == (20.0, 5.0)
    assert times.basis == MEASURED
    times_of(functions, clock=clock)
    assert [function.calls for function in functions] == [4, 4]


@pytest.mark.parametrize("ready", [False, True])
def test_slow_calls_of_a_busy_machine_are_compared_by_one_thread(ready):
    clock = Clock()
    functions = [
        clock.call(itertools.cycle([2.5, 1.5, 4.0]), 0.15), clock.call(itertools.repeat(1.8), 0.05),
    ]  # fmt: skip
    times = times_of(functions, ready=ready, clock=clock)
    assert times.basis == ONE_THREAD
    assert times.seconds == pytest.approx((0.15, 0.05))
    # Calls that are not compared are few: those that warm, and one turn.
    assert clock.now < (10 if ready else 20)


def test_threads_and_workers_are_as_before():
    class Layer(nn.Module):
        workers = 7

    layer, seen = Layer(), []

    def call():
        seen.append((torch.get_num_threads(), layer.workers, torch.is_grad_enabled()))
        if len(seen) == 6:
            raise RuntimeError("too warm")

    with pytest.raises(RuntimeError, match="too warm"):
        times_of([call], [layer, nn.ReLU()])
    assert seen == [(2, 7, False)] * 3 + [(1, 1, False)] * 3
    assert (torch.get_num_threads(), layer.workers) == (2, 7)


def test_times_of_calls_one_after_another():
    quiet = Times((1.0, 2.0), (3.0, 4.0))
    busy = Times((10.0, 20.0), (30.0, 40.0), calm=False)
    assert total([(quiet, 2)]) == Times((2.0, 4.0), (6.0, 8.0))
    assert total([(quiet, 2), (busy, 1)]) == Times((12.0, 24.0), (36.0, 48.0), calm=False)


def test_of_repeated_measurements_the_shortest_calm_times_count():
    calm = Times((3.0, 5.0), (9.0, 9.0))
    busy = Times((1.0, 1.0), (8.0, 8.0), calm=False)
    assert least([calm, Times((4.0, 4.0), (9.5, 9.5)), busy]) == Times((3.0, 4.0), (8.0, 8.0))
    assert least([busy]) == busy


def test_a_prediction_subtracts_what_parts_save():
    assert predict(10.0, [(0.4, 0.25)]) == pytest.approx(7.0)
    # The parts take all the time, three quarters of which are saved.
    assert predict(2.0, [(2.0, 0.25), (2.0, 0.25)]) == pytest.approx(0.5)


SHARES = st.tuples(st.floats(0, 100), st.floats(0, 1))


@given(st.floats(1e-6, 1e3), st.lists(SHARES))
def test_predictions_are_times(seconds, parts):
    assert -1e-9 * seconds <= predict(seconds, parts) <= seconds
