"""Inspect once, execute many times: prepared matrices, and how their kernels are chosen.

`prepare` inspects an operand that passed `_inputs`; a strategy packs it by way of `_core`; a model
predicts what each strategy takes, a measurement decides between close ones, and a cache keeps the
decision.  `_accelerate` and the public rooms above build on the classes, never on the choice.
"""
