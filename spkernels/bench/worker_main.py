"""The process of a peer, started by path: its Python may have no spkernels, or another one.

The folder that holds `bench` becomes a package of another name, `spkernels_worker`, whose own
`__init__` never runs: what a worker imports of it, it imports by relative imports.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parent
PACKAGE = "spkernels_worker"

if __name__ == "__main__":
    # Python put this folder first on the path: its modules are not to be found by bare names.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != FOLDER]
    package = ModuleType(PACKAGE)
    package.__path__ = [str(FOLDER.parent)]
    sys.modules[PACKAGE] = package
    importlib.import_module(f"{PACKAGE}.{FOLDER.name}.measure.worker").main()
