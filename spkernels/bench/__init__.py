"""Benchmarks: spkernels against the libraries that a user would choose instead.

The command ``spkernels bench`` (`spkernels.cli.bench`) measures, reports and compares.

Two kinds of process run this code.  The driver makes inputs, checks answers and writes results.  A
worker runs one peer, in a Python that may have that peer but not spkernels.  So the modules that a
worker imports (`measure.worker`, `problem`, `ops`, `peers`) need NumPy alone, and import relatively
only from `bench` and the modules of `_runtime` that need nothing but the standard library.

====================  =========================================================================
`ops`                 operations: inputs, reference, useful operations and bytes; a file each
`peers`               libraries: an adapter for each, a file each
`suites`              matrices and widths, a file for each family
`measure`             workers, turns, clocks, noise, statistics
`results`             the file of results: lines of JSON, to which a run that goes on is appended
`report`              tables and plots
`comparison`          the test whether one run is slower than another
====================  =========================================================================
"""
