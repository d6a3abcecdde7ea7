"""scipy's own tests, with and without `accelerate`: it must not fail one that passes without it."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

if importlib.util.find_spec("scipy.sparse.tests") is None:
    pytest.skip("This scipy was installed without its tests.", allow_module_level=True)

PLUGIN = """
import json
import os

if os.environ["SPKERNELS_TEST_ACCELERATE"] == "1":
    from spkernels._accelerate import hooks
    from spkernels import accelerate
    from spkernels._ops.crossover import Rule

    # Most of these matrices are tiny: take them all the same.
    formats = ("csr", "csc", "coo", "bsr")
    hooks.RULES = {name: [Rule(format) for format in formats] for name in hooks.RULES}
    accelerate.enable()

passed, failed = 0, []


def pytest_collectreport(report):
    if report.failed:
        failed.append(report.nodeid)


def pytest_runtest_logreport(report):
    global passed
    passed += report.passed and report.when == "call"
    if report.failed:
        failed.append(report.nodeid)


def pytest_unconfigure():
    taken = 0
    if os.environ["SPKERNELS_TEST_ACCELERATE"] == "1":
        assert accelerate.enabled
        taken = accelerate.report().taken
    with open("outcome.json", "w") as file:
        json.dump({"passed": passed, "failed": failed, "taken": taken}, file)
"""

# Modules under scipy.sparse (those that this scipy has), which of their tests, and how many of
# them and of the products that they take there are at least, in the oldest scipy.
GROUPS = {
    "formats": (
        [
            *("tests.test_csr", "tests.test_csc", "tests.test_coo", "tests.test_common1d"),
            *("tests.test_arithmetic1d", "tests.test_matrix_io", "tests.test_construct"),
            *("tests.test_array_api", "csgraph"),
        ],
        None,
        500,
        100,
    ),
    "solvers": (["linalg._isolve"], None, 100, 5000),
    "eigenvalues": (["linalg._eigen"], None, 300, 500),
}
SLOW_GROUPS = {
    "all of test_base": (["tests.test_base"], None, 2000, 300),
    # All of test_base again, several times: those whose names say that they multiply.
    "64-bit indices": (
        ["tests.test_64bit"],
        "mul or matvec or matmat or dot or sum or mean or expm or inplace_dense",
        300,
        200,
    ),
    "linalg": (["linalg.tests", "linalg._dsolve"], None, 300, 1000),
}


def run_scipy_tests(modules, selection, folder, *, accelerated):
    (folder / "spkernels_scipy_plugin.py").write_text(PLUGIN)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "SPKERNELS_TEST_ACCELERATE": str(int(accelerated)),
        "OPENBLAS_NUM_THREADS": "1",  # for matrices as small as these, more only wait busily
    }
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "spkernels_scipy_plugin", "--pyargs"]
    command += [f"scipy.sparse.{name}" for name in modules]
    command += ["-k", selection] if selection else []
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200
    )
    outcome = folder / "outcome.json"
    assert outcome.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return {**json.loads(outcome.read_text()), "output": done.stdout[-10_000:]}


@pytest.mark.parametrize(
    "group", [*GROUPS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_GROUPS)]
)
def test_scipy_tests_pass_as_without_accelerate(group, request, two_at_once, tmp_path_factory):
    modules, _, least_passed, least_taken = {**GROUPS, **SLOW_GROUPS}[group]

    def run(group, *, accelerated=True):
        modules, selection, *_ = {**GROUPS, **SLOW_GROUPS}[group]
        found = [name for name in modules if importlib.util.find_spec(f"scipy.sparse.{name}")]
        folder = tmp_path_factory.mktemp("scipy")
        return found and run_scipy_tests(found, selection, folder, accelerated=accelerated)

    outcome = two_at_once(request, "group", run)
    if not outcome:
        pytest.skip(f"This scipy has no tests of {', '.join(modules)}.")
    if outcome["failed"]:
        plain = run(group, accelerated=False)
        new = sorted(set(outcome["failed"]) - set(plain["failed"]))
        assert not new, outcome["output"]
    assert outcome["passed"] >= least_passed, outcome["output"]
    assert outcome["taken"] >= least_taken
