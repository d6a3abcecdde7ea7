"""`SparseLinear`, which stands for `torch.nn.Linear`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import spkernels

from .._eager import is_plain
from .._kept import Run
from .._ops import linear, linear_now
from .._packed import Packed, weight_of
from .._threads import threads_of
from .._weights import Csr, bias_of
from .family import Family, Options, describe
from .layer import SparseLayer, drawn, taken
from .linear_int8 import make_int8, observe

__all__ = ["LINEAR", "SparseLinear"]


class SparseLinear(SparseLayer):
    """A linear layer whose weight is sparse, with a fixed structure: ``x @ W.T + bias``.

    An optimizer sees a vector of the values that are stored, and the structure never changes.

    Parameters
    ----------
    in_features, out_features : int
        The numbers of columns and rows of the weight.
    bias : bool, optional
        Whether a bias is added.
    sparsity : float, optional
        The share of the weights that are zero, from 0 to 1.  Their places are drawn at random.
    mask : tensor of bool of shape (out_features, in_features), optional
        The places of the weights that are stored, in place of `sparsity`.
    activation : str, optional
        Is applied last, as in `spkernels.spmm`.
    workers : int, optional
        The largest number of threads; by default `torch.get_num_threads`.
    dtype : torch.dtype, optional
        float32, float64, float16 or bfloat16; by default `torch.get_default_dtype`.
    device : torch.device, optional
        Where the parameters lie, by default `torch.get_default_device`; products need the CPU.
    generator : torch.Generator, optional
        The source of random places and values.

    Attributes
    ----------
    values : Parameter of shape (nnz,)
        The weights that are stored, row by row.  In modules that `sparsify_` makes this is a
        buffer, which no optimizer sees.
    columns : Tensor of shape (nnz,), int32
        The column of each value.
    offsets : Tensor of shape (out_features + 1,), int32
        The position of the first value of each row, and the number of values.
    bias : Parameter of shape (out_features,), or None
    weight : Tensor of shape (out_features, in_features)
        The weight as a dense tensor, which each access makes anew.  Gradients flow through it.
    mask : Tensor of bool of shape (out_features, in_features)
        The places of the weights that are stored; each access makes it anew.

    Raises
    ------
    TypeError, ValueError
        If `dtype` is none of these four, if `mask` has another shape or dtype, or if `sparsity` is
        no fraction.

    See Also
    --------
    sparsify_ : replaces the layers of a pruned model.

    Notes
    -----
    The names and the order of the first arguments are those of `torch.nn.Linear`.  So are the first
    values: they are uniform, to the inverse root of the mean number of values in a row.

    A product with a batch takes ``2 * nnz`` operations for each row, forward.  The gradient by
    `values` is a sampled product of the same number of operations, and so is that by the input.

    In evaluation mode, without gradients, the weight is packed by `spkernels.prepare` when its
    values come a second time.  Changes in place are noticed, except those through ``.data``: call
    `repack` after these.

    A state dict has `values`, `columns`, `offsets` and `bias`.  One of a layer of the same shape
    can be loaded even if its structure is another: the layer then has that structure.  Load it
    before an optimizer is made, as the number of values may change.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> layer = st.SparseLinear(64, 10, sparsity=0.9)
    >>> layer(torch.ones(3, 64)).shape
    torch.Size([3, 10])
    >>> layer
    SparseLinear(in_features=64, out_features=10, bias=True, nnz=64, sparsity=90.0%)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        sparsity: float = 0.9,
        mask: torch.Tensor | None = None,
        activation: str | None = None,
        workers: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        generator: torch.Generator | None = None,
    ):
        for name, count in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(count, int) or count < 0:
                raise ValueError(f"{name} must be an integer of at least 0, got {count!r}")
        csr = drawn((out_features, in_features), sparsity, mask, dtype, generator)
        made = None if not bias else nn.Parameter(csr.values.new_empty(out_features))
        self._set(csr, made, activation, workers, None, trained=True)
        self._begin(device, generator)

    @classmethod
    def of(
        cls,
        csr: Csr,
        bias: torch.Tensor | None,
        activation: str | None = None,
        workers: int | None = None,
        pattern: str | None = None,
        *,
        trained: bool,
    ) -> SparseLinear:
        """Return a layer of a weight in CSR; if it is not trained, its values are a buffer."""
        made = cls.__new__(cls)
        made._set(csr, bias, activation, workers, pattern, trained)
        return made

    @classmethod
    def from_linear(cls, layer: nn.Linear, *, workers: int | None = None) -> SparseLinear:
        """Return a layer that trains the weights of a dense one that are not zero.

        Parameters
        ----------
        layer : torch.nn.Linear
            Its weight may have a mask of `torch.nn.utils.prune`, or be a sparse tensor.
        workers : int, optional
            The largest number of threads.

        Returns
        -------
        SparseLinear
            It shares no memory with `layer`.

        Raises
        ------
        TypeError, ValueError
            If `layer` is no linear layer, or if its weight is parametrized, of another dtype, or
            not on the CPU.

        Examples
        --------
        >>> import torch
        >>> import spkernels.torch as st
        >>> dense = torch.nn.Linear(4, 2)
        >>> _ = torch.nn.utils.prune.l1_unstructured(dense, "weight", amount=0.5)
        >>> st.SparseLinear.from_linear(dense)
        SparseLinear(in_features=4, out_features=2, bias=True, nnz=4, sparsity=50.0%)
        """
        made = cls.of(*taken(layer, nn.Linear), None, workers, trained=True)
        return made.train(layer.training)

    def _set(self, csr, bias, activation, workers, pattern, trained):
        super().__init__(csr, bias, activation, workers, pattern, trained)
        self.in_features, self.out_features = csr.width, csr.offsets.shape[0] - 1
        self._packed: Packed | None = None
        # This layer and those that follow as one call.
        self._run: Run | None = None

    def describe(self) -> tuple[str, str]:
        """Return the patterns of the packed weight and the kernel that multiplies it."""
        return describe(self.prepared(1))

    def to_dense(self) -> nn.Linear:
        """Return a dense layer with the same weights; an activation is left out."""
        values, bias = self.values, self.bias is not None
        return self._given_to(
            nn.Linear(self.in_features, self.out_features, bias, values.device, values.dtype)
        )

    def prepared(self, n: int) -> spkernels.PreparedMatrix:
        """Return the packed weight, which is prepared for a batch of `n` rows if it is not yet."""
        weight = weight_of(self.values, self.columns, self.offsets, self.in_features)
        return weight.packed or weight.pack(n, threads_of(self.workers), self.pattern)

    def _drop(self):
        self._packed = self._run = None
        super()._drop()

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``activation(x @ W.T + bias + residual)``.

        Parameters
        ----------
        x : Tensor of shape (..., in_features)
            float32, float16 or bfloat16; float64 for a layer of float64.
        residual : Tensor of shape (..., out_features), optional
            Is added before the activation.

        Returns
        -------
        Tensor of shape (..., out_features)
            Of the dtype of `x`; sums are formed in float32 at least.
        """
        *weight, bias = self._tensors()
        return self._product(x, weight, bias, residual)

    def product(
        self, x: torch.Tensor, bias: torch.Tensor | None, residual: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return what `forward` returns, with another bias."""
        return self._product(x, self._tensors()[:3], bias, residual)

    def _product(self, x, tensors, bias, residual):
        values, columns, offsets = tensors
        weight = values, columns, offsets, self.in_features
        if not is_plain(x, values, bias, residual):
            return linear(x, *weight, bias, self.activation, residual, workers=self.workers)
        packed = self._packed
        if residual is None and packed is not None and packed.suits(x):
            if packed.is_current(values, columns, offsets, bias):
                return packed.linear(x, self.activation, self.workers)
        if values.is_inference() and not self.trained:
            self.leave_inference_mode()
            return self.product(x, bias, residual)
        pack = not (self.training and self.trained)
        result = linear_now(
            x, *weight, bias, self.activation, residual, False, self.workers, pack=pack,
            pattern=self.pattern,
        )  # fmt: skip
        self._packed = Packed.of(weight, bias) if pack else None
        return result

    def packed(self) -> Packed | None:
        """Return what is packed of the layer as it is now, or None if its next call packs."""
        packed = self._packed
        if packed is not None and packed.is_current(*self._tensors()):
            return packed
        return None

    def __getstate__(self) -> dict[str, Any]:
        # Another process packs anew.
        return {**self.__dict__, "_packed": None, "_run": None}

    def extra_repr(self) -> str:
        """Return the facts that ``print(model)`` shows."""
        return f"in_features={self.in_features}, out_features={self.out_features}, {self._facts()}"


def _refuse(module):
    return None


def _make(module, weights, activation, options: Options):
    return SparseLinear.of(
        weights[0], bias_of(module), activation, options.workers, options.pattern, trained=False
    )


def _example(module, batch):
    weight = module.weight
    return (torch.randn(batch, module.in_features, device=weight.device).to(weight.dtype),)


LINEAR = Family(
    (nn.Linear,), lambda module: ("weight",), lambda module: ("bias",), _refuse, _make, _example,
    fuses=True, make_int8=make_int8, observe=observe,
)  # fmt: skip
