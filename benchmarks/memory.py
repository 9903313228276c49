"""Compares the peak memory of training in mrm_jax and PyTorch, in separate processes.

On a GPU, this is the peak that the allocator reports. On the CPU, it is the resident
memory of the process, including its imports and the compiler.

Example: python -m benchmarks.memory --batches 32 96
"""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

from benchmarks import harness
from benchmarks import load as loads

EAGER, OURS = "pytorch eager", "mrm_jax"
STEPS = 3
POLL_S = 0.02
CODE = {
    OURS: """
import json, sys, jax
from benchmarks import jax_side, load
from mrm_jax.runtime import compiler
compiler.set_up()
size = load.Load(*map(int, sys.argv[2:]))
jax_side.JaxSide(size, compute_dtype=sys.argv[1]).train()
found = jax.local_devices()[0].memory_stats() or {}
print(json.dumps(found.get("peak_bytes_in_use")))
""",
    EAGER: """
import json, sys, torch
from benchmarks import load, torch_side
size = load.Load(*map(int, sys.argv[2:]))
torch_side.TorchSide(size, bfloat16=sys.argv[1] == "bfloat16").train()
gpu = torch.cuda.is_available()
print(json.dumps(torch.cuda.max_memory_allocated() if gpu else None))
""",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    parser = harness.flags(__doc__, rounds=None)
    harness.add_network_flags(parser, (96,))
    harness.add_dtype_flag(parser)
    args = parser.parse_args(argv)
    found: dict[str, dict[str, float]] = {}
    for batch, dtype in itertools.product(args.batches, args.dtypes):
        load = loads.Load(batch, args.labels, args.samples, STEPS)
        shape = harness.describe(load, dtype)
        size = [dtype, *map(str, dataclasses.astuple(load))]
        found[shape] = {name: _peak_mib(code, size) for name, code in CODE.items()}
        print(f"\npeak memory, MiB: {shape}")
        for name, mib in found[shape].items():
            ratio = mib / found[shape][EAGER]
            print(f"{name:20}{mib:10,.0f}{ratio:8.2f}", flush=True)
    harness.save(args.out, "memory", {"peak_mib": found})
    return 0


def _peak_mib(code: str, size: Sequence[str]) -> float:
    """Returns the peak on the device, or that of the process if the device has none."""
    # The second run has a warm cache, so that compilation does not count.
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *size],
            stdout=subprocess.PIPE,
            env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        )
        resident = _watch(process)
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(
                f"The measured process failed with status {process.returncode}."
            )
    device = json.loads(output.splitlines()[-1])
    return (resident if device is None else device) / 2**20


def _watch(process: subprocess.Popen[bytes]) -> int:
    """Waits for a process to end and returns its peak resident memory, in bytes."""
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, psutil.Process(process.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(POLL_S)
    return peak


if __name__ == "__main__":
    sys.exit(main())
