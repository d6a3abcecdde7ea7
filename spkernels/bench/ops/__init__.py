"""The operations; `OPS` has them by name.

An operation is a module, or an object of a module that has a family of operations.  It has

``NAME``, ``TITLE``, ``WIDTH``
    The names of the operation in results and tables, and the name of its free dimension.
``PEERS``
    The names of the peers that can compute it; other peers are not asked.
``DENSE``
    The names of the peers that do not use the zeros, with which sparse peers are compared.
``operands(matrix, width, rng, dtype)``
    The dense operands by name.  A `width` of None stands for a vector, if the operation has one.
``reference(problem)``
    In float64, for each element of the answer: its value, the sum of its absolute products, and
    the number of these products.
``complete(problem)``, optional
    Adds the operands that are made of others, in the driver.
``flops(problem)``, ``bytes(problem)``
    The number of useful operations, and the number of bytes that must move between memory and CPU
    if every operand is read or written once.
"""

from typing import Any

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
    networks,
    prepared,
    prepared_sddmm,
    sddmm,
    spmm,
)

_MODULES: tuple[Any, ...] = (
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
_ALL = (*_MODULES, *fused.FUSED, *estimators.ESTIMATORS.values(), *networks.NETWORKS.values())
OPS: dict[str, Any] = {op.NAME: op for op in _ALL}
