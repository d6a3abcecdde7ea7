"""Suites: families of matrices with the operations and widths that matter for them.

A suite is a module with

``NAME``, ``TITLE``
    What results and headings call it.
``SUFFIXES``
    Suffixes of the files, compressed or not, that it reads below ``--data``; empty if it makes its
    matrices alone.
``matrices(quick)``
    The matrices that it makes, from fixed seeds: it needs no files.
``cells(matrices, options)``
    What to measure of them; `options` has ``quick``, ``ops``, ``threads`` and ``caches``.
"""

from . import activations, attention, dlmc, fused, graph, habits, layers, structured, tiny

_MODULES = (dlmc, structured, layers, activations, graph, attention, fused, tiny, habits)
SUITES = {module.NAME: module for module in _MODULES}
