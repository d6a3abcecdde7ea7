"""How `prepare` decides from what it measures, on simulated machines: busy, noisy, drifting."""

import math

import numpy as np
import pytest

from spkernels._prepare.measurement import Calls, Measurements, Timing, decide, measure

MS, US = 1e-3, 1e-6


class Machine:
    """Its clocks advance by what is done on it, and by what disturbs that."""

    def __init__(self, seed=0, noise=0.0, spikes=0.0, drift=0.0, contended=0.0, foreign_spins=0.02):
        self.rng = np.random.default_rng(seed)
        self.now, self.used, self.lost = 1000.0, 50.0, 7
        self.noise, self.spikes, self.drift, self.contended = noise, spikes, drift, contended
        self.foreign_spins, self.spins_until = foreign_spins, 0.0
        self.begin = self.now
        self.calls = {}

    # The clocks.

    def wall(self):
        return self.now

    def cpu(self):
        return self.used

    def switches(self):
        return self.lost

    def sleep(self, seconds):
        self.now += seconds

    # What is done.

    def work(self, seconds):
        """What something takes here, now, that takes so long on an idle machine."""
        seconds *= 1 + self.noise * self.rng.exponential()
        seconds *= 1 + self.drift * (self.now - self.begin)
        return seconds * (5 if self.rng.random() < self.spikes else 1)

    def serial(self, name, seconds):
        self.calls[name, "serial"] = self.calls.get((name, "serial"), 0) + 1
        taken = self.work(seconds)
        self.used += taken
        self.now += taken
        # At the end of a time slice, others have theirs.
        ended = self.used // (3 * MS) - (self.used - taken) // (3 * MS)
        if ended and self.rng.random() < self.contended:
            self.now += 4 * MS * self.rng.integers(1, 5) * ended
            self.lost += 1

    def parallel(self, name, seconds, foreign):
        self.calls[name, "parallel"] = self.calls.get((name, "parallel"), 0) + 1
        taken = self.work(seconds)
        if not foreign and self.now < self.spins_until:
            taken *= 2
        # Others do the tasks of this thread while it waits: its CPU time says nothing.
        self.used += taken * self.rng.random() * 0.3
        self.now += taken
        if self.rng.random() < self.contended:
            self.now += 4 * MS * self.rng.integers(1, 9)
            self.lost += 1
        if foreign:
            self.spins_until = self.now + self.foreign_spins

    def candidates(self, serial, parallel, foreign=()):
        """Ways to do it, by their seconds on one thread and on all."""
        names = [*serial, *(name for name in parallel if name not in serial)]
        return {
            name: Calls(
                (lambda n=name: self.serial(n, serial[n])) if name in serial else None,
                (lambda n=name: self.parallel(n, parallel[n], n in foreign))
                if name in parallel
                else None,
                name in foreign,
            )
            for name in names
        }


def layers(seed):
    """Kernels of random speeds: of a share, of all, and what a model says that is 20% off."""
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-5.5, -2.7)
    parallel = {name: scale * math.exp(rng.uniform(0, 1.2)) for name in ("rows", "packed")}
    serial = {name: s * rng.uniform(0.92, 1.05) for name, s in parallel.items()}
    if seed % 2:
        parallel["dense"] = scale * math.exp(rng.uniform(-0.3, 1.5))
    predicted = {name: s * math.exp(0.2 * rng.standard_normal()) for name, s in parallel.items()}
    return serial, parallel, predicted


def right(disturbances, seeds=100):
    """How often what is chosen takes at most 10% longer than the best, and the verdicts."""
    count, verdicts = 0, []
    for seed in range(seeds):
        serial, parallel, predicted = layers(seed)
        machine = Machine(seed, **disturbances)
        candidates = machine.candidates(serial, parallel, {"dense"})
        verdict = decide(measure(candidates, machine, shares=2), predicted)
        count += parallel[verdict.best] <= 1.1 * min(parallel.values())
        verdicts.append(verdict)
    return count, verdicts


