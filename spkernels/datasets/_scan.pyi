import numpy as np
from numpy.typing import NDArray

FAILURES: tuple[str, ...]

def scan(
    text: bytes,
    begin: int,
    stop: int,
    sizes: tuple[int, ...],
    reals: int,
    limits: tuple[int, ...],
    lines: int,
    positions: NDArray[np.int64],
    integers: NDArray[np.uint64],
    written: NDArray[np.uint8],
) -> tuple[int, int, str, int, int]: ...
