"""What all tests share: where the package comes from, Hypothesis profiles, child processes."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
#: Real matrices: named by SPKERNELS_DATA, or beside the repository.
REAL_DATA = Path(os.environ.get("SPKERNELS_DATA") or ROOT.parent / "shared" / "data")
NO_REAL_DATA = "There is no folder of real matrices: SPKERNELS_DATA names one."

# `python -m pytest` puts the current directory first on sys.path.  In the root of the source tree
# that is a ./spkernels without its compiled module, which would hide the installed package.
sys.path[:] = [path for path in sys.path if Path(path or os.curdir).resolve() != ROOT]
# --import-mode=importlib does not put the tests' folder there: for `reference` and `strategies`.
sys.path.append(str(TESTS))
pytest.register_assert_rewrite("reference")

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=120, **COMMON)
settings.register_profile("ci", max_examples=120, derandomize=True, **COMMON)
# For runs that repeat others: what is found without regard to kernels was found before.
settings.register_profile(
    "again", max_examples=40, derandomize=bool(os.environ.get("CI")), **COMMON
)
settings.register_profile("thorough", max_examples=2000, **COMMON)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "every_isa: run again under each SPKERNELS_ISA by test_isa.py"
    )


def pytest_collection_finish():
    # What pytest keeps of some ten thousand tests would be searched by each full collection.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def two_at_once():
    """Return the results of a function that waits for a process, which run in pairs.

    ``two_at_once(request, name, function)`` returns what the function returns for the test's
    parameter of that name.  The first case of a test starts the function for all that are selected.
    """
    started = {}

    def result(request, name, function):
        mine = request.node
        alone = "PYTEST_XDIST_WORKER" in os.environ  # other workers run other cases
        for item in [mine] if alone else request.session.items:
            same = item.path == mine.path and getattr(item, "originalname", "") == mine.originalname
            if same and item.nodeid not in started:
                started[item.nodeid] = pool.submit(function, item.callspec.params[name])
        return started[mine.nodeid].result()

    with ThreadPoolExecutor(2) as pool:
        yield result
        for future in started.values():
            future.cancel()


@pytest.fixture(autouse=True)
def default_threads():
    """Leave no setting of one test to the next."""
    import spkernels

    yield
    spkernels.set_num_threads(None)


@pytest.fixture
def exact_workers(monkeypatch):
    """Have `workers` mean so many threads exactly; as a cap it leaves small work serial."""
    from spkernels import _core
    from spkernels._ops import attention, sddmm, spmm
    from spkernels._runtime import threads as threads_module

    for module in (spmm, sddmm, attention):
        monkeypatch.setattr(module, "resolve_workers", lambda n: -threads_module.resolve_workers(n))
    # The compiled entries resolve workers by themselves.
    for name in ("spmm_fast", "sddmm_fast"):
        monkeypatch.setattr(_core, name, lambda *arguments, **options: None)


@pytest.fixture
def run_script(tmp_path):
    """Run Python code in a process of its own, outside of the source tree; return it, ended.

    Variables of `env` that are None are removed.  Code that fails or hangs fails the test.
    """

    def run(code, *, env=None, timeout=120, check=True):
        script = tmp_path / "script.py"
        script.write_text(code)
        variables = {**os.environ, **(env or {})}
        variables = {name: value for name, value in variables.items() if value is not None}
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=variables,
            timeout=timeout,
            capture_output=True,
            text=True,
        )
        if check:
            assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
