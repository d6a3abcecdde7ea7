"""A page of tables from the records: each answers a question."""

from pathlib import Path

from records import geometric_mean, grouped, read

#: Ranges of sparsity that a dense product is compared in.
BANDS = ((0, 0.6), (0.6, 0.75), (0.75, 0.85), (0.85, 0.93), (0.93, 0.97), (0.97, 1.01))
#: How many failures are told.
MAX_LISTED = 12
BAD = ("wrong", "failed", "crashed", "unreadable")


def make(folder):
    """Return the text of the page, and whether nothing was wrong."""
    stages = read(Path(folder) / "stages.jsonl")
    checks = read(Path(folder) / "correctness.jsonl")
    timings = read(Path(folder) / "timings.jsonl")
    parts = ["# What a GPU says of the library", facts(stages), ended(stages)]
    parts += [correctness(checks), *spmm(timings), *others(timings), problems(timings)]
    sound = not any(record.get("status") in BAD for record in stages + checks)
    return "\n\n".join(filter(None, parts)) + "\n", sound


def table(title, head, rows):
    """A table in Markdown; nothing without rows."""
    if not rows:
        return ""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(map(shown, row)) + " |" for row in rows]
    return f"## {title}\n\n" + "\n".join(lines)


def shown(value):
    """A value in three digits."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "/")


def facts(stages):
    """What the machine is."""
    found = [record for record in stages if "fact" in record]
    rows = [(record["fact"], record.get("value", record.get("why"))) for record in found]
    return table("The machine", ("fact", "value"), rows)


def ended(stages):
    """How each stage ended, and what the tests and the sanitizer said."""
    rows = [
        (record.get("done") or record.get("tool") or record.get("stage"), record["status"])
        + (record.get("seconds"), record.get("why", "")[:160])
        for record in stages
        if "status" in record
    ]
    return table("The stages", ("stage", "status", "seconds", "why"), rows)


def correctness(checks):
    """Matrices per kernel: right, wrong, not there; the largest share of the error bound."""
    rows = []
    names = ("operation", "dtype", "kernel", "precision")
    checked = [record for record in checks if "operation" in record]
    for key, group in sorted(grouped(checked, *names).items(), key=str):
        counts = [sum(record["status"] == s for record in group) for s in ("ok", "wrong", "failed")]
        if not any(counts):
            continue  # not there: told below
        worst = max((float(record["worst"]) for record in group if "worst" in record), default=None)
        rows.append((*key, *counts, worst))
    head = (*names, "ok", "wrong", "failed", "worst / bound")
    text = table("Results against float64, matrices that were checked", head, rows)
    absent = {
        " ".join(filter(None, (record["operation"], record["kernel"], record.get("precision"))))
        for record in checked
        if record["status"] == "not there"
    } - {" ".join(filter(None, (row[0], row[2], row[3]))) for row in rows}
    if absent:
        text += "\n\nNot there: " + ", ".join(sorted(absent)) + "."
    told = [record for record in checks if record.get("status") in (*BAD, "not reached")]
    return "\n".join([text, "", *map(tell, told[:MAX_LISTED])]).rstrip()


def tell(record):
    """A line about what went wrong."""
    fields = ("stage", "operation", "matrix", "n", "k", "dtype", "kernel", "precision")
    fields += ("contender", "algorithm", "files", "status", "why")
    return "- " + " ".join(str(record[name])[:140] for name in fields if record.get(name))


class Cell:
    """The times of one problem: a matrix, a number of columns and a dtype."""

    def __init__(self, group):
        self.sparsity = group[0].get("sparsity", 0.0)
        self._times = {
            (record["contender"], record["algorithm"], record["l2"]): record["median_us"]
            for record in group
        }

    def time(self, contender, algorithm=None, l2="warm"):
        """The median of an algorithm, or of the fastest; None of none."""
        found = [
            time
            for (name, kind, state), time in self._times.items()
            if name == contender and algorithm in (None, kind) and state in (l2, "queued")
        ]
        return min(found, default=None)


def cells(timings, *, stage, **wanted):
    """The problems of a stage that have these fields."""
    found = [
        record
        for record in timings
        if record.get("stage") == stage
        and record.get("status") == "ok"
        and all(record.get(name) == value for name, value in wanted.items())
    ]
    names = ("matrix", "rows", "cols", "nnz", "n", "dtype")
    return [Cell(group) for group in grouped(found, *names).values()]


def ratios(cells, theirs, ours=("ours", "auto")):
    """Their time over ours of every problem where both were timed: above 1 we are faster."""
    pairs = [(cell.time(*theirs), cell.time(*ours)) for cell in cells]
    return [their / our for their, our in pairs if their and our]


def values(timings, stage, name):
    """The values of a field among the records of a stage that were timed, sorted."""
    found = [r for r in timings if r.get("stage") == stage and r.get("status") == "ok"]
    return sorted({record[name] for record in found}, key=str if name != "n" else None)


def spmm(timings):
    """Tables of float32 products: layers and graphs."""
    yield against(timings, "spmm", "float32 SpMM on pruned layers: times of others / ours (auto)")
    yield by_sparsity(timings)
    yield families(timings)
    yield against(timings, "graphs", "float32 SpMM on graphs and meshes: others / ours (auto)")


def against(timings, stage, title):
    """The geometric mean of ratios, and the worst, per number of columns."""
    rows = []
    for n in values(timings, stage, "n"):
        found = cells(timings, stage=stage, n=n)
        best = ratios(found, ("cusparse",))
        cold = ratios(found, ("cusparse", None, "flushed"), ("ours", "auto", "flushed"))
        rows.append(
            (
                n,
                len(found),
                geometric_mean(ratios(found, ("cupy", None, "calls"), ("ours", "python", "calls"))),
                geometric_mean(ratios(found, ("cupy", None, "calls"))),
                geometric_mean(best),
                min(best, default=None),
                geometric_mean(cold),
                min(cold, default=None),
                geometric_mean(ratios(found, ("torch.sparse",))),
                geometric_mean(ratios(found, ("cublas", "dense"))),
                geometric_mean(ratios(found, ("ours",))),
            )
        )
    head = ("n", "matrices", "CuPy / ours, both from Python", "CuPy / our kernel")
    head += ("best cuSPARSE", "its worst", "best cuSPARSE, L2 flushed", "its worst")
    head += ("torch.sparse", "sgemm", "our best kernel")
    return table(title, head, rows)


def by_sparsity(timings):
    """Dense products over ours, by ranges of sparsity."""
    rows = []
    for n in values(timings, "spmm", "n"):
        for low, high in BANDS:
            found = [c for c in cells(timings, stage="spmm", n=n) if low <= c.sparsity < high]
            strict = ratios(found, ("cublas", "dense"))
            tf32 = ratios(found, ("cublas", "dense/tf32"), ("ours", "auto/tf32"))
            if strict or tf32:
                means = (geometric_mean(strict), geometric_mean(tf32))
                rows.append((n, f"{low:.0%}..{min(high, 1):.0%}", len(found), *means))
    head = ("n", "sparsity", "matrices", "sgemm / ours", "TF32 gemm / ours in TF32")
    return table("Dense products against ours, by sparsity", head, rows)


def families(timings):
    """How fast each of our kernels is beside the one that is chosen."""
    rows = []
    ours = [record for record in timings if record.get("contender") == "ours"]
    names = [name for name in values(ours, "spmm", "algorithm") if name != "python"]
    for name in names:
        row = [name]
        for n in values(timings, "spmm", "n"):
            found = ratios(cells(timings, stage="spmm", n=n), ("cusparse",), ("ours", name))
            row.append(geometric_mean(found))
        rows.append(row)
    head = ("kernel", *(f"n = {n}" for n in values(timings, "spmm", "n")))
    title = "The best cuSPARSE algorithm / each of our kernels"
    return table(title, head, rows if any(any(row[1:]) for row in rows) else [])


def others(timings):
    """Tables of the other stages, by pattern and sparsity."""
    sampled = {"cuSPARSE": ("cusparse",), "sampled_addmm": ("torch.sparse",)}
    sampled["dense"] = ("cublas", "dense")
    title = "SDDMM on attention masks: others / ours"
    yield by(timings, "sddmm", title, sampled, "dtype", "matrix")
    yield by(timings, "sddmm", title + ", by sparsity", sampled, "dtype", "target")
    rounding = {"cuSPARSE": ("cusparse",), "dense in TF32": ("cublas", "dense/tf32")}
    title = "SDDMM in TF32: others / ours"
    ours = ("ours", "auto/tf32")
    yield by(timings, "sddmm", title, rounding, "dtype", "target", ours=ours)
    shared = {"cuBLAS": ("cublas",), "cuSPARSE": ("cusparse",), "our best kernel": ("ours",)}
    title = "16-bit SpMM where rows share columns: others / ours (auto)"
    yield by(timings, "shared", title, shared, "dtype", "matrix", "target")
    attention = {"SDPA with the mask": ("sdpa", "mask"), "SDPA without": ("sdpa", "no mask")}
    attention["FlexAttention"] = ("flex",)
    title = "Attention, bfloat16: others / ours"
    yield by(timings, "attention", title, attention, "matrix", "target")


def by(timings, stage, title, contenders, *names, ours=("ours", "auto")):
    """Geometric means, a row for each combination of these fields."""
    rows = []
    mine = [r for r in timings if r.get("stage") == stage and r.get("status") == "ok"]
    for key, group in sorted(grouped(mine, *names).items(), key=str):
        found = cells(group, stage=stage)
        means = [geometric_mean(ratios(found, theirs, ours)) for theirs in contenders.values()]
        if any(means):
            rows.append((*key, len(found), *means))
    return table(title, (*names, "problems", *contenders), rows)


def problems(timings):
    """What could not be timed, told once per contender and reason."""
    lines = []
    bad = [r for r in timings if r.get("status") in ("failed", "crashed", "not there")]
    for key, group in grouped(bad, "stage", "contender", "status", "why").items():
        what = sorted({f"{r.get('algorithm', '')} {r.get('dtype', '')}" for r in group})
        line = f"- {' '.join(str(k)[:160] for k in key if k)} ({', '.join(what)})"
        lines.append(line[:240])
    left = sum(record.get("status") == "not reached" for record in timings)
    if left:
        lines.append(f"- not reached, for want of time: {left} groups of timings")
    return "## What was not timed\n\n" + "\n".join(lines[: 2 * MAX_LISTED]) if lines else ""
