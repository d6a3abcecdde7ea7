"""The grid of blocks that a BigBird mask consists of."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from scipy.sparse import csr_array

from .._inputs.assemble import INT32_MAX, from_positions, ranges
from .._inputs.scalars import RNG, as_count, as_generator, as_sparsity, kept
from ._sampling import sample_rows

__all__ = ["bigbird_blocks", "window_runs"]

_BLOCK_SIZES = (64, 32, 16, 8, 4, 2, 1)


def bigbird_blocks(
    n: int,
    block_size: int | None = None,
    *,
    window_blocks: int,
    global_blocks: int,
    random_blocks: int | None,
    sparsity: float | None = None,
    rng: RNG = None,
) -> tuple[csr_array, int]:
    """Return the grid of a BigBird mask's blocks, and the side of a block in tokens.

    The public functions `masks.bigbird` and `datasets.bigbird_mask` document the arguments.
    """
    n = as_count("n", n, 1, INT32_MAX)
    window_blocks = as_count("window_blocks", window_blocks)
    if window_blocks % 2 == 0:
        raise ValueError(f"window_blocks must be odd, got {window_blocks}")
    global_blocks = as_count("global_blocks", global_blocks, 0)
    rng = as_generator(rng)
    if sparsity is None:
        random_blocks = 3 if random_blocks is None else as_count("random_blocks", random_blocks, 0)
        grid = _Grid(n, 64 if block_size is None else block_size, window_blocks, global_blocks)
        extra = np.minimum(grid.free, random_blocks)
    elif random_blocks is None:
        grid, budget = _fitting_grid(n, block_size, window_blocks, global_blocks, sparsity)
        extra = _spread(rng, grid.free, budget)
    else:
        raise ValueError(f"random_blocks must be None together with sparsity, got {random_blocks}")
    flat = sample_rows(rng, grid.size, extra, grid.fixed)
    ones = np.ones(flat.size, dtype=bool)
    return from_positions(flat, ones, (grid.size, grid.size)), grid.block_size


class _Grid:
    """The blocks that window and global attention fill, and the number of free blocks per row."""

    def __init__(self, n: int, block_size: int, window_blocks: int, global_blocks: int) -> None:
        self.block_size = as_count("block_size", block_size)
        if n % self.block_size:
            raise ValueError(f"n must be a multiple of the block size {self.block_size}, got {n}")
        self.size = n // self.block_size
        first = min(global_blocks, self.size)
        starts, stops = window_runs(self.size, window_blocks // 2)
        starts[:first], stops[:first] = first, self.size
        starts, stops = np.maximum(starts, first), np.maximum(stops, first)
        corner = np.arange(self.size) * self.size
        # Every row of blocks begins with the global columns.  The runs [starts, stops) hold what
        # follows: the rest of a global row, or the window of any other row.
        self.fixed = np.sort(
            np.concatenate(
                [
                    ranges(corner, np.full(self.size, first)),
                    ranges(corner + starts, stops - starts),
                ]
            )
        )
        self.free = self.size - first - (stops - starts)


def _fitting_grid(
    n: int, block_size: int | None, window_blocks: int, global_blocks: int, sparsity: float
) -> tuple[_Grid, int]:
    """Return the grid for a target sparsity, and the number of random blocks that reach it.

    A caller who names no block size gets the largest one that leaves a random block to every row
    of blocks that has room for one.
    """
    sparsity = as_sparsity(sparsity)
    sizes = [b for b in _BLOCK_SIZES if n % b == 0] if block_size is None else [block_size]
    for size in sizes:
        grid = _Grid(n, size, window_blocks, global_blocks)
        least = grid.fixed.size
        if block_size is None:
            least += int(np.count_nonzero(grid.free))
        if kept(grid.size**2, sparsity) >= least:
            return grid, kept(grid.size**2, sparsity) - grid.fixed.size
    raise ValueError(
        f"sparsity must be at most {1 - least / grid.size**2:.4f}, which is what the window and "
        f"the global blocks leave at block size {grid.block_size} and n = {n}, got {sparsity}"
    )


def _spread(rng: np.random.Generator, free: np.ndarray, budget: int) -> np.ndarray:
    """Split `budget` blocks over the rows as evenly as their numbers of `free` places allow.

    Returns the number of blocks of each row.  Rows that get one block more are drawn at random.
    """
    level = bisect_right(
        range(free.max(initial=0) + 1), budget, key=lambda k: np.minimum(free, k).sum()
    )
    extra = np.minimum(free, level - 1)
    higher = rng.choice(np.flatnonzero(free >= level), budget - extra.sum(), replace=False)
    extra[higher] += 1
    return extra


def window_runs(n: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first column of each row's window, and the column after its last one."""
    rows = np.arange(n)
    return np.maximum(rows - radius, 0), np.minimum(rows + radius + 1, n)
