"""`SparseConv1d` and `SparseConv2d`, which stand for PyTorch's convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import spkernels

from .._eager import is_plain
from .._kept import Kept
from .._ops import Plan, conv
from .._packed import can_keep
from .._parts import parts_of
from .._threads import threads_of
from .._weights import Csr, bias_of
from .family import Family, Options, describe
from .layer import SparseLayer, drawn, taken

__all__ = ["CONV", "SparseConv1d", "SparseConv2d"]

#: The plans that a layer keeps, one for each shape of its input.
_MAX_PLANS = 16
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _SparseConv(SparseLayer):
    """What the convolutions have in common; `_rank` is the number of their dimensions."""

    _rank: int
    _dense: type[nn.Conv1d] | type[nn.Conv2d]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        sparsity: float = 0.9,
        mask: torch.Tensor | None = None,
        activation: str | None = None,
        workers: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        generator: torch.Generator | None = None,
    ):
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide in_channels {in_channels} and out_channels {out_channels}, "
                f"got {groups}"
            )
        kernel = self._each("kernel_size", kernel_size)
        shape = (out_channels, in_channels // groups, *kernel)
        csr = drawn(shape, sparsity, mask, dtype, generator)
        made = None if not bias else nn.Parameter(csr.values.new_empty(out_channels))
        self._set(
            csr, made, stride, padding, dilation, groups, padding_mode, activation, workers, None,
            trained=True,
        )  # fmt: skip
        self._begin(device, generator)

    @classmethod
    def of(
        cls,
        layer: nn.Conv1d | nn.Conv2d,
        csr: Csr,
        bias: torch.Tensor | None,
        activation: str | None = None,
        workers: int | None = None,
        pattern: str | None = None,
        *,
        trained: bool,
    ) -> Any:
        """Return a layer like a dense one with a weight in CSR; a buffer if it is not trained."""
        made = cls.__new__(cls)
        made._set(
            csr, bias, layer.stride, layer.padding, layer.dilation, layer.groups,
            layer.padding_mode, activation, workers, pattern, trained=trained,
        )  # fmt: skip
        return made

    @classmethod
    def from_conv(cls, layer: Any, *, workers: int | None = None) -> Any:
        """Return a layer that trains the weights of a dense one that are not zero.

        Parameters and errors are those of `SparseLinear.from_linear`; `layer` is a convolution of
        as many dimensions.
        """
        made = cls.of(layer, *taken(layer, cls._dense), None, workers, trained=True)
        return made.train(layer.training)

    def _set(self, csr, bias, stride, padding, dilation, groups, padding_mode, activation, workers,
             pattern, *, trained):  # fmt: skip
        super().__init__(csr, bias, activation, workers, pattern, trained)
        self.out_channels, self.in_channels = csr.shape[0], csr.shape[1] * groups
        self.kernel_size = csr.shape[2:]
        self.stride = self._each("stride", stride)
        self.dilation = self._each("dilation", dilation)
        self.groups = groups
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {', '.join(_PADDING_MODES)}, got {padding_mode!r}"
            )
        self.padding_mode = padding_mode
        self.padding = padding if isinstance(padding, str) else self._each("padding", padding)
        before, after = self._sides()
        # What the operator does itself, and what is padded before it, as `F.pad` takes it.
        self._inner = before if padding_mode == "zeros" and before == after else (0,) * self._rank
        pairs = zip(reversed(before), reversed(after), strict=True)
        self._outer = [] if self._inner == before else [size for pair in pairs for size in pair]
        self._mode = "constant" if padding_mode == "zeros" else padding_mode
        self._kept: Kept | None = None
        self._plans: dict[Any, Plan] = {}

    @classmethod
    def _each(cls, name, value):
        """Return an argument as a tuple with one number for each dimension."""
        made = (value,) * cls._rank if isinstance(value, int) else tuple(value)
        if len(made) != cls._rank:
            raise ValueError(f"{name} must be an int or {cls._rank} of them, got {value!r}")
        return made

    def _sides(self):
        """Return the padding before and after the input, for each dimension."""
        if not isinstance(self.padding, str):
            return self.padding, self.padding
        if self.padding == "valid":
            return (0,) * self._rank, (0,) * self._rank
        if self.padding != "same" or any(step != 1 for step in self.stride):
            raise ValueError(
                "padding must be numbers, 'valid', or 'same' with stride 1, got "
                f"{self.padding!r} with stride {self.stride}"
            )
        totals = [step * (size - 1)
                  for step, size in zip(self.dilation, self.kernel_size, strict=True)]  # fmt: skip
        before = tuple(total // 2 for total in totals)
        return before, tuple(total - half for total, half in zip(totals, before, strict=True))

    def to_dense(self) -> Any:
        """Return a dense layer with the same weights; an activation is left out."""
        return self._given_to(self._dense(
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding,
            self.dilation, self.groups, self.bias is not None, self.padding_mode,
            self.values.device, self.values.dtype,
        ))  # fmt: skip

    def describe(self) -> tuple[str, str]:
        """Return the patterns of the packed weight and the kernels that multiply it.

        These are the kernels of the last input that a plan was made for.
        """
        last = next(reversed(self._plans.values()), None)
        kernel = None if last is None else last.describe()
        return ("", kernel) if kernel is not None else describe(*self.prepared(1))

    def prepared(self, n: int) -> list[spkernels.PreparedMatrix]:
        """Return the packed matrices of the weight; those that are not yet are for `n` columns."""
        csr = self.csr
        kernel = (1, *self.kernel_size)[-2:]
        parts = parts_of(csr.values, csr.columns, csr.offsets, csr.width, kernel, self.groups)
        pattern, threads = parts.pattern(self.pattern), threads_of(self.workers)
        weights = [part.weight for group in parts.groups for part in group if part.nnz]
        return [weight.packed or weight.pack(n, threads, pattern) for weight in weights]

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``activation(conv(x, W) + bias + residual)``.

        Parameters
        ----------
        x : Tensor of shape (n, in_channels, ...) or (in_channels, ...)
            float32, float16 or bfloat16; float64 for a layer of float64.
        residual : Tensor of the shape of the result, optional
            Is added before the activation.

        Returns
        -------
        Tensor of shape (n, out_channels, ...) or (out_channels, ...)
            Of the dtype and the memory format of `x`; sums are formed in float32 at least.
        """
        values, columns, offsets, bias = self._tensors()
        plain = is_plain(x, values, bias, residual)
        if plain and not self.trained and values.is_inference():
            self.leave_inference_mode()
            values, columns, offsets, bias = self._tensors()
        if self._outer:
            x = F.pad(x, self._outer, self._mode)
        weight = values, columns, offsets
        sizes = self.kernel_size, self.stride, self._inner, self.dilation, self.groups
        if not plain:
            return conv(x, *weight, *sizes, bias, self.activation, residual, self.workers)
        kept = self._kept if residual is None else None
        if kept is not None and kept.is_current(values, columns, offsets, bias):
            plan = self._plans.get((x.shape, x.stride(), x.dtype, self.activation))
            if plan is not None:
                return plan.run(x, None, self.workers)
        plan = Plan(
            x, weight, *sizes, bias, self.activation, residual, workers=self.workers,
            pack=not (self.training and self.trained), pattern=self.pattern,
        )  # fmt: skip
        if residual is None and plan.is_packed and can_keep(values, bias):
            self._keep(plan, x, weight, bias)
        return plan.run(x, residual, self.workers)

    def _keep(self, plan, x, weight, bias):
        """Keep a plan for inputs like `x` while the weight is as it is."""
        values, columns, offsets = weight
        if self._kept is None or not self._kept.is_current(values, columns, offsets, bias):
            self._kept, self._plans = Kept(weight, bias), {}
        elif len(self._plans) >= _MAX_PLANS:
            self._plans = {}
        self._plans[x.shape, x.stride(), x.dtype, self.activation] = plan

    def _drop(self):
        self._kept, self._plans = None, {}
        super()._drop()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None, "_plans": {}}  # another process packs anew

    def extra_repr(self) -> str:
        """Return the facts that ``print(model)`` shows."""
        facts = [str(self.in_channels), str(self.out_channels),
                 f"kernel_size={self.kernel_size}", f"stride={self.stride}"]  # fmt: skip
        if self.padding not in (0, (0,) * self._rank):
            facts.append(f"padding={self.padding!r}")
        if self.dilation != (1,) * self._rank:
            facts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            facts.append(f"groups={self.groups}")
        if self.padding_mode != "zeros":
            facts.append(f"padding_mode={self.padding_mode}")
        return ", ".join([*facts, self._facts()])


