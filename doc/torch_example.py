"""Write what doc/torch-example.rst shows: ``python doc/torch_example.py`` with matplotlib.

It runs examples/prune_pytorch.py, keeps what that prints, and draws its report.
"""

import contextlib
import io
import runpy
from pathlib import Path

folder = Path(__file__).parent
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    names = runpy.run_path(str(folder.parent / "examples" / "prune_pytorch.py"))
(folder / "torch-example.txt").write_text(printed.getvalue())
axes = names["report"].plot()
axes.figure.savefig(folder / "_static" / "torch-example.png", dpi=100)
