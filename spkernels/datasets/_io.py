"""Loading sparse matrices from files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from numpy.typing import DTypeLike
from scipy.sparse import csr_array

from .._inputs.assemble import make_csr
from .._inputs.scalars import RNG, as_dtype
from ._compressed import COMPRESSED, read
from ._compressed import suffix as suffix_of
from ._keys import default
from ._mat import mat_keys, read_mat
from ._mtx import read_mtx
from ._npz import npz_keys, read_npz
from ._raw import read_raw
from ._smtx import VALUES, read_smtx

# Formats that say their own shape; .raw needs it told.  What files of Matrix Market are called.
_SELF_DESCRIBING = (".smtx", ".mtx", ".mm", ".npz", ".mat")
_SUPPORTED = (*_SELF_DESCRIBING, ".raw")
# Those whose files may hold several matrices.
_OF_SEVERAL = (".npz", ".mat")


def load(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    shape: tuple[int, int] | None = None,
    values: Literal["normal", "ones"] = "normal",
    rng: RNG = 0,
    dtype: DTypeLike | None = None,
) -> csr_array:
    r"""Load a sparse matrix from a file.

    Parameters
    ----------
    path : str or os.PathLike
        The suffix says the format; each may be followed by ``.gz``, ``.bz2`` or ``.xz``.

        ``.smtx``
            A pattern of the Deep Learning Matrix Collection [1]_, which stores no values: see
            `values`.
        ``.mtx``, ``.mm``
            Matrix Market, of any field and symmetry (expanded; mirrored unsigned integers become
            int64 where the sign changes).  A ``pattern`` has values 1, the zeros of an ``array``
            are dropped.  Exponents may have Fortran's letters (``1.5D+02``), but must have one;
            line ends, a byte order mark and a final Ctrl-Z may be those of any system.
        ``.npz``
            A file of `scipy.sparse.save_npz`, or one that holds the arrays ``data``, ``indices``,
            ``indptr`` and ``shape`` of a CSR array under these names, or behind a prefix:
            ``adj_data``, ``adj_matrix.data``, ``adj/data``, as data sets of graphs [2]_ do.  The
            arrays of other formats of `save_npz` may have a prefix, too.  Files of pydata/sparse's
            ``save_npz`` are read if their fill value is 0.
        ``.mat``
            A sparse matrix in a MATLAB file of version 4 to 7.2, as a variable or as a field of a
            struct.  Of a file of the SuiteSparse collection this is ``Problem.A``; the positions
            of its explicit zeros, which MATLAB does not store, are ``Problem.Zeros``.
        ``.raw``
            A dense row-major matrix of little-endian float32 without a header; zeros are pruned.
    key : str, optional
        Which matrix of a ``.npz`` or ``.mat`` file that holds several, as `keys` lists them.
    shape : (int, int), optional
        The shape of a ``.raw`` file.
    values : {"normal", "ones"}, default "normal"
        The values of a ``.smtx`` file: standard normal, or 1.  Other formats bring theirs.
    rng : int, numpy.random.Generator or None, default 0
        Seeds the normal values, in the order of the stored positions.  None draws new ones at
        every call.
    dtype : dtype, optional
        Of the result.  By default what the file stores (float32 for float16, and float64 for the
        whole numbers of fewer bits in which MATLAB stores it), and float32 for ``.smtx``.

    Returns
    -------
    A : scipy.sparse.csr_array
        As it is stored: explicit zeros and, in formats based on CSR, the order of the columns are
        kept.  Entries of formats based on coordinates are sorted, and those of one position are
        added up.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is not supported, an argument does not fit the format, or the file is
        malformed: truncated, of wrong counts, or with offsets or indices out of range.  The
        message names the file, the line if it is text, and what was expected in it.
    OSError
        If the file cannot be read.

    See Also
    --------
    find : The files of a folder that can be loaded.
    keys : The matrices of a file that holds several.
    save_smtx : Write a pattern.

    Notes
    -----
    Nothing that a file can hold makes `load` read out of bounds or unpickle objects.  Memory
    follows the (decompressed) size of the file, not the sizes that it claims, with one exception:
    the offsets of a CSR array take 8 bytes a row, whatever the entries.  More than 2**27 rows are
    loaded only from a file of as many bytes as rows, and are a ValueError from a smaller one.

    References
    ----------
    .. [1] T. Gale, M. Zaharia, C. Young, E. Elsen, "Sparse GPU kernels for deep learning", SC
       2020, arXiv:2006.10901.
    .. [2] O. Shchur, M. Mumme, A. Bojchevski, S. Günnemann, "Pitfalls of graph neural network
       evaluation", 2018, arXiv:1811.05868.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from spkernels import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "layer.smtx"
    ...     _ = path.write_text("2, 3, 3\n0 1 3\n2 0 1\n")
    ...     A = datasets.load(path, values="ones")
    >>> A.toarray()
    array([[0., 0., 1.],
           [1., 1., 0.]], dtype=float32)
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix not in _SUPPORTED:
        raise ValueError(
            f"{path}: expected a name that ends in {', '.join(_SUPPORTED)}, with or without "
            f"{', '.join(COMPRESSED)}"
        )
    if key is not None and suffix not in (".npz", ".mat"):
        raise ValueError(f"{path}: key must be None for a {suffix} file, got {key!r}")
    if shape is not None and suffix != ".raw":
        raise ValueError(f"{path}: shape must be None for a {suffix} file, got {shape!r}")
    if values not in VALUES:
        raise ValueError(
            f"{path}: values must be one of {', '.join(map(repr, VALUES))}, got {values!r}"
        )
    if values != "normal" and suffix != ".smtx":
        raise ValueError(f"{path}: values must be 'normal' for a {suffix} file, got {values!r}")
    try:
        content = read(path)
        match suffix:
            case ".smtx":
                return read_smtx(content, values, rng, dtype)
            case ".mtx" | ".mm":
                A = read_mtx(content)
            case ".npz":
                A = read_npz(content, key)
            case ".mat":
                A = read_mat(content, key)
            case ".raw":
                A = read_raw(content, shape)
        return _cast(A, A.dtype if dtype is None else dtype)
    except ValueError as exc:
        raise ValueError(f"{path}: {exc}") from exc


