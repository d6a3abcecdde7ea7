"""Times contenders and writes a record of each."""

from ours import NotThere

#: The fields of what is to blame for a crash.
BLAMED = ("contender", "algorithm", "dtype")


def run(clock, device, contenders, flops, progress, **about):
    """Write a record for each contender and way of timing it; the rate counts `flops` of each."""
    for contender in contenders:
        record = {**about, "contender": contender.name, "algorithm": contender.algorithm}
        progress.attempt(record, lambda c=contender: results(clock, device, c, flops))


def results(clock, device, contender, flops):
    """Yield what each way of timing a contender gave."""
    try:
        call = contender.make()
        device.synchronize()
        for way in contender.ways:
            way, sample = timed(clock, way, call)
            fields = {**sample.record, "gflops": flops / sample.record["median_us"] / 1e3}
            yield {"status": "ok", "l2": way, "ran": getattr(call, "ran", None), **fields}
    except NotThere as reason:
        yield {"status": "not there", "why": str(reason)}
    except Exception as reason:  # of any library: one contender less
        yield {"status": "failed", "why": f"{type(reason).__name__}: {reason}"[:300]}


def timed(clock, way, call):
    """Time a call; one that cannot be captured into a graph is queued instead."""
    try:
        return way, getattr(clock, way)(call)
    except NotThere:
        raise
    except Exception:
        if way != "warm":
            raise
        return "queued", clock.queued(call)
