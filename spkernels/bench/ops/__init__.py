"""Operations: one module each, or one object of a module for a family, found by name in `OPS`.

An operation has

``NAME``, ``TITLE``, ``WIDTH``
    What results, tables and axes call it and its free dimension.
``PEERS``
    The peers that may compute it, by name; the others are not asked.
``DENSE``
    Those of them that ignore the zeros: what sparsity is measured against.
``operands(matrix, width, rng, dtype)``
    The dense operands, by name.  `width` None is a vector, where there is one.
``reference(problem)``
    In float64: the answer, the sum of the absolute products that each entry of it adds up, and how
    many those are.
``flops(problem)``, ``bytes(problem)``
    Useful operations, and the bytes that must move between memory and CPU if every operand is read
    or written once.
"""

from . import (
    activations,
    attention,
    bert_layer,
    chosen,
    dense_habit,
    dense_spmm,
    estimators,
    fused,
    habit,
    int8,
    kwinners,
    prepared,
    prepared_sddmm,
    sddmm,
    spmm,
)

_MODULES = (
    spmm,
    prepared,
    int8,
    dense_spmm,
    sddmm,
    prepared_sddmm,
    attention,
    activations,
    kwinners,
    habit,
    dense_habit,
    bert_layer,
    chosen,
)
OPS = {op.NAME: op for op in (*_MODULES, *fused.FUSED, *estimators.ESTIMATORS.values())}
