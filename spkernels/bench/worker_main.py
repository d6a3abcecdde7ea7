"""The program that starts a peer's process, whose Python may have another spkernels or none.

It runs by its path.  The folder that contains `bench` becomes a package of another name,
`spkernels_worker`, whose `__init__` does not run.  So a worker may only use relative imports.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parent
PACKAGE = "spkernels_worker"

if __name__ == "__main__":
    # Python puts this folder first on the path, where its modules would hide others of their name.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != FOLDER]
    package = ModuleType(PACKAGE)
    package.__path__ = [str(FOLDER.parent)]
    sys.modules[PACKAGE] = package
    importlib.import_module(f"{PACKAGE}.{FOLDER.name}.measure.worker").main()
