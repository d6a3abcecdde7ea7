"""threadpoolctl, without the variable that it sets when it is imported.

It would reach all processes that a user starts from this one, and hide that two OpenMP libraries of
Intel are in one of them.  Nothing of the package may import it before this module does.
"""

import os

_NAME = "KMP_DUPLICATE_LIB_OK"
_is_the_users = _NAME in os.environ

import threadpoolctl  # noqa: E402

if not _is_the_users:
    os.environ.pop(_NAME, None)

__all__ = ["threadpoolctl"]
