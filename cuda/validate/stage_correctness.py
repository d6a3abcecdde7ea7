"""Results on real matrices against float64, within bounds; the same bits twice; NaN where due."""

import random

import check_attention
import check_sddmm
import check_spmm
import readers
from ours import Library
from progress import Progress

DTYPES = ("float32", "bfloat16", "float16", "float64")


#: The fields of what is to blame for a crash.
BLAMED = ("operation", "dtype", "kernel", "precision")


def run(options, device, deadline, writer):
    """Check every matrix that there is time for, in an order that mixes the kinds."""
    library = Library(options.library, device)
    path = options.output / "correctness.jsonl"
    progress = Progress(path, writer, "correctness", device, BLAMED)
    check_attention.run(library, progress)
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
                    check_spmm.run(library, key, A, dtype, progress)
                    check_sddmm.run(library, key, A, dtype, progress)
        except (ValueError, OSError) as error:
            writer.write(matrix=name, status="unreadable", why=str(error))
    if left:
        writer.write(status="not reached", files=left, of=len(names), why="out of time")
