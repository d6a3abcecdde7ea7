"""How peers that must not share a process are measured.

`worker` runs in a peer's process and `process` is the driver's end of it; `session` takes the
peers in turn; `check` judges answers; `stats` reduces samples; `guard` and `machine` know the
machine.
"""
