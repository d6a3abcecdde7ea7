"""Changes of a model that can be taken back: modules at their places, and settings of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from ._modules import (
    SparseSequential,
    SparseTransformerDecoderLayer,
    SparseTransformerEncoderLayer,
)
from ._modules.fused import Fused, FusedNorm, identity

__all__ = ["Place", "Swap", "places_of", "restore"]

#: The attribute of a layer that holds the values of settings as they were.
_SETTINGS = "_dense_settings"
#: The classes of parents in which sparse modules pass arrays to each other.
_CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    nn.Sequential: SparseSequential,
    nn.TransformerEncoderLayer: SparseTransformerEncoderLayer,
    nn.TransformerDecoderLayer: SparseTransformerDecoderLayer,
}
_DENSE_CLASSES = {sparse: dense for dense, sparse in _CLASSES.items()}


@dataclass(frozen=True)
class Place:
    """A place of a module: its parent and its name there."""

    parent: nn.Module
    name: str


def places_of(model: nn.Module) -> dict[nn.Module, list[Place]]:
    """Return all places of each module in the model; one that is shared has several."""
    places: dict[nn.Module, list[Place]] = {}
    for parent in model.modules():
        for name, child in parent._modules.items():
            if child is not None:
                places.setdefault(child, []).append(Place(parent, name))
    return places


class Swap:
    """Changes of a model; `make` and `undo` take turns."""

    def __init__(self) -> None:
        self._modules: list[tuple[Place, nn.Module, nn.Module]] = []
        self._settings: dict[nn.Module, dict[str, Any]] = {}
        # What `make` found, for `undo`.
        self._parents: list[nn.Module] = []
        self._before: dict[nn.Module, dict[str, Any]] = {}

    def put(self, place: Place, new: nn.Module) -> None:
        """Note a module for a place."""
        old = place.parent._modules[place.name]
        assert old is not None
        self._modules.append((place, old, new))
        layer = place.parent
        if isinstance(layer, nn.TransformerEncoderLayer):
            # Its fused path reads dense weights, and never calls the modules.
            self._settings.setdefault(layer, {})["activation_relu_or_gelu"] = 0

    def fuse(self, place: Place) -> None:
        """Note that the norm or the activation at a place is computed by the module before it."""
        module = place.parent._modules.get(place.name)
        if module is None:  # a function, which is an attribute of a layer
            self._settings.setdefault(place.parent, {})[place.name] = identity
        else:
            is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
            self.put(place, (FusedNorm if is_norm else Fused)(module))

    def keep_padding(self, model: nn.Module) -> None:
        """Note that encoders must not pass nested tensors to layers that were changed."""
        for encoder in model.modules():
            if isinstance(encoder, nn.TransformerEncoder):
                if any(layer in self._settings for layer in encoder.layers):
                    self._settings.setdefault(encoder, {})["use_nested_tensor"] = False

    def make(self) -> None:
        """Make the changes."""
        for place, _, new in self._modules:
            place.parent._modules[place.name] = new
            if type(place.parent) in _CLASSES:
                place.parent.__class__ = _CLASSES[type(place.parent)]
                self._parents.append(place.parent)
        for layer, settings in self._settings.items():
            own = layer.__dict__
            earlier = own.get(_SETTINGS, {})  # of a swap before this one, which restores first
            self._before[layer] = {name: own[name] for name in (*settings, *earlier)}
            self._before[layer][_SETTINGS] = earlier
            own[_SETTINGS] = {**{name: own[name] for name in settings}, **earlier}
            own.update(settings)

    def copy_modes(self) -> None:
        """Give new modules the training mode of those that they stand for."""
        for _, old, new in self._modules:
            new.train(old.training)

    def undo(self) -> None:
        """Take the changes back."""
        for place, old, _ in self._modules:
            place.parent._modules[place.name] = old
        for parent in self._parents:
            parent.__class__ = _DENSE_CLASSES[type(parent)]
        for layer, before in self._before.items():
            layer.__dict__.update(before)
        self._parents.clear()
        self._before.clear()


def restore(layer: nn.Module) -> None:
    """Give a layer the class and the settings that it had before a swap."""
    layer.__class__ = _DENSE_CLASSES.get(type(layer), type(layer))
    layer.__dict__.update(layer.__dict__.pop(_SETTINGS, {}))
