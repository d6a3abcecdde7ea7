"""Check that the C sources include downwards only, and that no two of their files need each other.

Each folder of ``src`` and ``cuda/src`` is a floor.  A file may include headers of its own floor and
of those below.  A unit is a header and the source of the same name; units must not form a circle.
A public function, of ``include/spkernels/spkernels.h``, is defined in ``src/api`` alone.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: From the lowest floor to the highest.
FLOORS = {
    "src": ("common", "kernels", "threads", "dispatch", "pack", "plan", "driver", "api"),
    "cuda/src": ("pack", "device", "kernels", "driver", "api"),
}
#: What the CUDA library may include of the CPU's core.
SHARED = ("src/common/",)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
PUBLIC = re.compile(r"\b(spk_[a-z0-9_]+)\(")
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def sources(folder):
    """Return the files of a folder that Git knows, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ends = (".c", ".h", ".cu", ".cpp", ".def", ".in")
    return [name for name in listed.stdout.split() if name.endswith(ends)]


def included(name):
    """Yield the files that one includes, relative to the root."""
    for found in INCLUDE.findall((ROOT / name).read_text(encoding="utf-8")):
        for base in (os.path.dirname(name), "include", "src/kernels"):
            path = os.path.normpath(os.path.join(base, found))
            if (ROOT / path).is_file():
                yield path
                break


def floor_of(name, top):
    """Return the name of the floor that a file lies on; that of no folder is below all."""
    rest = name.removeprefix(f"{top}/")
    return rest.split("/")[0] if "/" in rest else None


def unit_of(name):
    """Return what a header and the source of the same name have in common."""
    return re.sub(r"(\.inc)?\.\w+$", "", name)


def upward(top, floors):
    """Yield a line for each include of a higher floor or of another tree."""
    for name in sources(top):
        floor = floor_of(name, top)
        for other in included(name):
            if other.startswith("include/") or floor is None:
                continue
            if not other.startswith(f"{top}/"):
                if not other.startswith(SHARED):
                    yield f"{name} includes {other}: not of {top}"
            elif floors.index(floor_of(other, top)) > floors.index(floor):
                yield f"{name} includes {other}: {floor} is below {floor_of(other, top)}"


def circles(top):
    """Yield a line for each circle of units."""
    needs = {}
    for name in sources(top):
        if name.endswith((".inc.h", ".def")):
            continue  # templates, which are included where they are meant to be compiled
        unit = needs.setdefault(unit_of(name), set())
        unit |= {unit_of(other) for other in included(name)} - {unit_of(name)}
    done = set()

    def visit(unit, path):
        if unit in path:
            yield " -> ".join([*path[path.index(unit) :], unit])
        elif unit not in done:
            for other in sorted(needs.get(unit, ())):
                yield from visit(other, [*path, unit])
            done.add(unit)

    for unit in sorted(needs):
        yield from visit(unit, [])


def elsewhere():
    """Yield a line for each public function that is not defined in src/api."""
    header = COMMENT.sub("", (ROOT / "include/spkernels/spkernels.h").read_text(encoding="utf-8"))
    for function in sorted(set(PUBLIC.findall(header))):
        defined = re.compile(rf"^[a-z][^;={{}}()\n]*\b{function}\([^;]*?\)\s*\{{", re.M)
        homes = [
            name
            for name in sources("src")
            if name.endswith(".c") and defined.search((ROOT / name).read_text(encoding="utf-8"))
        ]
        if len(homes) != 1 or not homes[0].startswith("src/api/"):
            yield f"{function} is defined in {', '.join(homes) or 'no file'}: not in src/api"


def main():
    """Print what is wrong, a line each; return whether something is."""
    wrong = [*elsewhere()]
    for top, floors in FLOORS.items():
        wrong += [*upward(top, floors), *circles(top)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