def _cast(A: csr_array, dtype: DTypeLike) -> csr_array:
    kind = as_dtype(dtype)
    if A.dtype.kind == "c" and kind.kind != "c":
        raise ValueError(f"dtype must be complex for complex values, got {kind}")
    # Not A.astype, which sorts the columns and adds up duplicates.
    return make_csr(A.data.astype(kind, copy=False), A.indices, A.indptr, A.shape)


def find(folder: str | os.PathLike[str]) -> list[Path]:
    """List the matrix files in a folder and its subfolders.

    Parameters
    ----------
    folder : str or os.PathLike
        Where to look.

    Returns
    -------
    paths : list of pathlib.Path
        The files that `load` takes by their suffix alone, sorted.  ``.raw`` files are left out,
        for they need a shape.

    Raises
    ------
    NotADirectoryError
        If `folder` is not a folder.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from spkernels import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.mtx.gz", "a.smtx", "notes.txt"):
    ...         pathlib.Path(folder, name).touch()
    ...     [path.name for path in datasets.find(folder)]
    ['a.smtx', 'b.mtx.gz']
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"folder must be an existing folder, got {folder}")
    return sorted(
        path for path in folder.rglob("*") if suffix_of(path) in _SELF_DESCRIBING and path.is_file()
    )


def keys(path: str | os.PathLike[str]) -> list[str]:
    """Name the matrices in a file of several.

    Parameters
    ----------
    path : str or os.PathLike
        A file that `load` takes.

    Returns
    -------
    names : list of str
        What `load` takes as `key`, in the order of the file; empty where it takes none.  Fields
        of MATLAB's structs are ``"struct.field"``; the prefix of arrays in a ``.npz`` file comes
        without the separator at its end.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is malformed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from spkernels import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "graph.npz")
    ...     parts = {"data": [1.0], "indices": [0], "indptr": [0, 1], "shape": (1, 1)}
    ...     adjacency = {f"adj_matrix.{name}": part for name, part in parts.items()}
    ...     attributes = {f"attr_{name}": part for name, part in parts.items()}
    ...     np.savez(path, **adjacency, **attributes)
    ...     datasets.keys(path)
    ['adj_matrix', 'attr']
    """
    path = Path(path)
    find_keys = {".npz": npz_keys, ".mat": mat_keys}.get(suffix_of(path))
    try:
        content = read(path)
        return [] if find_keys is None else find_keys(content)
    except ValueError as exc:
        raise ValueError(f"{path}: {exc}") from exc


def keys_of(path: Path) -> Sequence[str | None]:
    """Return the keys of all matrices of a file, or None alone where `load` needs no key."""
    if suffix_of(path) not in _OF_SEVERAL:
        return [None]
    try:
        names = keys(path)
    except (ValueError, OSError, MemoryError):
        names = []  # what reads the file will say so
    return names if names and default(names) is None else [None]
