"""The package's own types, which a user may pass in the place of a sparse or dense array."""

from ._library import by_class

__all__ = ["LIBRARY"]

LIBRARY = by_class(
    {
        "NMArray": (None, "{0}.toarray() converts it"),
        "NMTransposed": (None, "{0}.toarray() converts it"),
        "PreparedMatrix": (None, "{0}.toscipy().toarray() converts it"),
        "Int8Matrix": (
            "{0}.dequantise() has its values, {0}.toscipy() its integers, its spmm multiplies",
            "{0}.dequantise().toarray() converts it",
        ),
        "PreparedPattern": ("{0}.sddmm(X, Y) samples at it", None),
        "SparseOperator": ("{0}.A is what it wraps", "{0}.A.toarray() converts it"),
        "Mask": ("{0}.tocsr() writes its entries out", "{0}.toarray() converts it"),
        "CudaMatrix": ("it is on the GPU, {0} @ B multiplies there", "it is on the GPU"),
    },
    {"NMArray": "to_scipy", "NMTransposed": "to_scipy", "PreparedMatrix": "toscipy"},
)
