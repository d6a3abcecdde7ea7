"""scipy's own products on the kernels: the switch, the hooks in scipy, and the report.

A hook receives each product of scipy.  `_ops.crossover` decides whether the kernels are faster, and
`_ops.spmm` multiplies.  The report counts the products that ran on the kernels and those that were
left to scipy.
"""