@pytest.mark.parametrize(
    "disturbances, least",
    [
        ({}, 100),
        ({"noise": 0.05}, 98),
        ({"noise": 0.3}, 95),
        ({"noise": 0.03, "spikes": 0.3}, 90),
        ({"noise": 0.02, "drift": 5.0}, 95),  # by half within the time that measuring may take
        ({"noise": 0.02, "drift": -5.0}, 95),
        ({"noise": 0.05, "contended": 0.1}, 90),
    ],
    ids=str,
)
def test_choices_are_within_a_tenth_of_the_best(disturbances, least):
    count, _ = right(disturbances)
    assert count >= least


def test_a_busy_machine_is_told_by_cpu_time():
    """Where each product loses its CPU, wall times say nothing: CPU time does, and the model."""
    count = 0
    for seed in range(100):
        serial, parallel, predicted = layers(2 * seed)  # without the dense product
        machine = Machine(seed, noise=0.05, contended=0.9)
        verdict = decide(
            measure(machine.candidates(serial, parallel), machine, shares=2), predicted
        )
        # What takes 1.75 to 2 times as long serial may be 14% off.
        count += parallel[verdict.best] <= 1.15 * min(parallel.values())
    assert count >= 98


def test_a_foreign_product_is_left_to_the_model_on_a_busy_machine():
    for fast, best in [(0.5, "dense"), (2.0, "packed")]:
        machine = Machine(contended=0.95)
        serial = {"rows": 200 * US, "packed": 100 * US}
        parallel = {"rows": 200 * US, "packed": 100 * US, "dense": 100 * US * fast}
        predicted = {"rows": 400.0, "packed": 200.0, "dense": 200.0 * fast}
        verdict = decide(
            measure(machine.candidates(serial, parallel, {"dense"}), machine, shares=2), predicted
        )
        assert verdict.best == best
        assert verdict.basis == ("predicted" if best == "dense" else "CPU time")
        assert ("dense", "parallel") not in machine.calls


def test_a_guess_does_not_win_by_noise():
    """The dense product, not measured as others were running, is not chosen among noisy ones."""
    timings = {"packed": Timing([1.0, 1.4, 1.3, 1.5]), "rows": Timing([2.0] * 4), "dense": Timing()}
    predicted = {"packed": 1.0, "rows": 2.0, "dense": 0.95}
    verdict = decide(Measurements(timings, crowded=True, shares=2), predicted)
    assert verdict.best == "packed" and verdict.basis == "CPU time"
    predicted["dense"] = 0.5
    verdict = decide(Measurements(timings, crowded=True, shares=2), predicted)
    assert verdict.best == "dense" and verdict.basis == "predicted"


@pytest.mark.parametrize("dense", [42 * US, 66 * US])
def test_own_products_are_not_measured_while_foreign_threads_spin(dense):
    """Their spinning would double what follows, and the dense product win wrongly."""
    machine = Machine(noise=0.01)
    serial, parallel = {"rows": 100 * US, "packed": 58 * US}, {"rows": 102 * US, "packed": 60 * US}
    candidates = machine.candidates(serial, parallel | {"dense": dense}, {"dense"})
    found = measure(candidates, machine, shares=2, budget=0.2, thorough=True)
    timings = found.timings
    assert min(timings["packed"].clean) < 62 * US and max(timings["packed"].clean) < 100 * US
    predicted = {"rows": 1.0, "packed": 1.0, "dense": 1.0}
    verdict = decide(found, predicted)
    assert verdict.best == ("dense" if dense < 60 * US else "packed")
    assert verdict.basis == "measured"


def test_ties_go_to_the_model():
    """Kernels that differ by less than the noise: the model says which, and that is said."""
    within = 0
    for seed in range(30):
        machine = Machine(seed, noise=1.0)
        serial = {"rows": 505 * US, "packed": 500 * US}
        parallel = {"rows": 505 * US, "packed": 500 * US}
        predicted = {"rows": 1.0, "packed": 3.0}
        verdict = decide(
            measure(machine.candidates(serial, parallel), machine, shares=2), predicted
        )
        within += verdict.basis == "within noise" and verdict.best == "rows"
    assert within >= 20
    # Without noise, the faster one, if not by a hair.
    timings = {
        "rows": Timing([1.1] * 9, [0.55] * 9, [0.55] * 9),
        "packed": Timing([1.0] * 9, [0.5] * 9, [0.5] * 9),
    }
    verdict = decide(Measurements(timings), predicted)
    assert verdict.best == "packed" and verdict.basis == "measured"
    assert verdict.spread == {"rows": 0.0, "packed": 0.0}


