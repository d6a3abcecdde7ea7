"""What gets installed: its files and tags, the C library that comes along, and what it exports."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from conftest import ROOT, TESTS

import spkernels

PACKAGE = Path(spkernels.__file__).parent
HEADER = PACKAGE / "include" / "spkernels" / "spkernels.h"
LIBRARY = PACKAGE / "lib" / "libspkernels.a"
DISTRIBUTION = importlib.metadata.distribution("spkernels")


def is_editable():
    origin = json.loads(DISTRIBUTION.read_text("direct_url.json") or "{}")
    return origin.get("dir_info", {}).get("editable", False)


installed = pytest.mark.skipif(is_editable(), reason="An editable install has no files of its own.")


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"There is no {' and no '.join(missing)} here.")


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check_names(names):
    """Check what a wheel holds: the package, its metadata, and nothing beside them."""
    allowed = {".py", ".pyi", ".typed", ".so", ".h", ".a"}
    package = [PurePosixPath(name) for name in names if name.startswith("spkernels/")]
    for path in package:
        assert path.suffix in allowed or path.name == "py.typed", path
        assert not any(part.startswith(".") for part in path.parts), path
        assert "tests" not in path.parts and not path.name.startswith("test_"), path
    held = {str(path) for path in package}
    assert {
        "spkernels/__init__.py",
        "spkernels/_core/_lib.abi3.so",
        "spkernels/_core/_lib.pyi",
        "spkernels/py.typed",
        "spkernels/cli/demo.py",
        "spkernels/datasets/__init__.py",
        "spkernels/formats/__init__.py",
        "spkernels/include/spkernels/spkernels.h",
        "spkernels/lib/libspkernels.a",
        "spkernels/prune/__init__.py",
    } <= held
    # auditwheel puts copies of the libraries that a wheel needs into spkernels.libs.
    beside = {name.split("/")[0] for name in names} - {"spkernels", "spkernels.libs"}
    assert all(re.fullmatch(r"spkernels-[^/]*\.dist-info", name) for name in beside), beside


@installed
def test_installed_files():
    names = [str(path) for path in DISTRIBUTION.files if "__pycache__" not in path.parts]
    assert [name for name in names if name.startswith("..")] == ["../../../bin/spkernels"]
    check_names([name for name in names if not name.startswith("..")])


def check_tags(text):
    """One wheel per platform, for every CPython from 3.11 on."""
    tags = re.findall(r"^Tag: (.*)$", text, re.MULTILINE)
    assert tags and all(tag.startswith("cp311-abi3-") for tag in tags)
    assert "Root-Is-Purelib: false" in text


@installed
def test_tags():
    check_tags(DISTRIBUTION.read_text("WHEEL"))


def test_versions_agree():
    project = (ROOT / "meson.build").read_text()
    declared = re.search(r"^\s*version: '([^']*)'", project, re.MULTILINE).group(1)
    assert spkernels.__version__ == DISTRIBUTION.version == declared
    # That of the wheel with the kernels for GPUs, too.
    assert f"version: '{declared}'," in (ROOT / "cuda" / "meson.build").read_text()


@pytest.mark.slow
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("mesonpy", "Cython", "ninja")),
    reason="It needs meson-python, Cython and ninja, as it builds without isolation.",
)
def test_a_wheel_of_this_tree(tmp_path):
    run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps",
        f"-Cbuild-dir={tmp_path / 'build'}", "-w", tmp_path, ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        check_names(wheel.namelist())
        (tags,) = [name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL")]
        check_tags(wheel.read(tags).decode())


def test_no_command_installs_what_is_not_published():
    files = [*ROOT.glob("*.md"), *(ROOT / "cuda").glob("*.md"), *(ROOT / "doc").rglob("*.rst")]
    files += (ROOT / "spkernels").rglob("*.py")
    command = re.compile(r"pip (?:install|download|wheel)\b[^#`;&\n]*\s['\"]?spkernels\b")
    assert [(path, command.findall(path.read_text())) for path in files] == [
        (path, []) for path in files
    ]


@pytest.mark.skipif(is_editable(), reason="An editable install is found in the source tree too.")
def test_the_source_tree_says_what_is_wrong():
    done = subprocess.run(
        [sys.executable, "-c", "import spkernels"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
    )
    assert done.returncode == 1
    assert "ImportError: spkernels' compiled module is missing" in done.stderr
    assert "change to another directory" in done.stderr


# --- the C library ---

c_user = pytest.mark.parametrize(
    ("source", "printed"),
    [
        (TESTS / "c" / "user.c", rf"spkernels: {spkernels._core.isa()} of scalar.*\n"),
        (ROOT / "doc" / "product.c", r"6 8\n16 20\n"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)


@installed
@needs("cc")
@c_user
def test_c_programs(source, printed, tmp_path):
    """C users find the header and the library in the package, and need no Python."""
    openmp = ["-fopenmp"] if spkernels._core.openmp() else []
    program = tmp_path / "program"
    run(
        "cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{HEADER.parents[1]}",
        source, LIBRARY, *openmp, "-lm", "-pthread", "-o", program,
    )
    assert re.fullmatch(printed, run(program))


@needs("meson", "ninja", "cc", "pkg-config")
@pytest.mark.slow
def test_the_library_alone_has_a_pkg_config_file(tmp_path):
    """As doc/c.rst says, without Python."""
    source, build, prefix = (tmp_path / name for name in ("source", "source/build", "prefix"))
    # A build beside its sources is one that ccache knows, wherever they are.
    for name in ("src", "include", "cuda"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("meson.build", "meson.options"):
        shutil.copy(ROOT / name, source)
    run("meson", "setup", build, source, "-Dpython=false", f"--prefix={prefix}", "--libdir=lib")
    run("ninja", "-C", build, "install")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "spkernels", env=environment).split()
    program = tmp_path / "program"
    run("cc", ROOT / "doc" / "product.c", *flags, "-o", program)
    assert re.fullmatch(r"6 8\n16 20\n", run(program))


def test_public_functions_say_what_they_take_and_return():
    """How type checkers read this is checked by tests/typing."""
    modules = [spkernels, *(getattr(spkernels, name) for name in ("datasets", "masks", "prune"))]
    for module in modules:
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function):
                parameters = inspect.signature(function).parameters
                assert set(parameters) | {"return"} == set(function.__annotations__), name


def test_types_take_no_time_at_run_time(run_script):
    run_script("import sys, spkernels\nassert 'spkernels._inputs.types' not in sys.modules\n")


@installed
@needs("c++")
def test_the_header_is_cxx_too(tmp_path):
    source = tmp_path / "user.cpp"
    source.write_text("#include <spkernels/spkernels.h>\nint main() { return spk_init(); }\n")
    run("c++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
        f"-I{HEADER.parents[1]}", source)  # fmt: skip


@installed
def test_the_installed_header_is_that_of_this_tree():
    assert HEADER.read_bytes() == (ROOT / "include" / "spkernels" / "spkernels.h").read_bytes()


def symbols_by_member():
    """Symbols that each object of the archive defines for others, as (name of object, symbols)."""
    members = []
    for line in run("nm", "--defined-only", "--extern-only", LIBRARY).splitlines():
        if line.endswith(":"):
            members.append((line[:-1], []))
        elif line.strip():
            members[-1][1].append(line.split()[-1])
    return members


@installed
@needs("nm")
def test_what_the_library_exports():
    declared = set(re.findall(r"\b(spk_\w+)\(", HEADER.read_text()))
    exported = {symbol for _, symbols in symbols_by_member() for symbol in symbols}
    assert all(symbol.startswith("spk_") for symbol in exported)
    assert declared <= exported
    module = run("nm", "-D", "--defined-only", PACKAGE / "_core" / "_lib.abi3.so")
    assert [line.split()[-1] for line in module.splitlines()] == ["PyInit__lib"]


@installed
@needs("nm", "objdump")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="It looks for registers of x86-64.")
def test_no_wide_instruction_outside_of_its_table():
    """A helper compiled for a wider instruction set must not be linked into a narrower path."""
    members = symbols_by_member()
    code = re.split(r"^(\S+): +file format .*$", run("objdump", "-d", LIBRARY), flags=re.MULTILINE)
    assert code[1::2] == [name for name, _ in members]
    tables = {}
    for (name, symbols), text in zip(members, code[2::2], strict=True):
        wide = {register for register in ("%ymm", "%zmm") if register in text}
        if name != "kernels_target.c.o" and not name.startswith("kernels_overlay_"):
            assert not wide, name
            continue
        tables |= {table.removeprefix("spk_kernels__"): wide for table in symbols}
    both = {"%ymm", "%zmm"}
    more = dict.fromkeys(("avx512_vnni", "avx512_vnni_bytes", "avx512_vbmi2"), both)
    half = dict.fromkeys(("avx2", "avx2_vnni", "avx2_vnni_bytes", "avx2_pairs_bytes"), {"%ymm"})
    assert tables == {"scalar": set(), "avx512": both} | more | half
