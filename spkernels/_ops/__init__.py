"""The operations, one file each: a public function that checks its operands and calls `_core`.

Operands come through `_inputs`.  What is worth keeping between calls belongs to `_prepare`, which
calls the functions of these files that take checked operands.
"""
