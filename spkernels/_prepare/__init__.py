"""Prepared matrices, which are inspected once and multiplied many times, and their strategies.

`prepare` inspects an operand that `_inputs` has checked, and a strategy packs it through `_core`.
A model predicts the time of each strategy, a measurement decides between close ones, and a cache
keeps the decision.  Other rooms use the classes, and never the choice of a strategy.
"""
