"""Measures peers that must not share a process, and says what the samples mean.

`problems` makes the inputs and `check` judges the answers; `worker` runs in a peer's process,
`process` is the driver's end of it and `session` takes the peers in turn; `claims`, `stats`,
`results` and `report` reduce the samples; `machine` describes where they were taken.
"""
