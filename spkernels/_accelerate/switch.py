"""The switch that makes scipy's own products run on the kernels."""

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
    """Make scipy.sparse multiply by dense vectors and matrices with the kernels of spkernels.

    ``with accelerate():`` does so inside of the block, ``@accelerate()`` inside of a function, and
    ``accelerate.enable()`` until ``accelerate.disable()``.  All code that multiplies through
    scipy.sparse takes part without a change: ``A @ B``, ``A.dot(B)``, ``B @ A``, scipy's solvers
    and scikit-learn's estimators.  Products for which the kernels are not faster are left to scipy.
    `report` counts both kinds.

    Notes
    -----
    `accelerate` replaces the methods of scipy's classes that compute these products, and restores
    them at the end, also after an exception.  Blocks may be nested, and may overlap in any order
    and in any thread.  scipy's methods are restored when the last block has ended.

    The switch is a state of the process, not of a thread.  The threads that joblib or scikit-learn
    start inside a block are accelerated, too, and so is all other code that runs meanwhile.  A
    process that is forked inside a block inherits the state.  A process that is started afresh
    (``spawn``, loky) does not; decorate the functions that it is sent, or let them enter a block.
    A pickle or copy of `accelerate` is the `accelerate` of the process that loads it, and does not
    change that process's state.

    Results have scipy's dtype, shape, container and memory order, and agree with scipy's within
    rounding.  The kernels take real products in float32 or float64 of CSR, CSC, COO and BSR, from
    the size on at which they are faster.  scipy trusts index arrays; on the kernels an index out of
    range is a ValueError.

    The methods are not part of scipy's public interface.  Each is tried before it is replaced.  If
    scipy does not call them as expected, `accelerate` warns and leaves every product to scipy.  So
    results are right with any version of scipy, and only slow with an unknown one.

    See Also
    --------
    spmm : multiplies, with options that scipy's operators do not have.

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

    The report has a reason for each product that is left to scipy:

    >>> with accelerate():
    ...     C = A.astype(complex) @ B
    >>> accelerate.report(reset=True).outcomes
    {'dtype': 1}
    """

    #: Pickles hold this public name.
    __module__ = "spkernels"

    def __init__(self):
        # One lock protects all state.  It is reentrant, as a signal handler may multiply.
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
        """Return a context manager and decorator that accelerates the code inside of it.

        Parameters
        ----------
        function : callable, optional
            The function to decorate: ``@accelerate`` is the same as ``@accelerate()``.
        blas_threads : int, optional
            The largest number of threads that a BLAS of the process (OpenBLAS, MKL, BLIS) may use
            meanwhile; by default the number is not changed.  Solvers that compute dot products
            between sparse products are faster with 1, as OpenBLAS's threads keep a CPU busy for
            milliseconds after each dot product.  Work that is mostly dense is slower with 1.  MKL
            is limited in the thread that enters the block, and OpenBLAS in the whole process.  Of
            several blocks at once, the smallest number counts.  Each BLAS gets its own number back
            when the last block has ended.

        Returns
        -------
        context manager, or the decorated function
            The context manager can be entered any number of times, also nested.

        Raises
        ------
        TypeError
            If `function` is a class, a generator function or a coroutine function, whose body runs
            after the call has returned, or if `blas_threads` is not an integer.
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
        """Whether scipy's methods are replaced now."""
        return bool(self._replaced)

    def enable(self, *, blas_threads: int | None = None) -> None:
        """Accelerate from now on, until `disable` has been called as often as `enable`.

        Parameters
        ----------
        blas_threads : int, optional
            The largest number of threads that a BLAS of the process may use until then, as for a
            block.

        Raises
        ------
        TypeError
            If `blas_threads` is not an integer.
        ValueError
            If `blas_threads` is below 1.

        Warns
        -----
        RuntimeWarning
            If this version of scipy multiplies in an unknown way; then no method is replaced.

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
        """Undo the latest call of `enable`; blocks that have not ended stay accelerated.

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
        """Return the counts of products that the kernels took and of those that scipy computed.

        Parameters
        ----------
        reset : bool, optional
            Whether to set the counts to zero afterwards.

        Returns
        -------
        Report
            The counts: ``taken``, ``left``, ``outcomes`` (a dictionary), ``contended`` (the number
            of products that had fewer threads, or waited for one, as other programs were using the
            CPUs) and ``calls`` (a row for each format, dtype, operation and outcome).  ``str``
            makes a table of them.

        Notes
        -----
        Every product with a dense vector or matrix is counted while `accelerate` is on, since the
        process began or since the last reset.  A product that was left to scipy has one of these
        reasons:

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
        # Warnings run code of users, which must not run while the lock is held.
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
        """Restore scipy's methods if nothing uses ours; return hooks that others have replaced."""
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
        # Each process has one such object.  A pickle holds its name, and not whether it is on.
        return "accelerate"


class _Block(contextlib.ContextDecorator):
    def __init__(self, switch: Accelerate, blas_threads: int | None):
        self._switch = switch
        self._blas_threads = blas_threads

    def __call__(self, function: Function) -> Function:
        """Decorate a function; of a class or generator the block would end before the body runs."""
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
# Without this, a child that is forked while another thread replaces scipy's methods would have only
# some of them replaced.
hold_during_fork(accelerate._lock)
