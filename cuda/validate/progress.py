"""What a stage has done, so that a process that takes over from one that crashed goes on behind it.

An error of a kernel can leave the process without a device: then nothing else can be run in it.
"""

import json
import sys

from records import plain, read

BEGUN = "begun"


class Progress:
    """Attempts of one stage; what was to blame for a crash is not attempted again."""

    def __init__(self, path, writer, stage, device, blamed):
        self._writer, self._device, self._blamed = writer, device, blamed
        earlier = [record for record in read(path) if record.get("stage") == stage]
        self._done = {name(record) for record in earlier if record.get("status") == BEGUN}
        self._banned = {self._kind(r) for r in earlier if r.get("status") == "crashed"}
        if earlier and earlier[-1].get("status") == BEGUN:
            self._crashed(earlier[-1], "the process ended")

    def _kind(self, record):
        return tuple(record.get(field) for field in self._blamed)

    def _crashed(self, record, why):
        fields = {key: value for key, value in record.items() if key not in ("status", "stage")}
        self._writer.write(**fields, status="crashed", why=why[:300])
        self._banned.add(self._kind(record))

    def attempt(self, record, action):
        """Have `action()` yield results of what `record` names, and write them with its fields."""
        if name(record) in self._done or self._kind(record) in self._banned:
            return
        self._writer.write(**record, status=BEGUN)
        try:
            for result in action():
                self._writer.write(**record, **result)
        except self._device.out_of_memory as reason:  # of a reference: no kernel is to blame
            self._writer.write(**record, status="skipped", why=f"out of memory: {reason}"[:300])
        try:
            self._device.synchronize()
        except Exception as reason:  # of CUDA, and it stays
            self._crashed(record, f"{type(reason).__name__}: {reason}")
            sys.exit(3)


def name(record):
    """What identifies an attempt."""
    fields = {k: plain(v) for k, v in record.items() if k not in ("status", "stage")}
    return json.dumps(fields, sort_keys=True)
