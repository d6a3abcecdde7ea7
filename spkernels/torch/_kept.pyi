from typing import Any

import torch
from torch import nn

def has_hooks(module: nn.Module) -> bool: ...

class Kept:
    def __init__(
        self,
        tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        bias: torch.Tensor | None,
    ) -> None: ...
    def is_current(
        self,
        values: torch.Tensor,
        columns: torch.Tensor,
        offsets: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> bool: ...

class Run:
    call: Any
    workers: int | None
    def __init__(
        self, modules: tuple[nn.Module, ...], kept: tuple[Kept | None, ...], call: Any
    ) -> None: ...
    def __len__(self) -> int: ...
    def covers(self, modules: tuple[nn.Module, ...], start: int = 0) -> bool: ...
