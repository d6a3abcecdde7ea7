"""The operations, a file each: a public function checks its operands and calls `_core`.

Operands are converted and checked by `_inputs`, and products run in `_core`.  Data that outlive a
call belong to `_prepare`, which calls those functions of these files that take checked operands.
"""
