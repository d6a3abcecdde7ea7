"""Benchmarks: spkernels against what a user would pick instead.

``spkernels bench`` (`spkernels.cli.bench`) measures, reports and compares.

Two kinds of process run this code.  The driver makes inputs, judges answers and writes results; a
worker holds one peer, and may be another Python that has that peer and not spkernels.  What a
worker imports (`measure.worker`, `problem`, `ops`, `peers`) therefore needs NumPy alone, and
reaches by relative imports `bench` and what `_runtime` has of the standard library, nothing else.

====================  =========================================================================
`ops`                 what is computed: inputs, reference, operations and bytes; one file each
`peers`               who computes it: one adapter per library, one file each
`suites`              on which matrices and widths; one file each
`measure`             workers, turns, clocks, noise, statistics
`results`             the file of results: JSON lines, resumed where they end
`report`              tables and plots
`comparison`          whether one run is slower than another
====================  =========================================================================
"""
