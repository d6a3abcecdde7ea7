"""Suites: families of matrices with the operations and widths that matter for them.

A suite is a module with

``NAME``, ``TITLE``
    The names of the suite in results and in headings.
``SUFFIXES``
    The suffixes of the files that it reads below ``--data``, without those of compression; empty if
    the suite reads no files.
``matrices(quick)``
    The matrices that it makes from fixed seeds, without files.
``cells(matrices, options)``
    The cells to measure for given matrices; `options` is an object of `common.Options`.
"""

from typing import Any

from . import activations, attention, dlmc, fused, graph, habits, layers, models, structured, tiny

_MODULES: tuple[Any, ...] = (
    dlmc, structured, layers, activations, graph, attention, fused, tiny, habits, models,
)  # fmt: skip
SUITES = {module.NAME: module for module in _MODULES}
