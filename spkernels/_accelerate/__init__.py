"""scipy's own products on the kernels: the switch, the hooks in scipy, the report.

A product that scipy was asked for comes in by a hook, `_ops.crossover` says whether the kernels are
faster, and `_ops.spmm` multiplies; the report counts what was taken and what was left to scipy.
"""
