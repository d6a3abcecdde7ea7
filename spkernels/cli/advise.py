"""The command ``spkernels advise``: it predicts what pruning a model would bring."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from . import status

_DESCRIPTION = """\
Predict how fast a model would be if it were pruned, before anyone trains it: each layer is timed as
it is and with random weights of each pattern and sparsity, and the rest of the model stays.

MODEL is a file: .onnx, .pt2 (torch.export.save) or .pt, .pth (torch.save of a whole module).
Loading a module runs code that the file names, so this needs --trust; the classes of the module
must be importable from the current folder. Files of weights alone (state_dict) and of TorchScript
are refused. This command needs PyTorch, and onnx for ONNX models.
"""
_EPILOG = """\
examples:
  %(prog)s model.pt2
  %(prog)s model.pt --trust --input 1x3x224x224
  %(prog)s bert.onnx --input input_ids=1x128:int64 attention_mask=1x128:int64
  %(prog)s model.onnx --input 8x784 --sparsity 0.8 0.9 --pattern 16x1 --json

the tables:
  predicted ms    a call of the pruned model
  speed-up        the measured time of the dense model divided by that
  sparse layers   those that are faster sparse; all others count as they are
  pays            the sparsity from which on a layer is faster
  *               by one thread, as other processes were running

exit status: 0 for success (also without matplotlib, which leaves out the plot), 1 if the plot was
not written, 2 if an option or the model is wrong, 130 after Ctrl-C
"""
_INPUT = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<sizes>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?")
_DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool")
_NO_MATPLOTLIB = "no plot: matplotlib is not installed; to get it: pip install matplotlib"


class _Wrong(Exception):
    """The command line or the model is wrong; the text says how."""


def add_parser(commands: Any) -> None:
    """Add the parser of the command to argparse's subparsers."""
    parser = commands.add_parser(
        "advise",
        help="predict how fast a model would be if it were pruned",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a file: .onnx, .pt2, .pt, .pth")
    parser.add_argument(
        "--input",
        metavar="SHAPE",
        type=_input,
        nargs="+",
        action="extend",
        default=[],
        help="the inputs in order, such as 1x3x224x224 (float32) or 1x128:int64, or all by name, "
        "as NAME=1x128:int64; integers are ones, other numbers are random (default: those that the "
        "file has)",
    )
    parser.add_argument(
        "--sparsity",
        metavar="S",
        type=_sparsity,
        nargs="+",
        default=[0.5, 0.7, 0.8, 0.9, 0.95],
        help="shares of zeros (default 0.5 0.7 0.8 0.9 0.95)",
    )
    parser.add_argument(
        "--pattern",
        metavar="P",
        nargs="+",
        default=["unstructured", "16x1", "4x4", "2:4"],
        help="unstructured, blocks of rows x columns, or kept:group (default unstructured 16x1 4x4 "
        "2:4)",
    )
    parser.add_argument(
        "--threads", metavar="N", type=_positive, help="threads (default: as many as torch uses)"
    )
    parser.add_argument("--plot", metavar="PNG", type=Path, help="where to save a plot")
    parser.add_argument(
        "--trust", action="store_true", help="load a module, which runs code that its file names"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON, and nothing else, on stdout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load, measure and print, and return the exit status."""
    try:
        from .. import torch as st
    except ImportError as error:
        print(error, file=sys.stderr)
        return status.USAGE
    import torch

    try:
        if args.plot is not None and not args.plot.absolute().parent.is_dir():
            raise _Wrong(f"--plot {args.plot}: there is no folder {args.plot.parent}")
        if args.threads is not None:
            torch.set_num_threads(args.threads)
        model, inputs = _load(args)
        advice = st.advise(model, inputs, args.sparsity, args.pattern, progress=_progress)
    except _Wrong as error:
        print(error, file=sys.stderr)
        return status.USAGE
    except (RuntimeError, TypeError, ValueError) as error:
        # Mostly of the model, which does not take these inputs.
        print(f"{args.model}: {type(error).__name__}: {error}", file=sys.stderr)
        return status.USAGE
    if args.json:
        facts = {"model": str(args.model), **advice.to_dict()}
        print(json.dumps(facts, indent=2, allow_nan=False))
    else:
        print(advice)
    return status.OK if args.plot is None else _plot(advice, args)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"measuring {text}", file=sys.stderr)


def _plot(advice, args: argparse.Namespace) -> int:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print(_NO_MATPLOTLIB, file=sys.stderr)
        return status.OK
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    advice.plot(figure.subplots())
    try:
        figure.savefig(args.plot, dpi=150)
    except (OSError, ValueError) as error:
        print(f"no plot: {error}", file=sys.stderr)
        return status.INCOMPLETE
    if not args.json:
        print(f"Plot: {args.plot}")
    return status.OK


# Models -------------------------------------------------------------------------------------------


def _load(args: argparse.Namespace) -> tuple[Any, Any]:
    """Return the model and its example inputs."""
    path = args.model
    if not path.is_file():
        raise _Wrong(f"{path}: there is no such file")
    if path.suffix == ".onnx":
        return _onnx(path, args.input)
    parts = _parts(path)
    if any(name.endswith("/constants.pkl") for name in parts):
        raise _Wrong(
            f"{path} is TorchScript, whose layers cannot be replaced: save the module itself by "
            "torch.save, or a program by torch.export.save"
        )
    if path.suffix == ".pt2" or any(name.endswith("archive_format") for name in parts):
        return _program(path, args.input)
    model = _module(path, args.trust)
    if not args.input:
        raise _Wrong(f"--input must tell the shapes of the inputs of {path}, as in 1x3x224x224")
    return model, _arguments(args.input)


def _named_error(error: Exception) -> str:
    """Return an error in words: those of some, as of a `KeyError`, say nothing without its name."""
    return f"{type(error).__name__}: {error}"


def _parts(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []


def _module(path: Path, trusted: bool) -> Any:
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not trusted:
            raise _Wrong(
                f"{path}: loading it may run any code that it names; if you trust where it comes "
                "from, give --trust"
            ) from error
        # As `python -m` does: the classes of the module are often in the current folder.
        sys.path.insert(0, os.getcwd())
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=False)
        except (AttributeError, ImportError) as missing:
            raise _Wrong(
                f"{path}: {missing}; run this where the classes of the module can be imported, or "
                "save the model by torch.export.save"
            ) from missing
        except Exception as broken:
            raise _Wrong(f"{path} cannot be loaded: {_named_error(broken)}") from broken
    except Exception as error:
        raise _Wrong(f"{path} cannot be loaded: {_named_error(error)}") from error
    if not isinstance(loaded, torch.nn.Module):
        what = "weights alone" if isinstance(loaded, dict) else f"a {type(loaded).__name__}"
        raise _Wrong(f"{path} holds {what}, not a module: save the whole model, torch.save(model)")
    return loaded


def _program(path: Path, inputs: list[_Shape]) -> tuple[Any, Any]:
    import torch

    try:
        program = torch.export.load(path)
    except Exception as error:
        raise _Wrong(f"{path} cannot be loaded: {_named_error(error)}") from error
    if inputs:
        return program, _arguments(inputs)
    if program.example_inputs is None:
        raise _Wrong(f"--input must tell the shapes of the inputs: {path} has no example inputs")
    args, options = program.example_inputs
    if args and options:
        raise _Wrong(f"--input must name all inputs of {path}, some of which are keyword arguments")
    return program, tuple(args) if args else dict(options)


def _onnx(path: Path, inputs: list[_Shape]) -> tuple[Any, dict[str, Any]]:
    try:
        import onnx
    except ImportError:
        raise _Wrong(f"{path}: reading it needs onnx: pip install onnx") from None
    try:
        model = onnx.load(path)
    except Exception as error:
        raise _Wrong(f"{path} cannot be loaded: {_named_error(error)}") from error
    weights = {each.name for each in model.graph.initializer}
    wanted = [each for each in model.graph.input if each.name not in weights]
    given = _named(inputs, [each.name for each in wanted], path)
    found = {}
    for each in wanted:
        tensor = each.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        sizes = tuple(dim.dim_value for dim in tensor.shape.dim)
        shape = given.get(each.name)
        if shape is None and not all(sizes):
            dims = "x".join(str(dim.dim_value or dim.dim_param or "?") for dim in tensor.shape.dim)
            raise _Wrong(f"--input must give a shape for {each.name} ({dims}, {dtype})")
        found[each.name] = _tensor(sizes if shape is None else shape.sizes, dtype)
    return model, found


def _named(inputs: list[_Shape], names: list[str], path: Path) -> dict[str, _Shape]:
    """Return the inputs by name; those without one are in the order of the model's."""
    found = {}
    left = [name for name in names if name not in {shape.name for shape in inputs}]
    for shape in inputs:
        name = shape.name or (left.pop(0) if left else "")
        if name not in names:
            raise _Wrong(f"--input {shape.name or shape.sizes}: {path} has {', '.join(names)}")
        found[name] = shape
    return found


# Inputs -------------------------------------------------------------------------------------------


class _Shape:
    """An input of a model as it was given: its name or None, its sizes and its dtype."""

    def __init__(self, name: str | None, sizes: tuple[int, ...], dtype: str):
        self.name, self.sizes, self.dtype = name, sizes, dtype


def _arguments(inputs: list[_Shape]) -> Any:
    """Return the arguments of a call: a tuple, or a dict if they have names."""
    tensors = {
        shape.name or place: _tensor(shape.sizes, shape.dtype) for place, shape in enumerate(inputs)
    }
    named = [shape.name is not None for shape in inputs]
    if all(named):
        return tensors
    if any(named):
        raise _Wrong("--input must name all inputs or none")
    return tuple(tensors.values())


def _tensor(sizes: tuple[int, ...], dtype: str) -> Any:
    """Return random numbers, or ones of integers: a valid index of most tables."""
    import torch

    kind = getattr(torch, dtype)
    if kind.is_floating_point:
        return torch.randn(sizes).to(kind)
    return torch.ones(sizes, dtype=kind)


def _input(text: str) -> _Shape:
    found = _INPUT.fullmatch(text)
    if found is None or (found["dtype"] or _DTYPES[0]) not in _DTYPES:
        raise argparse.ArgumentTypeError(
            f"expected a shape such as 1x128, 1x128:int64 or NAME=1x128, got {text!r}"
        )
    sizes = tuple(int(size) for size in found["sizes"].split("x"))
    return _Shape(found["name"], sizes, found["dtype"] or _DTYPES[0])


def _sparsity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and below 1, got {text!r}")
    return value


def _positive(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return value
