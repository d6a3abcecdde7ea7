"""Running scipy's own products on the kernels."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

import scipy

from .._inputs.scalars import as_count
from .._runtime.blas_limits import begin_limit, end_limit
from .._runtime.locks import hold_during_fork
from .hooks import find_hooks, make_method
from .report import Report, Tally

__all__ = ["Accelerate", "accelerate"]

Function = TypeVar("Function", bound=Callable[..., Any])

_LATER: dict[Callable[[Any], bool], str] = {
    inspect.isclass: "a class",
    inspect.isgeneratorfunction: "a generator function",
    inspect.iscoroutinefunction: "an async function",
    inspect.isasyncgenfunction: "an async generator function",
}


class Accelerate:
    """Let scipy.sparse multiply by dense vectors and matrices with the kernels of spkernels.

    ``with accelerate():`` does so inside of the block, ``@accelerate()`` inside of a function, and
    ``accelerate.enable()`` until ``accelerate.disable()``.  All code that multiplies by way of
    scipy.sparse takes part, unchanged: ``A @ B``, ``A.dot(B)``, ``B @ A``, scipy's solvers and
    scikit-learn's estimators.  Products that the kernels do not multiply faster are scipy's as
    before, and `report` tells the two apart.

    Notes
    -----
    It replaces the methods of scipy's classes that these products end in, and puts the same ones
    back at the end, also after an exception.  Blocks may be nested and overlap in any order and in
    any thread: scipy is itself again when the last one has ended.

    This is a state of the process, not of a thread: the threads that joblib or scikit-learn start
    inside a block are accelerated as well, and so is anything else that runs meanwhile.  Processes
    forked inside a block inherit it, processes started afresh (``spawn``, loky) do not: functions
    that they are sent may be decorated, or enter a block.  A pickle or copy of `accelerate` is the
    object of the process that it is loaded in, and leaves that on or off as it is.

    Results have the dtype, shape, container and memory order that scipy gives them, and agree with
    scipy's within rounding.  Taken are real products in float32 or float64, of CSR, CSC, COO and
    BSR, from the size on where that pays.  scipy trusts index arrays; on the kernels, an index out
    of range is a ValueError.

    The methods are not part of scipy's interface.  Each is tried before it is replaced, and where
    scipy does not call them as expected, `accelerate` warns and leaves every product to scipy:
    results are right with any version, and slow with an unknown one.

    See Also
    --------
    spmm : the product itself, with options that scipy's operators have no room for.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spkernels import accelerate
    >>> A = sp.csr_array(np.tri(50, 40))
    >>> B = np.ones((40, 32))
    >>> with accelerate():
    ...     C = A @ B
    >>> print(accelerate.report(reset=True))
    taken 1, left to scipy 0
    format  dtype    operation  outcome  count
    csr     float64  matrix     taken        1

    A reason is given for what is left to scipy:

    >>> with accelerate():
    ...     C = A.astype(complex) @ B
    >>> accelerate.report(reset=True).outcomes
    {'dtype': 1}
    """

    #: It is pickled by its public name.
    __module__ = "spkernels"

    def __init__(self):
        # One lock for everything, reentrant for a signal handler that multiplies.
        self._lock = threading.RLock()
        self._tally = Tally(self._lock)
        self._blocks = 0
        self._enables = []  # the limit of BLAS threads of each
        self._replaced = []

    @overload
    def __call__(self, *, blas_threads: int | None = None) -> _Block: ...
    @overload
    def __call__(self, function: Function, *, blas_threads: int | None = None) -> Function: ...
    def __call__(self, function=None, *, blas_threads=None):
        """Return a context manager, and decorator, that accelerates what runs inside of it.

        Parameters
        ----------
        function : callable, optional
            What to decorate: ``@accelerate`` is the same as ``@accelerate()``.
        blas_threads : int, optional
            The most threads that a BLAS of the process (OpenBLAS, MKL, BLIS) may use meanwhile;
            by default that is left alone.  Solvers that take dot products between sparse products
            are faster with 1, as OpenBLAS's threads keep a CPU busy for milliseconds after each of
            them; work that is mostly dense is slower.  MKL is limited in the thread that enters the
            block, OpenBLAS in the whole process.  Of several blocks at once, the smallest
            number counts; each BLAS has its own number again when the last one has ended.

        Returns
        -------
        context manager, or the function decorated
            Of any number of blocks, one after another or nested.

        Raises
        ------
        TypeError
            If what is decorated is a class, or runs after it has returned, as generators and
            coroutines do; if `blas_threads` is not an integer.
        ValueError
            If `blas_threads` is below 1.

        Warns
        -----
        RuntimeWarning
            On entry, if this version of scipy multiplies in an unknown way.

        Examples
        --------
        >>> import scipy.sparse as sp
        >>> from spkernels import accelerate
        >>> @accelerate()
        ... def power(A, x, steps):
        ...     for _ in range(steps):
        ...         x = A @ x
        ...     return x
        >>> power(sp.csr_array([[0.0, 2.0], [1.0, 0.0]]), [1.0, 1.0], 2)
        array([2., 2.])
        """
        block = _Block(self, _as_limit(blas_threads))
        return block if function is None else block(function)

    @property
    def enabled(self) -> bool:
        """Whether scipy's methods are replaced at this moment."""
        return bool(self._replaced)

    def enable(self, *, blas_threads: int | None = None) -> None:
        """Accelerate from now on, until `disable` was called as often as `enable`.

        Parameters
        ----------
        blas_threads : int, optional
            The most threads that a BLAS of the process may use until then, as for a block.

        Raises
        ------
        TypeError
            If `blas_threads` is not an integer.
        ValueError
            If `blas_threads` is below 1.

        Warns
        -----
        RuntimeWarning
            If this version of scipy multiplies in an unknown way; nothing is replaced then.

        Examples
        --------
        >>> from spkernels import accelerate
        >>> accelerate.enable()
        >>> accelerate.enabled
        True
        >>> accelerate.disable()
        >>> accelerate.enabled
        False
        """
        limit = _as_limit(blas_threads)
        self._begin(limit, enables=[limit])

    def disable(self) -> None:
        """Undo the latest call of `enable`; blocks that are running keep on.

        Raises
        ------
        RuntimeError
            If there is no call of `enable` to undo.
        """
        with self._lock:
            if not self._enables:
                raise RuntimeError("accelerate.disable() was called more often than enable()")
            limit = self._enables.pop()
            kept = self._restore_if_unused()
        self._end(limit, kept)

    def report(self, *, reset: bool = False) -> Report:
        """Tell which products were taken and which were left to scipy, and why.

        Parameters
        ----------
        reset : bool, optional
            Whether to start counting anew, at zero.

        Returns
        -------
        Report
            With ``taken``, ``left``, ``outcomes`` (a dictionary), ``contended`` (products that had
            fewer threads, or waited for one, as others were using the CPUs) and ``calls`` (a row
            for each format, dtype, operation and outcome); prints as a table.

        Notes
        -----
        Counted is every product with a dense vector or matrix while accelerated, since the process
        began or since the last reset.  What was not taken has one of these reasons:

        =========  ==============================================================================
        slower     scipy is about as fast or faster for this format, size and shape
        dtype      neither float32 nor float64, or a mix that is promoted to neither
        format     DIA or DOK, which scipy multiplies in its own way; other formats count as CSR
        operand    a subclass of ndarray, or a sparse array that is 1-D or a single row in COO
        layout     an ``indptr`` that does not start at 0
        =========  ==============================================================================

        Examples
        --------
        >>> from spkernels import accelerate
        >>> accelerate.report(reset=True).taken >= 0
        True
        >>> accelerate.report().calls
        ()
        """
        return self._tally.read(reset)

    def _begin(self, limit, *, blocks=0, enables=()):
        # Warnings run code of users, which must not meet the lock.
        hooks = find_hooks()
        if not hooks:
            warnings.warn(
                f"accelerate() does not know how scipy {scipy.__version__} multiplies sparse by "
                "dense: every product is left to scipy",
                RuntimeWarning,
                stacklevel=3,
            )
        if limit is not None:
            begin_limit(limit)
        with self._lock:
            if not self._replaced:
                self._replace(hooks)
            self._blocks += blocks
            self._enables.extend(enables)

    def _end_block(self):
        with self._lock:
            self._blocks -= 1
            return self._restore_if_unused()

    def _end(self, limit, kept):
        if limit is not None:
            end_limit(limit)
        for hook in kept:
            warnings.warn(
                f"{hook.owner.__name__}.{hook.name} was replaced by others while accelerate() "
                "was on, and is left as it is",
                RuntimeWarning,
                stacklevel=3,
            )

    def _replace(self, hooks):
        originals = [vars(hook.owner)[hook.name] for hook in hooks]
        self._replaced = [
            (hook, original, make_method(hook, original, self._tally))
            for hook, original in zip(hooks, originals, strict=True)
        ]
        for hook, _, method in self._replaced:
            setattr(hook.owner, hook.name, method)

    def _restore_if_unused(self):
        """Put scipy's methods back; return those that others have replaced meanwhile."""
        kept = []
        if self._blocks or self._enables:
            return kept
        for hook, original, method in self._replaced:
            if vars(hook.owner)[hook.name] is method:
                setattr(hook.owner, hook.name, original)
            else:
                kept.append(hook)
        self._replaced = []
        return kept

    def __repr__(self) -> str:
        return f"<spkernels.accelerate, {'on' if self.enabled else 'off'} in this process>"

    def __reduce__(self):
        # By name: there is one of it in a process, and whether it is on is not pickled.
        return "accelerate"


class _Block(contextlib.ContextDecorator):
    def __init__(self, switch: Accelerate, blas_threads: int | None):
        self._switch = switch
        self._blas_threads = blas_threads

    def __call__(self, function: Function) -> Function:
        """Decorate a function; the block would be over before the body of others begins."""
        for is_such, kind in _LATER.items():
            if is_such(function):
                raise TypeError(
                    f"accelerate() decorates functions, got {kind}: use `with accelerate():` in it"
                )
        if not callable(function):
            raise TypeError(f"accelerate() decorates functions, got {type(function).__name__}")
        return super().__call__(function)

    def __reduce__(self):
        return functools.partial(self._switch, blas_threads=self._blas_threads), ()

    def __enter__(self) -> Accelerate:
        self._switch._begin(self._blas_threads, blocks=1)
        return self._switch

    def __exit__(self, *exception: object) -> None:
        self._switch._end(self._blas_threads, self._switch._end_block())


def _as_limit(blas_threads):
    return None if blas_threads is None else as_count("blas_threads", blas_threads)


accelerate = Accelerate()
# A child that is forked while another thread replaces scipy's methods would have half of them.
hold_during_fork(accelerate._lock)
