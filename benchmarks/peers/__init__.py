"""One module per peer: how a user of that library would call it.

A peer module holds

``NAME``
    What tables and JSON call it.
``versions()``
    The versions of what it runs on, as a dict.
``bind(problem)``
    The call to time, as a function without arguments that returns a newly made result.  Everything
    that a user does once per matrix (conversion, hints, optimisation) happens here, untimed.
``to_numpy(result, problem)``
    That result as an array: C for ``spmm``, the values at the stored positions for ``sddmm``.

`bind` raises `NotImplementedError` for a problem that the library has no operation for.
"""
