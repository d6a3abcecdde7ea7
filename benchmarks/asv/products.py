"""Products at a few sizes, for a history of their times."""

import numpy as np

from spkernels import datasets, prepare, sddmm, spmm


class Layers:
    """Pruned layers times a batch."""

    params = ([0.7, 0.9, 0.98], [1, 8, 32, 128, 512], [1, 2])
    param_names = ("sparsity", "N", "workers")

    def setup(self, sparsity, n, workers):
        self.A = datasets.magnitude_pruned(2048, 512, sparsity, rng=0)
        self.B = np.ones((512, n), np.float32)
        self.X = np.ones((n, 2048), np.float32)

    def time_sparse_dense(self, sparsity, n, workers):
        spmm(self.A, self.B, workers=workers)

    def time_dense_sparse(self, sparsity, n, workers):
        spmm(self.X, self.A, workers=workers)


class Prepared:
    """The same with layers that were packed, by the model's choice, and what packing takes."""

    params = ([0.7, 0.9, 0.98], [1, 32, 512])
    param_names = ("sparsity", "N")

    def setup(self, sparsity, n):
        self.A = datasets.magnitude_pruned(2048, 512, sparsity, rng=0)
        self.B = np.ones((512, n), np.float32)
        self.X = np.ones((n, 512), np.float32)
        self.W = prepare(self.A, n=n, tune=False)
        _ = self.W @ self.B

    def time_product(self, sparsity, n):
        self.W @ self.B

    def time_linear_layer(self, sparsity, n):
        self.X @ self.W.T

    def time_prepare(self, sparsity, n):
        prepare(self.A, n=n, tune=False)


class Graphs:
    """Power-law graphs times a vector and features."""

    params = ([3000, 100_000], [1, 32, 128])
    param_names = ("nodes", "N")

    def setup(self, nodes, n):
        self.A = datasets.power_law_graph(nodes, 10, rng=0)
        self.B = np.ones((nodes, n), np.float32)

    def time_spmm(self, nodes, n):
        spmm(self.A, self.B)


class Masks:
    """Sampled products at attention masks."""

    params = (["window", "random"], [0.7, 0.95], [64, 128])
    param_names = ("mask", "sparsity", "k")

    def setup(self, kind, sparsity, k):
        if kind == "window":
            self.P = datasets.window_mask(1024, sparsity=sparsity)
        else:
            self.P = datasets.random_mask(1024, sparsity=sparsity, rng=0)
        self.X = np.ones((1024, k), np.float32)

    def time_sddmm(self, kind, sparsity, k):
        sddmm(self.P, self.X, self.X.T)


class Calls:
    """What a call costs."""

    params = (["csr", "csc", "coo", "bsr"], ["plain", "out", "bias"])
    param_names = ("format", "options")

    def setup(self, format, options):
        self.A = datasets.random_pruned(10, 10, 0.7, rng=0).asformat(format)
        self.B = np.ones((10, 4), np.float32)
        out = np.empty((10, 4), np.float32)
        bias = np.ones(4, np.float32)
        self.options = {"plain": {}, "out": {"out": out}, "bias": {"bias": bias}}[options]

    def time_spmm(self, format, options):
        spmm(self.A, self.B, **self.options)

    def peakmem_spmm(self, format, options):
        spmm(self.A, self.B, **self.options)
