"""The process of a peer, started by path: its Python may have no spkernels.

The folder of this file becomes a package of its own name, `spkernels_bench`.
"""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PACKAGE = "spkernels_bench"

if __name__ == "__main__":
    # Python put this folder first on the path: its modules are not to be found by bare names.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != FOLDER]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACKAGE])
    importlib.import_module(f"{PACKAGE}.measure.worker").main()
