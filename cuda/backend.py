"""Builds by meson-python, and says of the wheel that any Python can have it.

What meson-python finds beside a package it takes for a module of this very Python; what is there is
a library that Python never imports.
"""

import subprocess
import sys
from pathlib import Path

import mesonpy
from mesonpy import *  # noqa: F403 - the hooks that are as they were


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build a wheel tagged ``py3-none``."""
    name = mesonpy.build_wheel(wheel_directory, config_settings, metadata_directory)
    tagged = subprocess.run(
        [sys.executable, "-m", "wheel", "tags", "--remove", "--python-tag", "py3", "--abi-tag",
         "none", str(Path(wheel_directory, name))],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Path(tagged.stdout.split()[-1]).name
