"""Make a PyTorch that pip installed without its dependencies load on a CPU.

    pip install --no-deps torch==2.4.1 && python torch_without_cuda.py

PyPI's builds for x86-64 are linked to CUDA's libraries, which take gigabytes.  On a CPU none of
their functions does anything.  So stand-ins take their places, whose functions return 0, and of the
dependencies all others are installed.  A build for CPUs gets its dependencies and no stand-ins.
"""

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

CUDA = re.compile(r"lib(cu|nv|nccl)")
#: Versions of symbols that the C and C++ libraries have.
OWN = re.compile(r"(GLIBC|GLIBCXX|CXXABI|GCC|GOMP|OMP|OACC)")


def run(*command):
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def install_dependencies(torch):
    """Install what PyTorch requires but for CUDA's libraries and Triton."""
    needed = [line for line in torch.requires or () if "extra ==" not in line]
    wanted = [line for line in needed if not line.startswith(("nvidia-", "cuda-", "triton"))]
    run(sys.executable, "-m", "pip", "install", *wanted)


def missing_symbols(libraries):
    """Return the symbols that no library has, as pairs of a name and a version, which may be ""."""
    used, had = set(), set()
    for library in libraries:
        for line in run("nm", "-D", library).splitlines():
            *_, kind, symbol = line.split()
            name, _, version = symbol.replace("@@", "@").partition("@")
            if kind == "U":
                used.add((name, version))
            elif kind not in "wv":
                had.add(name)
    return {(name, version) for name, version in used if name not in had and not OWN.match(version)}


def versions_by_file(libraries):
    """Return the versions of symbols that are wanted of each file that libraries are linked to."""
    versions = {}
    for library in libraries:
        for line in run("readelf", "-VW", library).splitlines():
            if found := re.search(r"File: (\S+)", line):
                file = found[1]
            elif found := re.search(r"Name: (\S+)\s+Flags", line):
                versions.setdefault(file, set()).add(found[1])
    return versions


def write_stand_in(path, symbols):
    """Compile a library in which each symbol is a function that returns 0."""
    source, script = path.with_suffix(".c"), path.with_suffix(".map")
    source.write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name, _ in symbols))
    versions = {version for _, version in symbols if version}
    script.write_text("".join(
        f"{version} {{ {' '.join(f'{name};' for name, own in symbols if own == version)} }};\n"
        for version in sorted(versions)
    ))  # fmt: skip
    options = [f"-Wl,--version-script={script}"] if versions else []
    run("gcc", "-w", "-fno-builtin", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{path.name}",
        *options, str(source), "-o", str(path))  # fmt: skip
    source.unlink()
    script.unlink()


def main():
    """Install what is missing in the environment of this Python."""
    torch = distribution("torch")
    install_dependencies(torch)
    folder = Path(torch.locate_file("torch/lib"))
    libraries = sorted(folder.glob("*.so*"))
    linked = {
        name
        for library in libraries
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", library))
    }
    absent = sorted(name for name in linked if CUDA.match(name) and not (folder / name).exists())
    symbols, versions = missing_symbols(libraries), versions_by_file(libraries)
    for name in absent:
        # Symbols without a version are found in whatever library has them.
        own = versions.get(name, set()) | ({""} if name == absent[0] else set())
        write_stand_in(folder / name, sorted(pair for pair in symbols if pair[1] in own))
    print(f"stand-ins for {', '.join(absent) or 'nothing'}")


if __name__ == "__main__":
    main()
