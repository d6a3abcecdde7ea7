"""Conversion of users' arguments to the arrays that `_core` takes, with errors that name them.

Sparse operands, dense operands, scalars and arrays of other libraries are checked here once.
Nothing is multiplied here.  Checked operands go to an operation in `_ops`, or to `_prepare`.
"""