def test_a_slow_candidate_is_given_up():
    machine = Machine()
    serial = {"rows": 0.5 * MS, "packed": 0.05 * MS, "padded": 0.055 * MS}
    parallel = dict(serial)
    found = measure(machine.candidates(serial, parallel), machine, shares=2)
    timings = found.timings
    assert machine.calls["rows", "serial"] <= 4 and ("rows", "parallel") not in machine.calls
    assert len(timings["packed"].clean) >= 9 and len(timings["padded"].clean) >= 9
    verdict = decide(found, {"rows": 1.0, "packed": 1.0, "padded": 1.0})
    assert verdict.best == "packed"
    assert verdict.seconds["packed"] == pytest.approx(0.05 * MS)
    assert verdict.seconds["rows"] == pytest.approx(0.5 * MS)


def test_a_clear_case_is_decided_at_once():
    machine = Machine(noise=0.02)
    serial, parallel = {"rows": 300 * US, "packed": 100 * US}, {"rows": 1.0, "packed": 1.0}
    verdict = decide(
        measure(machine.candidates(serial, parallel), machine, shares=2), {"rows": 1, "packed": 2}
    )
    assert verdict.best == "packed" and verdict.basis == "measured"
    assert machine.now - machine.begin < 4 * MS
    assert all(kind == "serial" for _, kind in machine.calls)


def test_what_alone_has_several_threads_may_win():
    """Near the size from which on threads are started, one thread decides nothing."""
    machine = Machine()
    serial, parallel = {"rows": 20 * US, "packed": 27 * US}, {"rows": 20 * US, "packed": 14 * US}
    candidates = machine.candidates(serial, parallel)
    predicted = {"rows": 1.0, "packed": 1.0}
    assert decide(measure(candidates, machine), predicted).best == "rows"
    assert decide(measure(candidates, machine, uneven=True), predicted).best == "packed"


@pytest.mark.parametrize("foreign", [{}, {"dense": 200 * US}])
def test_what_was_given_up_does_not_win_by_its_time_on_one_thread(foreign):
    """All threads take 1.8 times as long as one for its share: so would what was not tried."""
    machine = Machine()
    serial = {"rows": 100 * US, "padded": 105 * US, "packed": 140 * US}
    parallel = {name: 1.8 * seconds for name, seconds in serial.items()} | foreign
    found = measure(machine.candidates(serial, parallel, set(foreign)), machine, shares=2)
    assert ("packed", "parallel") not in machine.calls and found.timings["rows"].clean
    verdict = decide(found, dict.fromkeys(parallel, 1.0))
    assert verdict.best == "rows" and verdict.basis == "measured"
    assert verdict.seconds["packed"] > 1.3 * verdict.seconds["rows"]


@pytest.mark.parametrize("scale", [1 * US, 100 * US, 10 * MS, 1.0])
@pytest.mark.parametrize("contended", [0.0, 1.0])
def test_time_is_bounded(scale, contended):
    machine = Machine(noise=0.5, contended=contended)
    serial = {"rows": 1.1 * scale, "packed": scale}
    parallel = {"rows": 1.1 * scale, "packed": scale, "dense": scale}
    measure(machine.candidates(serial, parallel, {"dense"}), machine, shares=2, budget=0.05)
    if not contended:  # some products of each, however long they take
        assert machine.now - machine.begin <= 0.1 + 20 * scale * 2
    assert all(count <= 5 for count in machine.calls.values()) or scale < 1


def test_only_those_that_may_be_chosen_are():
    timings = {name: Timing([s] * 5) for name, s in {"rows": 1.0, "packed": 2.0}.items()}
    predicted = {"rows": 1.0, "packed": 1.0}
    assert decide(Measurements(timings), predicted).best == "rows"
    assert decide(Measurements(timings), predicted, ["packed"]).best == "packed"


def test_the_clocks_of_the_system_advance():
    from spkernels._prepare.measurement import SystemClock

    wall, cpu, switches = SystemClock.wall(), SystemClock.cpu(), SystemClock.switches()
    sum(range(100_000))
    assert SystemClock.wall() > wall and SystemClock.cpu() > cpu
    assert SystemClock.switches() >= switches >= 0
