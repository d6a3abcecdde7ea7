"""A linear layer with a sparse weight that is trained: Y = X @ W.T + bias."""

import torch

import spkernels.cuda


class Product(torch.autograd.Function):
    """X @ W.T, with gradients with respect to X and to the values of W."""

    @staticmethod
    def forward(ctx, X, values, W):
        """Multiply by W with these values."""
        W.update_values(values.detach())
        ctx.W = W
        ctx.save_for_backward(X)
        return X @ W.T

    @staticmethod
    def backward(ctx, dY):
        """Return the gradients of X and of the values."""
        (X,) = ctx.saved_tensors
        dY = dY.contiguous()
        # The gradient of the weight, dY.T @ X, at the entries of W alone.
        return dY @ ctx.W, ctx.W.sddmm(dY.t(), X), None


class SparseLinear(torch.nn.Module):
    """Trains the entries of a CSR matrix, and the bias; ``.cuda()`` moves both to the GPU."""

    def __init__(self, weight, bias, dtype):
        super().__init__()
        self.W = spkernels.cuda.prepare(weight, dtype, op=("spmm", "sddmm"), transpose=True)
        self.values = torch.nn.Parameter(torch.tensor(weight.data, dtype=dtype))
        self.bias = torch.nn.Parameter(torch.tensor(bias, dtype=dtype))

    def forward(self, X):
        """Return X @ W.T + bias."""
        return Product.apply(X, self.values, self.W) + self.bias
