"""softmax(Q K^T over a mask) V, of made masks."""

import bounds
import numpy as np
from device import from_bits, to_bits
from ours import Failed, NotThere, Prepared
from patterns import MASKS, with_values

#: Rows, density, batch, heads, heads of K and V, width of Q and K, width of V.
CASES = (
    (96, 0.1, 1, 2, 2, 64, 64),
    (96, 0.3, 2, 4, 2, 128, 128),
    (160, 0.2, 1, 3, 1, 40, 72),
    (512, 0.1, 2, 4, 4, 64, 64),
    (1024, 0.05, 1, 4, 2, 128, 128),
    (256, 0.2, 1, 2, 1, 256, 200),
)


def run(library, progress):
    """Attempt each mask and dtype."""
    few = library.device.emulated
    for size, *rest in CASES[:1] if few else CASES:
        for name, make in list(MASKS.items())[: 2 if few else None]:
            rng = np.random.default_rng(size)
            mask = make(size, rest[0], rng)
            mask[size // 2] = False  # a row without any entry
            for dtype in ("float16", "bfloat16"):
                record = {"operation": "attention", "matrix": f"{name}-{size}", "dtype": dtype}
                record |= {"kernel": "auto", "heads": rest[2], "d": rest[4], "dv": rest[5]}
                asked = (library, mask, dtype, *rest[1:])
                progress.attempt(record, lambda asked=asked: [one(*asked)])


def one(library, mask, dtype, batch, heads, kv_heads, d, dv):
    """Return the status of a mask, with what was wrong."""
    device, rng, rows = library.device, np.random.default_rng(3), mask.shape[0]
    xp = device.xp
    try:
        prepared = Prepared(library, with_values(mask, rng), dtype, "attention", width=d)
        shapes = [(batch, heads, rows, d), (batch, kv_heads, rows, d), (batch, kv_heads, rows, dv)]
        Q, K, V = (to_bits(xp, device.put(rng.standard_normal(shape)), dtype) for shape in shapes)
        out = device.room(batch * heads * rows * dv * 2).view(Q.dtype)
        out = out.reshape(batch, heads, rows, dv)
        lse = xp.full((batch, heads, rows), xp.nan, np.float32)
        product = prepared.attend(Q, K, V, out, lse, 1 / np.sqrt(d))
        product()
        device.synchronize()
        share, faults = compare(device, mask, dtype, Q, K, V, out, lse)
        first = out.copy()
        out[...] = 0
        product()
        device.synchronize()
        if not bool((out.view(np.uint16) == first.view(np.uint16)).all()):
            faults.append("other bits the second time")
    except NotThere as reason:
        return {"status": "not there", "why": str(reason)}
    except Failed as reason:
        return {"status": "failed", "why": str(reason)}
    return {"status": "wrong" if faults else "ok", "worst": share, "why": "; ".join(faults)}


def compare(device, mask, dtype, Q, K, V, out, lse):
    """Return the worst share of the bound over all heads, and what was wrong."""
    xp, faults, largest = device.xp, set(), 0.0
    Q, K, V = (from_bits(part, dtype).astype(np.float64) for part in (Q, K, V))
    kept, width = device.put(mask), Q.shape[-1]
    some = device.put(mask.any(axis=1))
    count = device.put(mask.sum(axis=1).astype(float)[:, None])
    share_of_heads = Q.shape[1] // K.shape[1]
    for b in range(Q.shape[0]):
        for h in range(Q.shape[1]):
            q, k, v = Q[b, h], K[b, h // share_of_heads], V[b, h // share_of_heads]
            logits = xp.where(kept, q @ k.T / np.sqrt(width), -xp.inf)
            top = xp.where(some, logits.max(axis=1), 0)[:, None]
            weights = xp.exp(logits - top)
            total = xp.where(some, weights.sum(axis=1), 1)[:, None]
            weights = weights / total
            sizes = xp.where(kept, xp.abs(q) @ xp.abs(k).T / np.sqrt(width), 0).max(axis=1)
            exact = weights @ v
            bound = bounds.of_attention(
                xp, sizes[:, None], width, weights @ xp.abs(v), exact, count, dtype
            )
            got = from_bits(out[b, h], dtype)
            largest = max(largest, bounds.worst(xp, got, exact, bound))
            if not bool((got[~some] == 0).all()):
                faults.add("a row without entries is not 0")
            error = xp.abs(lse[b, h].astype(np.float64) - (top + xp.log(total))[:, 0])
            if not bool((error[some] <= 1e-4 * (1 + sizes[some])).all()):
                faults.add("the logarithm of the sum of exponentials is wrong")
    if largest > 1:
        faults.add(f"{largest:.3g} times the bound")
    return largest, sorted(faults)
