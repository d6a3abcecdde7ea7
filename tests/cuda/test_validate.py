"""cuda/validate, which runs on a machine with a GPU, here where the library emulates one."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

FOLDER = Path(__file__).resolve().parents[2] / "cuda" / "validate"
sys.path.append(str(FOLDER))

import bounds  # noqa: E402
import check_spmm  # noqa: E402
import cusparse  # noqa: E402
import patterns  # noqa: E402
import progress  # noqa: E402
import readers  # noqa: E402
import records  # noqa: E402
import stage_sanitizer  # noqa: E402
import stages  # noqa: E402
import summary  # noqa: E402
from device import Device, Matrix  # noqa: E402

LIBRARY = os.environ.get("SPKERNELS_CUDA_LIBRARY", "")
emulated = pytest.mark.skipif("emulated" not in LIBRARY, reason="It needs the emulated library.")


def random(rows, cols, seed=0):
    A = sp.random(rows, cols, 0.3, "csr", random_state=np.random.default_rng(seed))
    A.indices, A.indptr = A.indices.astype(np.int32), A.indptr.astype(np.int32)
    return A


def save_smtx(path, A):
    lines = [", ".join(map(str, (*A.shape, A.nnz)))]
    lines += [" ".join(map(str, part)) for part in (A.indptr, A.indices)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    save_smtx(folder / "layer.smtx.gz", random(21, 30))
    scipy.io.mmwrite(folder / "graph.mtx", random(17, 17, 1))
    return folder


@emulated
def test_everything_that_needs_no_gpu(data, tmp_path):
    output = tmp_path / "output"
    command = [sys.executable, FOLDER, "--emulated", "--quick", "--output", output]
    command += ["--library", LIBRARY, "--data", data]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = (output / "log.txt").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert done.stdout.strip() == (output / "index.md").read_text().strip()
    ended = {r["done"]: r["status"] for r in records.read(output / "stages.jsonl") if "done" in r}
    assert list(ended) == [stage.name for stage in stages.STAGES]
    assert all(ended[s.name] == ("ok" if s.emulated else "skipped") for s in stages.STAGES), log

    checks = [json.loads(line) for line in (output / "correctness.jsonl").open()]
    right = [r for r in checks if r["status"] == "ok" and r.get("kernel") == "rows"]
    assert {(r["matrix"], r["dtype"]) for r in right if r["precision"] == "strict"} == {
        (matrix, dtype)
        for matrix in ("layer.smtx.gz", "graph.mtx")
        for dtype in ("float32", "float64", "float16", "bfloat16")
    }
    assert all(0 < r["worst"] <= 1 and r["cases"] == 12 for r in right)

    timings = [json.loads(line) for line in (output / "timings.jsonl").open()]
    timed = [r for r in timings if r["status"] == "ok"]
    assert {r["stage"] for r in timed} >= {"spmm", "shared", "graphs"}
    for record in timed:
        assert record["median_us"] >= record["min_us"] > 0
        assert record["gflops"] == pytest.approx(
            flops(record) / record["median_us"] / 1e3, rel=1e-4
        )
    assert "| spmm | float32 | rows | strict | 2 | 0 | 0 |" in done.stdout


def flops(record):
    per_entry = 4 * record["heads"] if record["stage"] == "attention" else 2
    return per_entry * record["nnz"] * record["n"]


@emulated
def test_every_kernel_runs_for_a_sanitizer():
    command = [sys.executable, FOLDER / "sanitized.py", LIBRARY, "--emulated"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The matrices, dtypes and at least one kernel each.
    assert json.loads(done.stdout)["spmm"] >= 3 * 4


@pytest.mark.parametrize("arguments", [["--emulated"], ["--stages", "spmm,other"]])
def test_wrong_arguments(arguments):
    command = [sys.executable, FOLDER, *arguments]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


class Kernel:
    """Stands for a prepared matrix: the product in float64, and what is wrong with it."""

    def __init__(self, A, dtype, wrong=""):
        self.A, self.shape, self.dtype, self.wrong, self.runs = A, A.shape, dtype, wrong, 0

    def spmm(self, B, C):
        def run(stream=None):
            self.runs += 1
            product = self.A @ B.values.astype(np.float64)
            if self.wrong == "value":
                product[3] += 1e-4 * np.abs(product[3])
            if self.wrong == "bits" and self.runs == 2:
                product *= 1 + 2.0**-23
            if self.wrong == "dense":
                product = self.A.toarray() @ B.values.astype(np.float64)
            if self.wrong == "zero":
                product = np.nan_to_num(product)
            C.bits[...] = Matrix.rounded(C.device, product, C.dtype).bits
            if self.wrong == "unwritten":
                C.bits[-1, -1] = np.nan

        return run


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", ""),
        ("value", "times the bound"),
        ("unwritten", "inf times the bound"),
        ("bits", "other bits"),
        ("dense", "no entry there"),
        ("zero", "did not reach"),
    ],
)
def test_what_is_wrong_is_seen(wrong, said):
    A = random(40, 30)
    reference = check_spmm.Reference(Device(True), A, "float32")
    kernel = Kernel(reference.A, "float32", wrong)
    with np.errstate(invalid="ignore"):
        share, faults = check_spmm.case(Device(True), kernel, reference, 8, "C", "strict")
    assert (share <= 1) == (wrong not in ("value", "unwritten"))
    assert said in " ".join(faults)
    assert bool(faults) == bool(wrong)


def test_bounds_hold_for_float32_and_not_for_less():
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 60, 60))
    A, B = A.astype(np.float32), B.astype(np.float32)
    exact, size = A.astype(float) @ B, np.abs(A).astype(float) @ np.abs(B)
    bound = bounds.of_sum(60.0, size, exact, "float32")
    assert bounds.worst(np, A @ B, exact, bound) <= 1
    rounded = (A.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) @ B
    assert bounds.worst(np, rounded, exact, bound) > 1
    rough = bounds.of_sum(60.0, size, exact, "float32", "tf32")
    assert bounds.worst(np, rounded, exact, rough) <= 1


def test_readers(tmp_path):
    A = random(5, 7)
    save_smtx(tmp_path / "a.smtx.gz", A)
    save_smtx(tmp_path / "empty.smtx.gz", sp.csr_array((3, 4)))
    scipy.io.savemat(tmp_path / "b.mat", {"A": sp.csc_array(A * (1 + 2j))})
    parts = {"g_data": A.data, "g_indices": A.indices, "g_indptr": A.indptr, "g_shape": A.shape}
    np.savez(tmp_path / "c.npz", **parts)
    dense = A.toarray().astype("<f4")
    (tmp_path / "d.raw.gz").write_bytes(gzip.compress(dense.tobytes()))
    (tmp_path / "e.raw.gz").write_bytes(gzip.compress(dense.tobytes()))
    (tmp_path / "MANIFEST.csv").write_text("file,rows,cols\nd.raw.gz,5,7\n")
    found = dict(pair for name in readers.names(tmp_path) for pair in readers.load(tmp_path, name))
    assert sorted(found) == ["a.smtx.gz", "b.mat#A", "c.npz#g", "d.raw.gz", "empty.smtx.gz"]
    assert (found["a.smtx.gz"].indices == A.indices).all()
    assert found["empty.smtx.gz"].shape == (3, 4)
    for name in ("b.mat#A", "c.npz#g"):
        np.testing.assert_allclose(found[name].toarray(), A.toarray())
    np.testing.assert_array_equal(found["d.raw.gz"].toarray(), dense)
    again = dict(readers.load(tmp_path, "a.smtx.gz"))
    assert (again["a.smtx.gz"] != found["a.smtx.gz"]).nnz == 0


@pytest.mark.parametrize("text", [b"2, 2, 1\n0 1 2\n0", b"2, 2, 2\n0 2\n0 1"])
def test_malformed_smtx(text):
    with pytest.raises(ValueError, match="sizes"):
        readers.parse_smtx(text, np.random.default_rng(0))


@pytest.mark.parametrize("density", [0.05, 0.25, 0.5])
def test_patterns_are_as_dense_as_asked(density):
    rng = np.random.default_rng(0)
    for make in patterns.MASKS.values():
        assert make(512, density, rng).mean() == pytest.approx(density, abs=0.03, rel=0.2)
    for name, make in patterns.SHARED.items():
        mask = make(128, 320, density, rng)
        assert mask.mean() == pytest.approx(density, rel=0.1)
        height = 8 if "8x1" in name else 16
        assert (mask.reshape(-1, height, 320) == mask[::height, None]).all()


def test_geometric_mean():
    assert records.geometric_mean([1, 4, 16]) == pytest.approx(4)
    assert records.geometric_mean([]) is None


def test_records_survive_a_crash(tmp_path):
    path = tmp_path / "a.jsonl"
    writer = records.Writer(path, stage="x")
    writer.write(value=np.float32(0.5), worst=float("inf"))
    with path.open("a") as file:
        file.write('{"cut": ')
    assert records.read(path) == [{"stage": "x", "value": 0.5, "worst": "inf"}]
    assert records.read(tmp_path / "none.jsonl") == []


def test_records_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_BYTES", 1000)
    writer = records.Writer(tmp_path / "a.jsonl")
    for _ in range(100):
        writer.write(text="0123456789" * 5)
    assert 500 < (tmp_path / "a.jsonl").stat().st_size < 1000


def test_a_stage_goes_on_behind_a_crash(tmp_path):
    path, ran = tmp_path / "a.jsonl", []

    def resumed():
        writer = records.Writer(path, stage="s")
        return progress.Progress(path, writer, "s", Device(True), ("kernel",))

    def attempts(crash):
        taken = resumed()
        for kernel, n in (("a", 1), ("b", 1), ("a", 2), ("b", 2)):
            if (kernel, n) == crash:
                taken._writer.write(kernel=kernel, n=n, status=progress.BEGUN)
                return
            taken.attempt(
                {"kernel": kernel, "n": n},
                lambda key=(kernel, n): [ran.append(key) or {"status": "ok"}],
            )

    attempts(("b", 1))
    attempts(None)
    assert ran == [("a", 1), ("a", 2)]
    crashed = [r for r in records.read(path) if r["status"] == "crashed"]
    assert [(r["kernel"], r["n"]) for r in crashed] == [("b", 1)]


def timing(contender, algorithm, microseconds, l2="warm", n=8, matrix="A"):
    return {
        "stage": "spmm",
        "status": "ok",
        "matrix": matrix,
        "n": n,
        "sparsity": 0.8,
        "contender": contender,
        "algorithm": algorithm,
        "l2": l2,
        "median_us": microseconds,
    }


def test_summary_takes_the_best_of_others_and_the_worst_of_ours(tmp_path):
    timings = []
    for matrix, ours in (("A", 2.0), ("B", 1.0)):
        timings += [
            timing("ours", "auto", ours, matrix=matrix),
            timing("cusparse", "default", 9.0, matrix=matrix),
            timing("cusparse", "alg2", 4.0, matrix=matrix),
            timing("ours", "auto", ours, "flushed", matrix=matrix),
            timing("cusparse", "alg2", 1.0, "flushed", matrix=matrix),
        ]
    timings.append(timing("cupy", "csr", 80.0, "calls"))
    timings.append(timing("ours", "python", 10.0, "calls"))
    timings.append({**timing("cupy", "csr", 1.0, "calls"), "status": "failed"})
    writer = records.Writer(tmp_path / "timings.jsonl")
    for record in timings:
        writer.write(**record)
    text, sound = summary.make(tmp_path)
    assert sound
    row = re.search(r"^\| 8 \| 2 \| (.*) \|$", text, re.M)[1].split(" | ")
    mean = np.sqrt(2.0 * 4.0)
    assert row[:6] == ["8", "40", f"{mean:.3g}", "2", f"{np.sqrt(0.5):.3g}", "0.5"]


def test_summary_tells_what_is_wrong(tmp_path):
    writer = records.Writer(tmp_path / "correctness.jsonl", stage="correctness")
    common = {"operation": "spmm", "dtype": "float32", "kernel": "rows", "precision": "strict"}
    writer.write(**common, matrix="A", status="ok", worst=0.5)
    writer.write(**common, matrix="B", status="wrong", worst=7.0, why="n=8 C: 7 times the bound")
    text, sound = summary.make(tmp_path)
    assert not sound
    assert "| spmm | float32 | rows | strict | 1 | 1 | 0 | 7 |" in text
    assert "n=8 C: 7 times the bound" in text


@pytest.mark.parametrize(
    ("code", "output", "status"),
    [
        (0, '{"spmm": 3}\n========= ERROR SUMMARY: 0 errors\n', "ok"),
        (0, '{"spmm": 3}\n========= RACECHECK SUMMARY: 0 hazards displayed (0 errors)\n', "ok"),
        (86, '{"spmm": 3}\n========= ERROR SUMMARY: 10 errors\n', "wrong"),
        (0, '{"spmm": 3}\n========= RACECHECK SUMMARY: 2 hazards displayed\n', "wrong"),
        (1, "========= ERROR SUMMARY: 0 errors\n", "failed"),
        (1, "Device not supported\n", "failed"),
    ],
)
def test_what_a_sanitizer_says(code, output, status):
    assert stage_sanitizer.judged(code, output)["status"] == status


def test_numbers_of_cusparse():
    places = [Path("/usr/local/cuda/include"), *Path(sys.prefix).rglob("nvidia/*/include")]
    text = ""
    for name in ("cusparse.h", "library_types.h"):
        path = next((at / name for at in places if (at / name).exists()), None)
        if path is None:
            pytest.skip(f"There is no {name} here.")
        text += path.read_text()
    for name, value in cusparse.ENUMERATORS.items():
        assert int(re.search(rf"\b{name}\s*=\s*(\d+)", text)[1]) == value, name
