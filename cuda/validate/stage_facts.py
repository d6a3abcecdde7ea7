"""What the machine is, and the rooflines that it reaches here: nothing is set, only read."""

import subprocess

from timing import GpuClock

QUERY = "name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,power.limit"
COPIED = 2 << 30
SIDE = 8192


def run(options, device, deadline, writer):
    """Write each fact; one that cannot be had says why."""
    facts = {
        "nvidia_smi_before": nvidia_smi,
        "multiprocessors": lambda: attribute("MultiProcessorCount"),
        "L2_bytes": lambda: attribute("L2CacheSize"),
        "driver_and_runtime": versions,
        "torch": lambda: __import__("torch").__version__,
        "cupy": lambda: __import__("cupy").__version__,
        "cusparse": lambda: cusparse_version(device),
        "cublas": cublas_version,
        "event_floor_us": floor,
        "copy_GB_per_s": copy,
        "sgemm_TFLOP_per_s": lambda: matmul("float32", False),
        "tf32_TFLOP_per_s": lambda: matmul("float32", True),
        "bf16_TFLOP_per_s": lambda: matmul("bfloat16", False),
        "nvidia_smi_after": nvidia_smi,
    }
    for name, find in facts.items():
        if deadline.passed():
            writer.write(fact=name, value=None, why="out of time")
            continue
        try:
            writer.write(fact=name, value=find())
        except Exception as reason:  # of any library: one fact less
            writer.write(fact=name, value=None, why=f"{type(reason).__name__}: {reason}"[:300])


def nvidia_smi():
    """What it says of the GPU, clocks as they are."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"{QUERY}: {shown.stdout.strip()}"


def attribute(name):
    """An attribute of the device."""
    import cupy

    return cupy.cuda.Device().attributes[name]


def versions():
    """The CUDA of the driver, and the runtime's."""
    from cupy.cuda import runtime

    return f"{runtime.driverGetVersion()}, {runtime.runtimeGetVersion()}"


def cusparse_version(device):
    """As the library that is timed says."""
    from cusparse import CuSparse

    return CuSparse(device).version


def cublas_version():
    """As the library says that CuPy has loaded."""
    from cupy.cuda.device import get_cublas_handle
    from cupy_backends.cuda.libs import cublas

    return cublas.getVersion(get_cublas_handle())


def floor():
    """What two events with nothing between them are apart."""
    return GpuClock().flushed(lambda stream: None).record["median_us"]


def copy():
    """Bytes read and written by a copy on the device."""
    import cupy

    source, target = cupy.ones(COPIED, cupy.uint8), cupy.empty(COPIED, cupy.uint8)
    clock, kind = GpuClock(4), cupy.cuda.runtime.memcpyDeviceToDevice

    def call(stream):
        cupy.cuda.runtime.memcpyAsync(target.data.ptr, source.data.ptr, COPIED, kind, stream)

    return 2 * COPIED / clock.flushed(call).record["median_us"] / 1e3


def matmul(dtype, tf32):
    """The rate of cuBLAS's product of random matrices."""
    import torch

    clock = GpuClock(4)
    torch.cuda.set_stream(torch.cuda.ExternalStream(clock.stream.ptr))
    left, right = (
        torch.randn(SIDE, SIDE, device="cuda").to(getattr(torch, dtype)) for _ in range(2)
    )
    out = torch.empty_like(left)
    torch.backends.cuda.matmul.allow_tf32 = tf32
    sample = clock.flushed(lambda stream: torch.mm(left, right, out=out))
    return 2 * SIDE**3 / sample.record["median_us"] / 1e6