class SparseConv2d(_SparseConv):
    """A convolution of two dimensions whose weight is sparse, with a fixed structure.

    An optimizer sees a vector of the values that are stored, and the structure never changes.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        As in `torch.nn.Conv2d`.
    sparsity : float, optional
        The share of the weights that are zero, from 0 to 1.  Their places are drawn at random.
    mask : tensor of bool of shape (out_channels, in_channels / groups, height, width), optional
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
        The weights that are stored, filter by filter.  In modules that `sparsify_` makes this is a
        buffer, which no optimizer sees.
    columns : Tensor of shape (nnz,), int32
        The place of each value in its filter, ``(channel * height + row) * width + column``.
    offsets : Tensor of shape (out_channels + 1,), int32
        The position of the first value of each filter, and the number of values.
    bias : Parameter of shape (out_channels,), or None
    weight : Tensor of shape (out_channels, in_channels / groups, height, width)
        The weight as a dense tensor, which each access makes anew.  Gradients flow through it.

    See Also
    --------
    SparseLinear : a linear layer; what is said there about packing holds here as well.

    Notes
    -----
    A kernel of one element with stride 1 is a product with the input as it is.  Otherwise blocks of
    the input are copied once for each column of the kernel, and each of its rows is a product.
    With few weights for each output, rows of the input overlap in one product, without copies.

    The gradients are those of a dense convolution, at the places that are stored.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> layer = st.SparseConv2d(16, 8, 3, padding=1, sparsity=0.75)
    >>> layer(torch.ones(2, 16, 10, 10)).shape
    torch.Size([2, 8, 10, 10])
    """

    _rank = 2
    _dense = nn.Conv2d


class SparseConv1d(_SparseConv):
    """A convolution of one dimension whose weight is sparse, with a fixed structure.

    Parameters and attributes are those of `SparseConv2d` with one dimension in place of two.

    See Also
    --------
    SparseConv2d : has two dimensions.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> layer = st.SparseConv1d(16, 8, 5, padding="same", sparsity=0.75)
    >>> layer(torch.ones(2, 16, 100)).shape
    torch.Size([2, 8, 100])
    """

    _rank = 1
    _dense = nn.Conv1d


def _refuse(module):
    if module.groups == module.in_channels > 1:
        return "a depthwise filter has one channel, and so too few weights for a sparse kernel"
    return None


def _make(module, weights, activation, options: Options):
    kind = SparseConv2d if isinstance(module, nn.Conv2d) else SparseConv1d
    return kind.of(
        module, weights[0], bias_of(module), activation, options.workers, options.pattern,
        trained=False,
    )  # fmt: skip


def _example(module, batch):
    return None


CONV = Family(
    (nn.Conv1d, nn.Conv2d), lambda module: ("weight",), lambda module: ("bias",), _refuse, _make,
    _example, fuses=True, folds=True,
)  # fmt: skip
