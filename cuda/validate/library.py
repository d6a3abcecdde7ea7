"""The shared library: the layer that calls it, and how it is built where none is given."""

import importlib.util
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_NAME = "libspkernels_cuda.so"


def ctypes_layer():
    """Return the module spkernels/cuda/_library.py, which needs nothing of the package."""
    path = ROOT / "spkernels" / "cuda" / "_library.py"
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[path.stem] = module
    return sys.modules[path.stem]


def build(folder, seconds, log):
    """Build for the GPUs of Hopper, by meson or else by nvcc alone; return the library."""
    try:
        return _by_meson(folder / "meson", seconds, log)
    except (OSError, subprocess.SubprocessError) as error:
        log.write(f"meson: {error}\n")
        return _by_nvcc(folder / "nvcc", seconds, log)


def build_package(folder, seconds, log):
    """Build the package without the library; return the folder to import it from."""
    site = folder / "site"
    options = [f"-Dpython.platlibdir={site}", f"-Dpython.purelibdir={site}"]
    _run(["meson", "setup", folder / "build", f"--prefix={folder}", *options], seconds, log)
    _run(["meson", "install", "-C", folder / "build"], seconds, log)
    return site


def _run(command, seconds, log):
    log.flush()
    # Tools may lie beside Python, and nvcc with the toolkit.
    search = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    subprocess.run(
        command,
        check=True,
        timeout=seconds,
        stdout=log,
        stderr=log,
        env={**os.environ, "PATH": os.pathsep.join(search)},
        cwd=ROOT,
    )


def _by_meson(folder, seconds, log):
    options = ["-Dpython=false", "-Dcuda=enabled", "-Dgpu_architectures=90"]
    _run(["meson", "setup", folder, *options], seconds, log)
    target = f"cuda/src/{FILE_NAME}"
    _run(["ninja", "-C", folder, target], seconds, log)
    return folder / target


def _by_nvcc(folder, seconds, log):
    source = ROOT / "cuda" / "src"
    listed = re.search(r"cuda_sources = \[(.*?)\]", (source / "meson.build").read_text(), re.S)
    files = re.findall(r"'([^']+\.cu)'", listed[1]) + ["device/runtime_nvidia.cu"]
    flags = ["-std=c++17", "-O3", "-lineinfo", f"-I{ROOT / 'include'}", "-Xcompiler", "-fPIC"]
    flags += ["-gencode", "arch=compute_90,code=sm_90"]
    objects = [folder / (name.replace("/", "_") + ".o") for name in files]
    folder.mkdir(parents=True, exist_ok=True)

    def compile_one(name, made):
        _run(["nvcc", *flags, "-c", source / name, "-o", made], seconds, log)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, files, objects))
    exports = f"--version-script={source / 'exports.map'}"
    linked = folder / FILE_NAME
    _run(
        ["nvcc", "-shared", "-cudart", "static", "-Xlinker", exports, *objects, "-o", linked],
        seconds,
        log,
    )
    return linked
