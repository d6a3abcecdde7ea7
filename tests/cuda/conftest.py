"""Tests of the library for GPUs, on a GPU or with one emulated: see cuda/README.md.

SPKERNELS_CUDA_LIBRARY names the library.  Without it there is nothing to test.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for `gpu`
pytest.register_assert_rewrite("gpu", "arrays")

LIBRARY = os.environ.get("SPKERNELS_CUDA_LIBRARY")


def pytest_collection_modifyitems(items):
    if LIBRARY:
        return
    skip = pytest.mark.skip(reason="SPKERNELS_CUDA_LIBRARY names no library (see cuda/README.md).")
    for item in items:
        if "cuda" in item.path.parts:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def library():
    from spkernels.cuda import _library

    return _library.load(LIBRARY)


@pytest.fixture(scope="module")
def maker():
    """Have spkernels.cuda take the arrays of `arrays`, in the memory of an emulated GPU."""
    import arrays
    from gpu import EMULATED

    from spkernels.cuda import _arrays

    if not EMULATED:
        pytest.skip("Arrays of the host are those of the GPU only where it is emulated.")
    with pytest.MonkeyPatch.context() as patch:
        made = arrays.Maker()
        patch.setattr(_arrays, "_LIBRARIES", {arrays.Tensor: made, None: made})
        try:
            import torch
        except ImportError:
            pass
        else:
            _arrays.register(torch.Tensor, arrays.HostTorch())
        yield made
