"""A network in DeepSparse, the one other engine that uses the zeros; its development has ended.

The last release that runs is 1.8.0.  It needs Python 3.11 or older and NumPy below 2, and so an
environment of its own: ``--python deepsparse=PATH``.
"""

import os
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("NM_DISABLE_ANALYTICS", "1")

import deepsparse  # noqa: E402 - it sends reports when it is imported, unless that is off

from ..ops.networks import onnx_model  # noqa: E402

OWN_THREADS = True


def versions():
    return {"deepsparse": version("deepsparse")}


def bind(problem):
    x = problem.operands["x"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        path.write_bytes(onnx_model(problem))
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        engine = deepsparse.Engine(model=str(path), batch_size=len(x), num_cores=threads)
    return partial(engine.run, [x])


def to_numpy(result, problem):
    return result[0]
