"""From what users pass to what `_core` takes, with errors that name the argument.

Sparse operands, dense operands, scalars and arrays of other libraries are checked here, once, and
nothing is multiplied.  Checked operands go to an operation in `_ops`, or to `_prepare`.
"""
