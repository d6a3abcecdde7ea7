"""A reader of sparse matrices in ``.npz`` files: those of scipy, and those of graph data sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from .._inputs.scalars import as_count
from .._runtime.npz import Archive
from ._keys import pick
from ._layouts import LAYOUTS, build

__all__ = ["npz_keys", "read_npz"]

# Where a file states no format, the names of the arrays give it; "indptr" stands for CSR then.
_BY_ARRAYS = {"indptr": "csr", "row": "coo", "offsets": "dia", "coords": "coo"}
_SEPARATORS = "._/-:"


@dataclass(frozen=True)
class _Group:
    """The arrays of one matrix: the arrays of an archive whose names begin with a prefix."""

    archive: Archive
    prefix: str

    def get(self, part: str) -> np.ndarray:
        name = self.prefix + part
        if name not in self.archive:
            raise ValueError(f"expected an array {name}, found {_listing(self.archive)}")
        return self.archive[name]

    def __contains__(self, part: str) -> bool:
        return self.prefix + part in self.archive

    def layout(self) -> str:
        if "compressed_axes" in self:  # a GCXS array of pydata/sparse
            axes = self.get("compressed_axes").tolist()
            if axes not in ([0], [1]):
                raise ValueError(
                    f"expected {self.prefix}compressed_axes to be [0] or [1], found {axes}"
                )
            return "csr" if axes == [0] else "csc"
        if "format" not in self:
            return next(kind for part, kind in _BY_ARRAYS.items() if part in self)
        # Files of old versions of scipy store the format as Unicode, newer ones as bytes.
        name = self.get("format")
        text = name.item() if name.size == 1 else None
        text = text.decode("latin-1") if isinstance(text, bytes) else text
        if text not in LAYOUTS:
            raise ValueError(
                f"expected {self.prefix}format to be one of {', '.join(LAYOUTS)}, found {text!r}"
            )
        return text

    def shape(self) -> tuple[int, int]:
        sizes, name = self.get("shape"), f"{self.prefix}shape"
        if sizes.shape != (2,):
            raise ValueError(
                f"expected a matrix of two dimensions, found {name} {sizes.ravel()[:8].tolist()}"
            )
        if sizes.dtype.kind not in "iu":
            raise ValueError(f"expected integers as {name}, found dtype {sizes.dtype}")
        rows, cols = (as_count(name, size, 0) for size in sizes)
        return rows, cols

    def check_fill_value(self) -> None:
        """Raise ValueError if the value of unstored elements, which pydata/sparse has, is not 0."""
        if "fill_value" in self:
            found = self.get("fill_value").tolist()
            if found != 0:
                raise ValueError(f"expected {self.prefix}fill_value to be 0, found {found}")

    def matrix(self) -> csr_array:
        shape, layout = self.shape(), self.layout()
        self.check_fill_value()
        arrays = {"data": self.get("data")}
        if layout == "coo" and "coords" in self:
            coords = self.get("coords")
            if coords.ndim != 2 or len(coords) != 2:
                raise ValueError(f"expected two rows of coords, found shape {coords.shape}")
            arrays["row"], arrays["col"] = coords
        else:
            arrays |= {name: self.get(name) for name in LAYOUTS[layout]}
        return build(layout, arrays, shape)


def _listing(archive: Archive) -> str:
    names = [repr(name) for name in archive]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"the arrays {', '.join(names[:20])}{more}" if names else "no arrays"


def _groups(archive: Archive) -> dict[str, _Group]:
    """Return the arrays of each matrix by its key, in the order of the file."""
    prefixes = {
        name.removesuffix(part): None
        for name in archive
        for part in _BY_ARRAYS
        if name.endswith(part)
    }
    groups = [_Group(archive, prefix) for prefix in prefixes]
    # Names of other arrays may end in "row" by chance.  A matrix has values or at least offsets; if
    # its values are missing, an error will say so.
    groups = [group for group in groups if "data" in group or "indptr" in group]
    keys = [group.prefix.rstrip(_SEPARATORS) for group in groups]
    if len(set(keys)) < len(keys):
        keys = [group.prefix for group in groups]
    return dict(zip(keys, groups, strict=True))


def npz_keys(content: bytes) -> list[str]:
    """Return the names of the matrices; an empty list for a single matrix without a prefix."""
    keys = list(_groups(Archive(content)))
    return [] if keys == [""] else keys


def read_npz(content: bytes, key: str | None) -> csr_array:
    """Read a file of `scipy.sparse.save_npz`, or a file with such arrays under prefixed names."""
    archive = Archive(content)
    groups = _groups(archive)
    if not groups:
        raise ValueError(
            "expected a sparse matrix as arrays data, indices, indptr and shape, with or without "
            f"a prefix, found {_listing(archive)}"
        )
    return groups[pick(key, list(groups))].matrix()
