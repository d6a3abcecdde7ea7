"""Patterns that are made: attention masks, and columns that rows share, as pruning makes them."""

import numpy as np
import scipy.sparse as sp


def with_values(mask, rng):
    """Return a boolean matrix as CSR with normal values."""
    A = sp.csr_matrix(mask, dtype=np.float64)
    A.data[:] = rng.standard_normal(A.nnz)
    return A


def chosen(rows, cols, keep, rng):
    """So many columns of each row, at random."""
    order = np.argpartition(rng.random((rows, cols)), keep - 1, axis=1)
    grid = np.zeros((rows, cols), bool)
    np.put_along_axis(grid, order[:, :keep], True, axis=1)
    return grid


def window(n, density, rng):
    """A band around the diagonal."""
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    # A band of radius r holds about 2 r / n - (r / n)**2 of all positions.
    return distance <= n * (1 - np.sqrt(1 - density))


def global_tokens(n, density, rng):
    """The first tokens see all, and all see them."""
    count = max(1, round(n * (1 - np.sqrt(1 - density))))
    mask = np.zeros((n, n), bool)
    mask[:count] = mask[:, :count] = True
    return mask


def bigbird(n, density, rng):
    """Blocks: a window of three, a global row and column, the others at random.

    Of the largest size up to 64 whose window and global blocks leave room.
    """
    for block in (64, 32, 16, 8, 4, 2, 1):
        size = max(n // block, 1)
        grid = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) <= 1
        grid[0] = grid[:, 0] = True
        if grid.mean() <= density:
            break
    free = np.flatnonzero(~grid)
    more = min(free.size, max(0, round(density * size * size) - int(grid.sum())))
    grid.flat[rng.choice(free, more, replace=False)] = True
    return np.kron(grid, np.ones((block, block), bool))


def scattered(n, density, rng):
    """As many random keys for each query."""
    return chosen(n, n, max(1, round(n * density)), rng)


MASKS = {"window": window, "global": global_tokens, "bigbird": bigbird, "random": scattered}


def blocks(rows, cols, density, rng, height=16, width=16):
    """Whole blocks, each row of blocks with as many."""
    keep = max(1, round(cols // width * density))
    grid = chosen(rows // height, cols // width, keep, rng)
    return np.kron(grid, np.ones((height, width), bool))


def shared_nm(rows, cols, density, rng, height=16):
    """N:M, the N columns shared by 16 rows: one or more of every so many columns."""
    m = round(1 / density)
    groups = cols // m
    kept = np.arange(groups) * m + rng.integers(0, m, (rows // height, groups))
    grid = np.zeros((rows // height, cols), bool)
    np.put_along_axis(grid, kept, True, axis=1)
    return np.repeat(grid, height, axis=0)


SHARED = {
    "blocks-16x16": blocks,
    "vectors-16x1": lambda *a: blocks(*a, height=16, width=1),
    "vectors-8x1": lambda *a: blocks(*a, height=8, width=1),
    "nm-shared-16": shared_nm,
}
