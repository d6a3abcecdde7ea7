"""The examples of public classes, which doctest does not look for in modules of other names."""

import doctest

import pytest

import spkernels
from spkernels import cuda, formats, masks, patterns, prune

CLASSES = {
    type(value) if value is spkernels.accelerate else value
    for module in (spkernels, cuda, formats, masks, patterns, prune)
    for value in (getattr(module, name) for name in module.__all__)
    if isinstance(value, type) or value is spkernels.accelerate
}
EXAMPLES = {
    example.name: example
    for one in CLASSES
    for example in doctest.DocTestFinder().find(one, module=False, globs={})
    # What needs a GPU is skipped.
    if any(not each.options.get(doctest.SKIP) for each in example.examples)
}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples(name):
    spkernels.accelerate.report(reset=True)  # which an example prints
    done = doctest.DocTestRunner(verbose=False).run(EXAMPLES[name])
    assert done.failed == 0 and done.attempted > 0


def test_methods_are_among_them():
    assert {"PreparedMatrix.spmm", "Int8Matrix.linear", "Accelerate.report"} <= set(EXAMPLES)
