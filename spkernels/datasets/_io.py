"""Functions that load sparse matrices from files."""

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

# The suffixes of files that state their shape, which .raw files do not.
_SELF_DESCRIBING = (".smtx", ".mtx", ".mm", ".npz", ".mat")
_SUPPORTED = (*_SELF_DESCRIBING, ".raw")
# The suffixes of files that may hold several matrices.
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
        The suffix gives the format.  A second suffix ``.gz``, ``.bz2`` or ``.xz`` may follow.

        ``.smtx``
            A structure of the Deep Learning Matrix Collection [1]_, which stores no values; see
            `values`.
        ``.mtx``, ``.mm``
            Matrix Market, of any field and symmetry.  A symmetric matrix is expanded; unsigned
            integers become int64 if mirroring changes their sign.  A ``pattern`` gets values of 1,
            and the zeros of an ``array`` are dropped.  An exponent must have a letter, which may be
            Fortran's (``1.5D+02``).  Line ends, a byte order mark and a final Ctrl-Z may be those
            of any system.
        ``.npz``
            A file of `scipy.sparse.save_npz`, or a file with the arrays ``data``, ``indices``,
            ``indptr`` and ``shape`` of a CSR array.  Names may have a prefix, as in data sets of
            graphs [2]_: ``adj_data``, ``adj_matrix.data``, ``adj/data``.  The arrays of other
            formats of `save_npz` may have a prefix, too.  Files of pydata/sparse's ``save_npz`` are
            read if their fill value is 0.
        ``.mat``
            A sparse matrix in a MATLAB file of version 4 to 7.2, as a variable or as a field of a
            struct.  In files of the SuiteSparse collection the matrix is ``Problem.A``.  The
            positions of its explicit zeros, which MATLAB does not store, are ``Problem.Zeros``.
        ``.raw``
            A dense row-major matrix of little-endian float32 without a header; zeros are dropped.
    key : str, optional
        The name of the matrix in a ``.npz`` or ``.mat`` file of several, as `keys` lists them.
    shape : (int, int), optional
        The shape of the matrix in a ``.raw`` file.
    values : {"normal", "ones"}, default "normal"
        The values of a ``.smtx`` file: standard normal, or 1.  Other formats store their values.
    rng : int, numpy.random.Generator or None, default 0
        Seeds the normal values, in the order of the stored positions.  None draws new values at
        every call.
    dtype : dtype, optional
        The dtype of the result.  By default this is float32 for ``.smtx``, and for other formats
        the dtype in the file, with two exceptions: float16 becomes float32, and integers of fewer
        than 64 bits, in which MATLAB stores whole numbers, become float64.

    Returns
    -------
    A : scipy.sparse.csr_array
        The matrix.  Explicit zeros are kept.  Formats based on CSR keep the order of columns.
        Entries of formats based on coordinates are sorted, and entries of one position are summed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is not supported, an argument does not fit the format, or the file is
        malformed: truncated, of wrong counts, or with offsets or indices out of range.  The message
        names the file, the line if the file is text, and what was expected there.
    OSError
        If the file cannot be read.

    See Also
    --------
    find : lists the files of a folder that can be loaded.
    keys : lists the matrices of a file that holds several.
    save_smtx : writes a structure.

    Notes
    -----
    No content of a file makes `load` read out of bounds or unpickle objects.  Memory is
    proportional to the decompressed size of the file, not to sizes that the file claims, with one
    exception: the offsets of a CSR array take 8 bytes per row, also where there are no entries.
    More than 2**27 rows are loaded only from a file with at least one byte per row; from a smaller
    file they are a ValueError.

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
    # A.astype would sort the columns and sum duplicates.
    return make_csr(A.data.astype(kind, copy=False), A.indices, A.indptr, A.shape)


def find(folder: str | os.PathLike[str]) -> list[Path]:
    """List the matrix files in a folder and its subfolders.

    Parameters
    ----------
    folder : str or os.PathLike
        The folder.

    Returns
    -------
    paths : list of pathlib.Path
        The files that `load` takes without further arguments, sorted.  ``.raw`` files are left out,
        as they need a shape.

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
    """List the names of the matrices in a file that may hold several.

    Parameters
    ----------
    path : str or os.PathLike
        A file that `load` takes.

    Returns
    -------
    names : list of str
        The values that `load` takes as `key`, in the order of the file; empty for a file that needs
        no key.  The field of a MATLAB struct is named ``"struct.field"``.  The name of a matrix in
        a ``.npz`` file is the prefix of its arrays, without the separator at its end.

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
    """Return the keys of all matrices of a file, or ``[None]`` where `load` needs no key."""
    if suffix_of(path) not in _OF_SEVERAL:
        return [None]
    try:
        names = keys(path)
    except (ValueError, OSError, MemoryError):
        names = []  # `load` will raise the same error, with its message
    return names if names and default(names) is None else [None]
