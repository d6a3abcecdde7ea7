"""Fast kernels for products of scipy.sparse arrays and dense arrays.

`spmm` multiplies a sparse and a dense matrix (SpMM), and `sddmm` samples a dense product at the
entries of a sparse matrix (SDDMM).  `prepare` packs a matrix once for many products, `accelerate`
makes scipy's own ``A @ B`` run on the kernels, and `sparse_attention` computes attention over a
mask.
"""

try:
    from . import _core
except ImportError as error:  # pragma: no cover - only where the package is not built
    raise ImportError(
        "spkernels' compiled module is missing. If you are running Python from the root of the "
        "source tree, it found the uncompiled ./spkernels: change to another directory, and "
        "install the package first (pip install .)."
    ) from error

from typing import TYPE_CHECKING as _TYPE_CHECKING

import scipy.sparse as _sp

from ._runtime import memory as _memory

# This import must be the first one of threadpoolctl, which scipy.io and others import, too.
from ._runtime import threadpools as _threadpools  # noqa: F401
from ._runtime import threads as _threads

if _TYPE_CHECKING:
    from . import cuda as cuda
    from . import torch as torch


if _core.isa() is None:
    import os as _os

    raise ImportError(
        f"SPKERNELS_ISA={_os.environ.get('SPKERNELS_ISA')!r} is not supported here; "
        f"this build and this machine share: {', '.join(_core.isa_list())}"
    )
_core.register(
    {
        _sp.csr_array: _core.CSR,
        _sp.csr_matrix: _core.CSR,
        _sp.csc_array: _core.CSC,
        _sp.csc_matrix: _core.CSC,
        _sp.coo_array: _core.COO,
        _sp.coo_matrix: _core.COO,
        _sp.bsr_array: _core.BSR,
        _sp.bsr_matrix: _core.BSR,
    },
    _threads.resolve_workers,
)
_threads.configure()
_memory.configure()

from . import datasets, formats, masks, patterns, prune  # noqa: E402
from ._accelerate.report import Calls, Report  # noqa: E402
from ._accelerate.switch import accelerate  # noqa: E402
from ._ops.attention import sparse_attention  # noqa: E402
from ._ops.kwinners import kwinners  # noqa: E402
from ._ops.sddmm import sddmm  # noqa: E402
from ._ops.softmax import masked_softmax  # noqa: E402
from ._ops.spmm import spmm  # noqa: E402
from ._ops.spmspm import spmspm  # noqa: E402
from ._ops.spmspv import spmspv  # noqa: E402
from ._prepare.cache import load_tuning, save_tuning  # noqa: E402
from ._prepare.chain import Chain  # noqa: E402
from ._prepare.explain import Candidate, Explanation  # noqa: E402
from ._prepare.int8 import Int8Matrix  # noqa: E402
from ._prepare.linear_operator import aslinearoperator  # noqa: E402
from ._prepare.many import prepare_many  # noqa: E402
from ._prepare.matrix import PreparedMatrix  # noqa: E402
from ._prepare.pattern import PreparedPattern  # noqa: E402
from ._prepare.prepare import prepare  # noqa: E402
from ._runtime.config import show_config  # noqa: E402
from ._runtime.memory import empty, release_memory  # noqa: E402
from ._runtime.public import publish as _publish  # noqa: E402
from ._runtime.threads import get_num_threads, set_num_threads, use_team  # noqa: E402
from ._version import version as __version__  # noqa: E402

__all__ = [
    "Chain",
    "Int8Matrix",
    "PreparedMatrix",
    "PreparedPattern",
    "__version__",
    "accelerate",
    "aslinearoperator",
    "datasets",
    "empty",
    "formats",
    "get_num_threads",
    "kwinners",
    "load_tuning",
    "masked_softmax",
    "masks",
    "patterns",
    "prepare",
    "prepare_many",
    "prune",
    "release_memory",
    "save_tuning",
    "sddmm",
    "set_num_threads",
    "show_config",
    "sparse_attention",
    "spmm",
    "spmspm",
    "spmspv",
    "use_team",
]

# Users get reports only as results, so their classes are published but not listed in __all__.
_publish(__name__, *map(globals().get, __all__), Calls, Candidate, Explanation, Report)


def __getattr__(name):
    """Import rooms that few processes need at their first use."""
    if name in ("cuda", "torch"):
        import importlib

        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__():
    return sorted({*globals(), "cuda", "torch"})
