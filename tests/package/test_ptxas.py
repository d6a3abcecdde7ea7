"""What ptxas says of kernels is read right, and what it should not say is found."""

import importlib.util

from conftest import ROOT

SCRIPT = ROOT / "cuda" / "ptxas.py"
spec = importlib.util.spec_from_file_location("ptxas", SCRIPT)
ptxas = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ptxas)

REPORT = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN3spk9transposeIfEEvNS_9TransposeIT_EE' for 'sm_80'
ptxas info    : Function properties for _ZN3spk9transposeIfEEvNS_9TransposeIT_EE
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 44 registers, used 1 barriers, 416 bytes cmem[0]
ptxas info    : Function properties for _ZN3spk8activateIfEET_S1_i
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function '_ZN3spk9spmm_rowsIfEEvT_' for 'sm_90'
ptxas info    : Function properties for _ZN3spk9spmm_rowsIfEEvT_
    {frame} bytes stack frame, 0 bytes spill stores, {spilled} bytes spill loads
ptxas info    : Used 70 registers, used 0 barriers
"""


def found(frame=0, spilled=0, limits=(("transpose", 44), ("spmm_rows", 70))):
    kernels = ptxas.read_report(REPORT.format(frame=frame, spilled=spilled))
    return ptxas.check(kernels, dict(limits))


def test_kernels_within_their_limits():
    wrong, used = found()
    assert wrong == []
    assert used == {"transpose": (44, 44, 1), "spmm_rows": (70, 70, 1)}


def test_what_is_wrong_is_found():
    assert "spilled" in found(spilled=8)[0][0]
    assert "local memory" in found(frame=16)[0][0]
    fewer = [("transpose", 44), ("spmm_rows", 69)]
    assert "70 registers, more than 69" in found(limits=fewer)[0][0]
    assert "no line" in found(limits=[("transpose", 44)])[0][0]
    more = [("transpose", 44), ("spmm_rows", 70), ("gone", 1)]
    assert "is no kernel" in found(limits=more)[0][0]


def test_every_limit_is_what_a_thread_can_have():
    limits = ptxas.read_limits(SCRIPT.with_name("registers.txt"))
    assert limits
    assert all(0 < registers <= 255 for registers in limits.values())
