"""Times contenders and writes a record of each."""

import sys

from ours import NotThere


def run(clock, device, contenders, flops, writer, **about):
    """Write a record for each contender and way of timing it; the rate counts `flops` of each."""
    for contender in contenders:
        record = {**about, "contender": contender.name, "algorithm": contender.algorithm}
        try:
            call = contender.make()
            device.synchronize()
            if hasattr(call, "ran"):
                record["ran"] = call.ran
            for way in contender.ways:
                way, sample = timed(clock, way, call)
                fields = sample.record
                rate = flops / fields["median_us"] / 1e3
                writer.write(**record, status="ok", l2=way, **fields, gflops=rate)
        except NotThere as reason:
            writer.write(**record, status="not there", why=str(reason))
        except Exception as reason:  # of any library: one contender less
            writer.write(**record, status="failed", why=f"{type(reason).__name__}: {reason}"[:300])
            leave_if_broken(device, writer)


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


def leave_if_broken(device, writer):
    """End this process if the device's context has an error that stays."""
    try:
        device.synchronize()
    except Exception as reason:
        writer.write(status="crashed", why=f"{type(reason).__name__}: {reason}"[:300])
        sys.exit(3)
