"""What has the classes, modules and attributes of other libraries' arrays, without these.

Each stands for what the library's own objects have in common over its versions: names of classes
and modules, the attributes that are read, and conversions by NumPy that fail as theirs do.
"""

from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

CPU = SimpleNamespace(type="cpu")


def of(module, name, base=object, **members):
    """Make a class of a module."""
    return type(name, (base,), {"__module__": module, **members})


class Tensor:
    """torch.Tensor, dense or of some sparse layout."""

    __module__ = "torch"
    requires_grad = is_nested = is_quantized = False
    device = CPU

    def __init__(self, array, layout="strided", **parts):
        self._array, self._parts = np.asarray(array), parts
        self.shape = parts.pop("shape", self._array.shape)
        self.ndim = len(self.shape)
        self.layout, self.dtype = f"torch.{layout}", f"torch.{self._array.dtype}"

    def change(self, **attributes):
        self.__dict__.update(attributes)
        return self

    def numpy(self, *, force=False):
        readable = self.dtype == f"torch.{self._array.dtype}" and self.device.type == "cpu"
        special = self.is_nested or self.is_quantized or self.requires_grad
        if self.layout != "torch.strided" or special or not readable:
            raise TypeError("this is torch's error, which nobody should see")
        return self._array

    def float(self):
        return Tensor(self._array.astype(np.float32))

    def __array__(self, dtype=None, copy=None):
        return self.numpy()

    def __float__(self):
        return float(self.numpy())

    def dense_dim(self):
        return self._parts.get("dense_dim", 0)

    def values(self):
        return Tensor(self._array)

    _values = values

    def __getattr__(self, name):
        if name.startswith("__") or name not in self.__dict__.get("_parts", ()):
            raise AttributeError(name)
        return lambda: Tensor(self._parts[name])


def tensor(A, layout):
    """Return a tensor that holds A by some layout."""
    shape = {"shape": A.shape}
    if layout == "coo":
        A = sp.coo_array(A)
        return Tensor(A.data, "sparse_coo", _indices=np.array([A.row, A.col]), **shape)
    if layout in ("csr", "bsr"):
        A = sp.csr_array(A) if layout == "csr" else sp.csr_array(A).tobsr((2, 2))
        parts = {"crow_indices": A.indptr, "col_indices": A.indices}
    elif layout == "csc":
        A = sp.csc_array(A)
        parts = {"ccol_indices": A.indptr, "row_indices": A.indices}
    else:
        A = sp.csr_array(A.T).tobsr((2, 2))
        parts = {"ccol_indices": A.indptr, "row_indices": A.indices}
        return Tensor(A.data.transpose(0, 2, 1), "sparse_bsc", **parts, **shape)
    return Tensor(A.data, f"sparse_{layout}", **parts, **shape)


class JaxArray:
    """jax.Array on some platform."""

    __module__ = "jaxlib._jax"

    def __init__(self, array, platform="cpu"):
        self._array, self._platform = np.asarray(array), platform
        self.dtype, self.shape = self._array.dtype, self._array.shape

    def devices(self):
        return [SimpleNamespace(platform=self._platform)]

    def __array__(self, dtype=None, copy=None):
        return self._array


JAXSparse = of("jax.experimental.sparse._base", "JAXSparse")
Tracer = of("jax._src.core", "Tracer")


def jax_sparse(kind, shape, data, platform="cpu", **parts):
    """Return one of jax.experimental.sparse."""
    array = of("jax.experimental.sparse.any", kind, JAXSparse)()
    array.shape, array.data = shape, JaxArray(data, platform)
    for name, part in parts.items():
        setattr(array, name, JaxArray(part))
    return array


def filled_up(array, value):
    return np.concatenate([array, np.full(2, value, array.dtype)])


def jax(A, kind):
    """Return one of jax.experimental.sparse that holds A; BCOO and BCSR filled up."""
    shape, coo, csr = A.shape, sp.coo_array(A), sp.csr_array(A)
    if kind == "BCOO":
        indices = np.vstack([np.array([coo.row, coo.col]).T, [shape, shape]])
        return jax_sparse(kind, shape, filled_up(coo.data, 0), indices=indices)
    if kind == "COO":
        return jax_sparse(kind, shape, coo.data, row=coo.row, col=coo.col)
    if kind == "CSC":
        csr = sp.csc_array(A)
    indices, data = csr.indices, csr.data
    if kind == "BCSR":
        indices, data = filled_up(indices, shape[1]), filled_up(data, 0)
    return jax_sparse(kind, shape, data, indices=indices, indptr=csr.indptr)


class DataFrame:
    """pandas.DataFrame whose columns are all sparse."""

    __module__ = "pandas.core.frame"
    ndim = 2

    def __init__(self, A, fill=0):
        def to_coo():
            if fill:
                raise ValueError("this is pandas' error, which nobody should see")
            return sp.coo_matrix(A)

        self.sparse, self._array = SimpleNamespace(to_coo=to_coo), A.toarray()

    def __array__(self, dtype=None, copy=None):
        return self._array

    def change(self, array):
        self._array = array
        return self


class COO:
    """sparse.COO."""

    __module__ = "sparse.numba_backend._coo.core"

    def __init__(self, A, fill_value=0):
        coo = sp.coo_array(A)
        self.shape, self.ndim, self.fill_value = A.shape, A.ndim, fill_value
        self.data, self.coords = coo.data, np.array([coo.row, coo.col])

    def todense(self):
        raise NotImplementedError

    def to_scipy_sparse(self):
        return sp.coo_array((self.data, self.coords), self.shape)

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("this is sparse's error, which nobody should see")


class DataArray:
    """xarray.DataArray of anything."""

    __module__ = "xarray.core.dataarray"

    def __init__(self, data):
        self.data, self.shape, self.ndim = data, data.shape, len(data.shape)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.data)


class Chunks:
    """dask.array.Array, of which only the kind of its chunks is known."""

    __module__ = "dask.array.core"

    def __init__(self, array):
        self._array, self._meta, self.shape = array, array[:0], array.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._array)


Chunks.__name__ = Chunks.__qualname__ = "Array"
