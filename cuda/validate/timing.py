"""Microseconds of a call: by CUDA graphs and events on a GPU, by the wall clock where emulated.

A call takes the address of a stream and enqueues its work there.
"""

import statistics
import time
from dataclasses import dataclass

#: Launches that a graph holds, so that what a launch costs the host stays out of the time.
LAUNCHES = 20
#: A call that takes longer needs fewer of them.
LONG_US, LONG_LAUNCHES = 500.0, 4
#: More than twice the L2 of an H100 or H200 (50 or 60 MB).
FLUSH_BYTES = 256 << 20


@dataclass
class Sample:
    """Times of one call in microseconds."""

    microseconds: list

    @property
    def record(self):
        """As fields of a record."""
        values = self.microseconds
        return {
            "median_us": statistics.median(values),
            "min_us": min(values),
            "samples": len(values),
        }


class WallClock:
    """For calls that are done when they return."""

    def __init__(self, repeats=2):
        self.repeats = repeats

    def warm(self, call):
        """Time calls in a row."""
        times = []
        for _ in range(self.repeats):
            start = time.perf_counter()
            call(None)
            times.append(1e6 * (time.perf_counter() - start))
        return Sample(times)

    flushed = calls = warm


class GpuClock:
    """Times on a stream of its own; work on other streams must be done before."""

    def __init__(self, repeats=10):
        import cupy

        self.cupy, self.repeats = cupy, repeats
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self._buffer = cupy.ones(FLUSH_BYTES // 4, cupy.float32)
        self._sum = cupy.zeros((), cupy.float32)
        cupy.cuda.Device().synchronize()
        with self.stream:
            self._flush()
        self.stream.synchronize()

    def _flush(self):
        # Reading leaves no lines behind that would have to be written back during the product.
        self.cupy.sum(self._buffer, out=self._sum)

    def _event(self):
        event = self.cupy.cuda.Event()
        event.record(self.stream)
        return event

    def _between(self, events):
        elapsed = self.cupy.cuda.get_elapsed_time
        pairs = zip(events[:-1], events[1:], strict=True)
        return [1e3 * elapsed(first, second) for first, second in pairs]

    def _once(self, call):
        """Warm up, and return about how long a call takes."""
        for _ in range(2):
            call(self.stream.ptr)
        self.stream.synchronize()
        events = [self._event()]
        call(self.stream.ptr)
        events.append(self._event())
        self.stream.synchronize()
        return self._between(events)[0]

    def warm(self, call):
        """Time replays of a graph of many calls; the operands stay in L2 where they fit."""
        with self.stream:
            launches = LONG_LAUNCHES if self._once(call) > LONG_US else LAUNCHES
            self.stream.begin_capture()
            try:
                for _ in range(launches):
                    call(self.stream.ptr)
            finally:
                graph = self.stream.end_capture()
            graph.launch(self.stream)
            self.stream.synchronize()
            # The first replay's time has what the host takes to launch it; later ones are queued.
            events = [self._event()]
            for _ in range(self.repeats + 1):
                graph.launch(self.stream)
                events.append(self._event())
            self.stream.synchronize()
        return Sample([time / launches for time in self._between(events)[1:]])

    def flushed(self, call):
        """Time single calls between events, L2 filled with something else before each.

        The host enqueues all of it while the flush runs; what two events with nothing between them
        are apart is in the facts, and not subtracted.
        """
        pairs = []
        with self.stream:
            self._once(call)
            for _ in range(self.repeats + 2):
                self._flush()
                start = self._event()
                call(self.stream.ptr)
                pairs.append((start, self._event()))
            self.stream.synchronize()
        return Sample([self._between(pair)[0] for pair in pairs[2:]])

    def queued(self, call):
        """Time many calls in a row that cannot be captured, with the device kept busy before."""
        times = []
        with self.stream:
            self._once(call)
            for _ in range(max(3, self.repeats // 2)):
                self._flush()
                events = [self._event()]
                for _ in range(LAUNCHES):
                    call(self.stream.ptr)
                events.append(self._event())
                self.stream.synchronize()
                times.append(self._between(events)[0] / LAUNCHES)
        return Sample(times)

    def calls(self, call):
        """Time many calls in a row on the default stream by the wall clock, as Python sees them."""
        times = []
        wait = self.cupy.cuda.Device().synchronize
        call(None)
        for _ in range(max(4, self.repeats // 2)):
            wait()
            start = time.perf_counter()
            for _ in range(LAUNCHES):
                call(None)
            wait()
            times.append(1e6 * (time.perf_counter() - start) / LAUNCHES)
        return Sample(times[1:])


def clock(device, quick):
    """The clock of a device."""
    if device.emulated:
        return WallClock()
    return GpuClock(5 if quick else 10)
