"""The times of calls that are compared, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["times_of"]

#: Calls of each function that are made before any is timed: the second call packs.
_WARM = 3
#: The seconds that one function is called in a turn, and in all turns.
_TURN_SECONDS = 0.002
_SECONDS = 0.05
_MIN_TURNS = 3
_MAX_SECONDS = 4.0


def times_of(functions: list[Callable[[], Any]]) -> list[float]:
    """Return the shortest time of a call of each function, in seconds.

    The functions are called in turns, so that a disturbance meets all of them.  The first call of a
    turn is not counted: it finds the caches as another function left them.
    """
    with torch.no_grad():
        for function in functions:
            for _ in range(_WARM):
                function()
        best = [float("inf")] * len(functions)
        begin, turns = time.perf_counter(), 0
        while True:
            for place, function in enumerate(functions):
                best[place] = min(best[place], _turn(function))
            turns += 1
            spent = time.perf_counter() - begin
            if spent > _MAX_SECONDS or (
                turns >= _MIN_TURNS and spent > _SECONDS * len(functions)
            ):
                return best


def _turn(function):
    """Return the shortest time of the calls of a turn."""
    function()
    best, end = float("inf"), time.perf_counter() + _TURN_SECONDS
    while True:
        start = time.perf_counter()
        function()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best
