"""Results on real matrices against float64, within bounds; the same bits twice; NaN where due."""

import random

import check_attention
import check_sddmm
import check_spmm
import readers
from ours import Library

DTYPES = ("float32", "bfloat16", "float16", "float64")


def run(options, device, deadline, writer):
    """Check every matrix that there is time for, in an order that mixes the kinds."""
    library = Library(options.library, device)
    check_attention.run(library, writer, options.quick)
    names = readers.names(options.data) if options.data else []
    random.Random(0).shuffle(names)
    left = 0
    for name in names:
        if deadline.passed():
            left += 1
            continue
        try:
            for key, A in readers.load(options.data, name):
                for dtype in DTYPES:
                    check_spmm.run(library, key, A, dtype, writer)
                    check_sddmm.run(library, key, A, dtype, writer)
        except (ValueError, OSError) as error:
            writer.write(matrix=name, status="unreadable", why=str(error))
    if left:
        writer.write(status="not reached", files=left, of=len(names), why="out of time")
