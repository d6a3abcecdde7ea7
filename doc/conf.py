"""Configuration of the documentation: ``sphinx-build -W -b html doc doc/_build/html``."""

import spkernels
import spkernels.torch
from spkernels import patterns

project = "spkernels"
author = "The spkernels developers"
project_copyright = "2026, The spkernels developers"
version = release = spkernels.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "numpydoc",
]
exclude_patterns = ["_build"]
default_role = "autolink"

autosummary_generate = True
templates_path = ["_templates"]
# Sphinx looks for annotated attributes in the public module; they are annotated in a private one.
autosummary_context = {
    "annotated": {
        f"{cls.__module__}.{cls.__qualname__}": sorted(cls.__annotations__)
        for module in (spkernels, spkernels.torch, patterns)
        for cls in vars(module).values()
        if isinstance(cls, type)
    }
}
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

doctest_global_setup = """
import numpy as np
import scipy.sparse as sp
import spkernels
from spkernels import accelerate, aslinearoperator, datasets, prepare, sddmm, spmm
"""

html_theme = "pydata_sphinx_theme"
html_title = "spkernels"
html_static_path = ["_static"]
# Pages with none below them have nothing to navigate.
_LEAVES = (
    "install features guide torch-example which-pattern datasets cli cuda c how glossary adding"
)
html_sidebars = {name: [] for name in [*_LEAVES.split(), "benchmarks/index"]}
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
