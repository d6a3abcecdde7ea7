"""Check what ptxas said of each kernel: no spills, no local memory, registers below a limit.

    python cuda/ptxas.py BUILD/cuda/src

Ceilings are in registers.txt, by kernel, for all of its instances.  Prints a line per kernel.
"""

import re
import sys
from pathlib import Path

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(sm_\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")
# _ZN 3spk 9spmm_rows ...: the length of a name stands before it.
NAME = re.compile(r"_ZN3spk(?:12_GLOBAL__N_1)?(\d+)")


def kernel_name(symbol):
    """Return a kernel's name in namespace spk, without its template arguments."""
    found = NAME.match(symbol)
    if not found:
        return symbol
    return symbol[found.end() : found.end() + int(found[1])]


def read_report(text):
    """Yield (symbol, architecture, stack frame, spilled bytes, registers) of each kernel."""
    for part in re.split(r"(?=ptxas info\s*: Compiling entry function)", text)[1:]:
        entry, registers = ENTRY.search(part), REGISTERS.search(part)
        # A function that it calls has properties too, which may come first.
        frames = [tuple(map(int, frame)) for frame in FRAME.findall(part)]
        frame, *spills = map(max, zip(*frames, strict=True))
        yield entry[1], entry[2], frame, max(spills), int(registers[1])


def read_limits(path):
    """Return the registers that each kernel may use."""
    lines = (line.split("#")[0].split() for line in path.read_text().splitlines())
    return {line[0]: int(line[1]) for line in lines if line}


def check(kernels, limits):
    """Return what is wrong, a line each, and the registers of each kernel: least, most, count."""
    wrong, used = [], {}
    for symbol, architecture, frame, spilled, registers in kernels:
        name = kernel_name(symbol)
        where = f"{name} ({symbol}, {architecture})"
        used.setdefault(name, []).append(registers)
        if frame or spilled:
            wrong.append(f"{where}: {frame} bytes of local memory, {spilled} spilled")
        if name not in limits:
            wrong.append(f"{where}: has no line in registers.txt")
        elif registers > limits[name]:
            wrong.append(f"{where}: {registers} registers, more than {limits[name]}")
    wrong += [f"{name}: is in registers.txt, and is no kernel" for name in limits.keys() - used]
    return wrong, {name: (min(some), max(some), len(some)) for name, some in used.items()}


def main(folder):
    """Check all reports in a folder; return an exit status."""
    reports = sorted(Path(folder).glob("*.ptxas"))
    kernels = [kernel for report in reports for kernel in read_report(report.read_text())]
    if not kernels:
        print(f"no reports of kernels in {folder}")
        return 1
    wrong, used = check(kernels, read_limits(Path(__file__).with_name("registers.txt")))
    for name, (least, most, count) in sorted(used.items()):
        print(f"{name}: {least} to {most} registers, {count} instances")
    print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
