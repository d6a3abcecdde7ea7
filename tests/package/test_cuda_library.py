"""The numbers and structures of spkernels.cuda._library are those of include/spkernels/cuda.h."""

import ctypes
import re

import pytest
from conftest import ROOT

from spkernels.cuda import _library

INCLUDE = ROOT / "include" / "spkernels"
HEADERS = "".join((INCLUDE / name).read_text() for name in ("spkernels.h", "cuda.h"))
TEXT = re.sub(r"/\*.*?\*/|\\\n", " ", HEADERS, flags=re.DOTALL)

STRUCTURES = {
    "spk_sparse": _library.Sparse,
    "spk_epilogue": _library.Epilogue,
    "spk_sampling": _library.Sampling,
    "spk_cuda_desc": _library.Desc,
    "spk_cuda_dense": _library.Dense,
    "spk_cuda_device": _library.Device,
    "spk_cuda_attention": _library.Attention,
}
SCALARS = {
    "int": ctypes.c_int,
    "unsigned": ctypes.c_uint,
    "double": ctypes.c_double,
    "ptrdiff_t": ctypes.c_ssize_t,
    "size_t": ctypes.c_size_t,
    "void": None,
}


def numbers():
    """Every enum value and every numeric macro."""
    found = {}
    for body in re.findall(r"\benum\b[^{;]*\{(.*?)\}", TEXT, re.DOTALL):
        for name, value in re.findall(r"(\w+)\s*=\s*(\d+)", body):
            found[name] = int(value)
    for name, value in re.findall(r"^#define (\w+) (\d+)\b", TEXT, re.MULTILINE):
        found[name] = int(value)
    return found


def declared(text):
    """A name and its ctypes type, of `type name`, `type *name` or `type name[3]`."""
    text = " ".join(text.replace("const", " ").split())
    kind, stars, name, count = re.fullmatch(r"(\w+) ?(\**) ?(\w*)(?:\[(\d+)\])?", text).groups()
    if stars:
        pointed = STRUCTURES.get(kind)
        base = ctypes.POINTER(pointed) if pointed else ctypes.c_void_p
        base = {"char": ctypes.c_char_p, "size_t": ctypes.POINTER(ctypes.c_size_t)}.get(kind, base)
        if len(stars) == 2:
            base = ctypes.POINTER(ctypes.c_void_p)
    else:
        base = SCALARS[kind] if kind in SCALARS else ctypes.c_int  # an enum
    return name, base * int(count) if count else base


def fields(structure):
    (body,) = re.findall(rf"typedef struct {structure} \{{(.*?)\}} {structure};", TEXT, re.DOTALL)
    found = []
    for line in (line for line in body.split(";") if line.strip()):
        kind, names = re.fullmatch(r"\s*((?:const )?\w+ )(.*)", line.strip(), re.DOTALL).groups()
        found += [declared(kind + name.strip()) for name in names.split(",")]
    return found


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures(structure):
    assert [tuple(field) for field in STRUCTURES[structure]._fields_] == fields(structure)


def test_numbers():
    header = numbers()
    assert header["SPK_CUDA_ABI_VERSION"] == _library.ABI_VERSION
    short = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16"}
    pairs = [(f"SPK_CUDA_{short[name]}", value) for name, value in _library.DTYPES.items()]
    for prefix, table in (
        ("SPK_CUDA_", _library.PRECISIONS),
        ("SPK_CUDA_", _library.KERNELS),
        ("SPK_CUDA_", _library.OPERATIONS),
        ("SPK_", {name or "identity": value for name, value in _library.ACTIVATIONS.items()}),
    ):
        pairs += [(prefix + name.upper(), value) for name, value in table.items()]
    errors = [name for name in dir(_library) if name.startswith("ERR_")]
    for name in errors:
        prefix = "SPK_CUDA_" if getattr(_library, name) >= 100 else "SPK_"
        pairs.append((prefix + name, getattr(_library, name)))
    assert dict(pairs).items() <= header.items()
    # And nothing of the header is missing here.
    ours = {name for name in header if name.startswith("SPK_CUDA_")} - {"SPK_CUDA_ABI_VERSION"}
    assert ours == {name for name, _ in pairs if name.startswith("SPK_CUDA_")}


def test_functions():
    found = {}
    for result, name, arguments in re.findall(
        r"^((?:const )?\w+ \*?)(spk_cuda_\w+)\(([^;]*?)\);", TEXT, re.MULTILINE | re.DOTALL
    ):
        types = [declared(part)[1] for part in arguments.split(",") if part.strip() != "void"]
        found[name] = (declared(result)[1], types)
    assert found == _library._FUNCTIONS
