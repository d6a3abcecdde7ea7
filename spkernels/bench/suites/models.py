"""Whole networks with pruned weights, as users run them."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.sparse import csr_array

from ... import prune
from ..cells import SEED, Matrix
from ..ops.networks import NETWORKS
from .common import product

NAME = "models"
TITLE = "Networks"
SUFFIXES = ()

SPARSITIES = (0.0, 0.8, 0.9, 0.95)
#: The sparsity of weights that are pruned by blocks of 16 x 1, and the networks that are.
IN_BLOCKS = 0.95
BLOCK = (16, 1)
BLOCKED = ("MLP", "encoder layer, 128 tokens", "LSTM", "GRU")
BATCHES = {
    "MLP": (1, 8, 32, 128),
    "encoder layer, 128 tokens": (1, 8),
    "encoder layer, 384 tokens": (1, 8),
    "encoder of 6 layers, 128 tokens": (1, 8),
    "LSTM": (1,),
    "GRU": (1,),
    "ResNet bottleneck": (1, 8, 32),
    "GSC": (1, 8, 32, 128),
    "ResNet-50": (1, 8),
}
#: The networks and the batches of a quick run, at 90%.
QUICK = ("MLP", "ResNet bottleneck")
QUICK_BATCHES = (1, 8)


def weights(network, prune_):
    """Return the weights of a network in one row, each pruned by `prune_` on its own.

    A weight is normal, and scaled such that activations keep their size.
    """
    # torch is imported when networks are measured.
    from .. import networks

    rng = np.random.default_rng(SEED)
    values, indices, offset = [], [], 0
    for rows, *others in networks.weight_shapes(network):
        weight = rng.standard_normal((rows, np.prod(others)), np.float32)
        kept = np.flatnonzero(prune_(weight).mask)
        entries = weight.ravel()[kept]
        values.append(entries * np.sqrt(rows / (entries @ entries)))
        indices.append(offset + kept)
        offset += weight.size
    arrays = (np.concatenate(values), np.concatenate(indices))
    return csr_array((*arrays, [0, arrays[0].size]), shape=(1, offset))


def _scattered(network, sparsity):
    return weights(network, partial(prune.magnitude, sparsity=sparsity))


def _blocks(network, sparsity):
    return weights(network, partial(prune.block, shape=BLOCK, sparsity=sparsity))


def matrices(options):
    """Yield the weights of each network at 0 to 95%, and some of them in blocks.

    If sparsities are asked for, the weights have these, and none are in blocks.
    """
    usual = SPARSITIES[2:3] if options.quick else SPARSITIES
    for network in QUICK if options.quick else NETWORKS:
        for sparsity in usual if options.sparsities is None else options.sparsities:
            name = f"{network}, {100 * sparsity:g}%"
            yield Matrix(name, network, partial(_scattered, network, sparsity))
        if network in BLOCKED and not options.quick and options.sparsities is None:
            name = f"{network}, {100 * IN_BLOCKS:g}% as {BLOCK[0]} x {BLOCK[1]}"
            yield Matrix(name, network, partial(_blocks, network, IN_BLOCKS))


def cells(found, options):
    """Yield cells of the batches of each network."""
    for matrix in found:
        batches = QUICK_BATCHES if options.quick else BATCHES[matrix.kind]
        yield from product(NAME, [matrix], {matrix.kind: batches}, options)
