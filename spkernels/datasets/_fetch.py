"""Downloads of public collections of matrices; all other modules work without a network."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import shutil
import zlib
from pathlib import Path

__all__ = ["fetch_dlmc", "fetch_suitesparse"]

_DLMC = "https://storage.googleapis.com/sgk-sc2020/dlmc.tar.gz"
_SUITESPARSE = "https://suitesparse-collection-website.herokuapp.com/MM/{group}/{name}.tar.gz"


def fetch_dlmc(
    folder: str | os.PathLike[str] | None = None, *, sha256: str | None = None
) -> Path:
    """Download and unpack the Deep Learning Matrix Collection [1]_ once.

    Parameters
    ----------
    folder : str or os.PathLike, optional
        The folder that keeps the collection.  By default this is the folder that the environment
        variable ``SPKERNELS_CACHE`` names, or else the user's cache folder.
    sha256 : str, optional
        The checksum that the archive must have.  Without it, the checksum of the first download is
        stored beside the archive, and later calls compare with it.

    Returns
    -------
    pathlib.Path
        The folder with the 3,846 ``.smtx`` files, which take about 2 GB.

    Raises
    ------
    ImportError
        If pooch is not installed; the extra ``bench`` installs it.
    ConnectionError
        If the archive cannot be downloaded.  The message says which file to put where instead.
    ValueError
        If the archive has another checksum, or is damaged.

    See Also
    --------
    find : lists the files of the folder.
    load : reads one of these files.

    References
    ----------
    .. [1] T. Gale, M. Zaharia, C. Young, E. Elsen, "Sparse GPU kernels for deep learning", SC'20.
    """
    folder = _folder(folder)
    archive = _retrieve(_DLMC, folder, sha256)
    return _unpack(archive, folder / "dlmc")


def fetch_suitesparse(
    name: str, folder: str | os.PathLike[str] | None = None, *, sha256: str | None = None
) -> Path:
    """Download a matrix of the SuiteSparse Matrix Collection [1]_ once.

    Parameters
    ----------
    name : str
        The group and the name of the matrix, for instance ``"SNAP/ca-CondMat"``.
    folder, sha256
        As in `fetch_dlmc`.

    Returns
    -------
    pathlib.Path
        The ``.mtx`` file, for `load`.

    Raises
    ------
    ImportError, ConnectionError, ValueError
        As in `fetch_dlmc`.  A `name` that is not of the form ``group/name`` is a ValueError, too.

    References
    ----------
    .. [1] T. A. Davis, Y. Hu, "The University of Florida sparse matrix collection", ACM
       Transactions on Mathematical Software 38, 2011.
    """
    group, slash, matrix = str(name).partition("/")
    if not slash or not group or not matrix or "/" in matrix or ".." in name:
        raise ValueError(f"name must be 'group/name', for instance 'SNAP/ca-CondMat', got {name!r}")
    folder = _folder(folder) / "suitesparse" / group
    archive = _retrieve(_SUITESPARSE.format(group=group, name=matrix), folder, sha256)
    path = _unpack(archive, folder / "unpacked" / matrix) / matrix / f"{matrix}.mtx"
    if not path.is_file():
        raise ValueError(f"{archive} holds no {matrix}/{matrix}.mtx")
    return path


def _folder(folder: str | os.PathLike[str] | None) -> Path:
    if folder is not None:
        return Path(folder)
    named = os.environ.get("SPKERNELS_CACHE")
    return Path(named) if named else Path(_pooch().os_cache("spkernels"))


def _pooch():
    try:
        import pooch
    except ImportError as missing:
        raise ImportError(
            "downloading needs pooch; to get it: pip install pooch"
        ) from missing
    return pooch


def _retrieve(url: str, folder: Path, sha256: str | None) -> Path:
    """Return the path of an archive, which is downloaded if it is missing, and is checked."""
    pooch = _pooch()
    name = url.rsplit("/", 1)[1]
    archive, recorded = folder / name, folder / f"{name}.sha256"
    if sha256 is None and recorded.is_file():
        sha256 = recorded.read_text(errors="replace").strip()
    if archive.is_file():
        if sha256 is not None and _sha256(archive) != sha256.lower():
            raise ValueError(f"{archive} has another sha256 than {sha256}: delete it to start anew")
    else:
        try:
            pooch.retrieve(
                url,
                known_hash=None if sha256 is None else f"sha256:{sha256}",
                fname=name,
                path=folder,
                progressbar=importlib.util.find_spec("tqdm") is not None,
            )
        except ValueError as reason:
            raise ValueError(f"{url} has another sha256 than {sha256}") from reason
        except Exception as reason:
            raise ConnectionError(
                f"cannot download {url} ({type(reason).__name__}); without a connection, put the "
                f"file at {archive}"
            ) from reason
    if not recorded.is_file():
        recorded.write_text(_sha256(archive) + "\n")
    return archive


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive, and return its folder, which holds either all files or none.

    Files go to a temporary folder beside the final one, which is renamed at the end.
    """
    if not folder.is_dir():
        import tarfile

        partial = folder.with_name(folder.name + ".part")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(partial, filter="data")
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise ValueError(f"{archive}: expected a whole tar archive, but {error}") from error
        partial.rename(folder)
    return folder
