"""threadpoolctl, without the environment variable that its import sets.

All processes that a user starts from this one would inherit the variable, which hides that a
process has two OpenMP libraries of Intel.  No module of the package may import threadpoolctl before
this module does.
"""

import os

_NAME = "KMP_DUPLICATE_LIB_OK"
_is_the_users = _NAME in os.environ

import threadpoolctl  # noqa: E402

if not _is_the_users:
    os.environ.pop(_NAME, None)

__all__ = ["threadpoolctl"]
