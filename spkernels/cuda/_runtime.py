"""The library for GPUs in this process: it is loaded on first use, or an error says what lacks."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Literal, overload

from .._runtime.locks import Lock
from . import _library
from ._errors import UnavailableError

__all__ = ["current_device", "is_available", "library", "show_config", "why_not"]

#: The lowest compute capability that the library supports.
_MIN_CAPABILITY = "8.0"

_MISSING = (
    "spkernels' library for GPUs is not installed: in a clone of the repository, "
    "`pip install ./cuda` makes it; or build spkernels with -Dcuda=enabled, or let "
    "SPKERNELS_CUDA_LIBRARY name a libspkernels_cuda.so"
)

_lock = Lock()
_loaded = None


def library() -> ctypes.CDLL:
    """Return the library, which the first call loads."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _load()
    return _loaded


def _load():
    path = _library.find()
    if path is None:
        raise UnavailableError(_MISSING)
    try:
        return _library.load(path)
    except OSError as error:
        named = os.environ.get("SPKERNELS_CUDA_LIBRARY")
        why = ", which SPKERNELS_CUDA_LIBRARY names," if named else ""
        raise UnavailableError(f"{path}{why} cannot be loaded: {error}") from None


def _query(device):
    found = _library.Device()
    return library().spk_cuda_query(device, ctypes.byref(found)), found


def _version(number):
    """Return a version of CUDA in words: 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _reason(status, found, device):
    """Return the message for the status of a query of `device`."""
    if status == _library.ERR_DRIVER:
        needed = _version(found.runtime_version)
        if not found.driver_version:
            return (
                f"there is no NVIDIA driver here (libcuda.so.1): spkernels' library for GPUs needs "
                f"one that supports CUDA {needed}"
            )
        if found.driver_version // 1000 < found.runtime_version // 1000:
            return (
                f"the NVIDIA driver supports CUDA {_version(found.driver_version)}, spkernels' "
                f"library for GPUs needs {needed}: a newer driver helps"
            )
        return f"the NVIDIA driver does not start: {_said()}"
    if status == _library.ERR_DEVICE:
        if not found.count:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            hint = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible!r})"
            return f"there is no NVIDIA GPU here{hint}"
        if 0 < found.major < 8:
            return (
                f"device {found.device} has compute capability {found.major}.{found.minor}, "
                f"spkernels needs {_MIN_CAPABILITY}"
            )
        return f"there is no device {device}: the process sees {found.count}, counted from 0"
    return f"CUDA reported an error: {_said()}"


def _said():
    return library().spk_cuda_last_error().decode()


def why_not(device: int | None = None) -> str | None:
    """Return the reason why products cannot run on a GPU here.

    Parameters
    ----------
    device : int, optional
        The number of the device; by default the current device.

    Returns
    -------
    str or None
        The name of what is missing (the library, the driver or a GPU) and how to get it; None if
        nothing is missing.

    Examples
    --------
    >>> import spkernels.cuda
    >>> spkernels.cuda.is_available() == (spkernels.cuda.why_not() is None)
    True
    """
    device = -1 if device is None else device
    try:
        status, found = _query(device)
    except UnavailableError as error:
        return str(error)
    return None if status == _library.OK else _reason(status, found, device)


def is_available(device: int | None = None) -> bool:
    """Return whether products can run on a GPU here.

    Parameters
    ----------
    device : int, optional
        The number of the device; by default the current device.

    Returns
    -------
    bool
        Whether there are the library, a driver that is new enough, and a GPU of compute capability
        8.0 or above.  `why_not` says which of these is missing.

    Examples
    --------
    >>> import spkernels.cuda
    >>> if spkernels.cuda.is_available():
    ...     pass  # products can run on the GPU
    """
    return why_not(device) is None


def current_device() -> int:
    """Return the number of CUDA's current device, or raise an error that says what is missing."""
    status, found = _query(-1)
    if status != _library.OK:
        raise UnavailableError(_reason(status, found, -1))
    return found.device


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print or return the library for GPUs in use, and the driver and the GPU that it finds.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        Whether to print the configuration or to return it.

    Returns
    -------
    dict or None
        With "dicts", a dictionary of plain values; else None.

    Raises
    ------
    ValueError
        If `mode` is neither "stdout" nor "dicts".

    Examples
    --------
    >>> import spkernels.cuda
    >>> config = spkernels.cuda.show_config(mode="dicts")
    >>> config["available"] == spkernels.cuda.is_available()
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}")
    path = _library.find()
    missing = why_not()
    config = {
        "available": missing is None,
        "missing": missing,
        "library": None if path is None else str(path),
    }
    if _loaded is not None:
        _, found = _query(-1)
        config["CUDA of the library"] = _version(found.runtime_version)
        driver = found.driver_version
        config["CUDA of the driver"] = _version(driver) if driver else None
        config["devices"] = found.count
        if found.major:
            config["compute capability"] = f"{found.major}.{found.minor}"
            config["multiprocessors"] = found.multiprocessors
    if mode == "dicts":
        return config
    for name, value in config.items():
        print(f"{name}: {value}")
    return None
