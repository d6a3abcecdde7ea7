"""A progress bar on stderr, if stderr is a terminal and tqdm is installed."""

from __future__ import annotations

import sys
from types import TracebackType


class Progress:
    """Counts steps; `write` and `warn` print lines without damage to the bar."""

    def __init__(self, total: int) -> None:
        self._bar = None
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=total, unit="product", leave=False, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def describe(self, text: str) -> None:
        """Show the text of the next step."""
        if self._bar is not None:
            self._bar.set_description_str(text)

    def step(self, count: int = 1) -> None:
        """Move the bar by `count` steps."""
        if self._bar is not None:
            self._bar.update(count)

    def write(self, text: str) -> None:
        """Print a text on stdout."""
        self._print(text, sys.stdout)

    def warn(self, text: str) -> None:
        """Print a text on stderr."""
        self._print(text, sys.stderr)

    def _print(self, text, file) -> None:
        if self._bar is None:
            print(text, file=file, flush=True)
        else:
            self._bar.write(text, file=file)
