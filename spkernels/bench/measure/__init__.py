"""The measurement of peers, each in a process of its own.

`worker` runs in a peer's process, and `process` is the driver's side of that process.  `session`
takes the peers in turn.  `check` checks answers.  `stats` reduces samples to figures.  `guard`
and `machine` observe and describe the machine.  `load` keeps the machine busy.
"""
