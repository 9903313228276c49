"""Compiles a training, scoring or population call for devices that need not be there.

XLA compiles for a described device as it would on one; see
`python -m benchmarks.programs`, which starts this program with the compilers of the
device on its paths. The result is printed as JSON.

Example: python -m benchmarks.compile_for h100 training --dtype bfloat16
"""

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from benchmarks import kernels
from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices
from mrm_jax.sweeps import vectorised
from mrm_jax.training import epoch, input_pipeline, scoring, train_state
from mrm_jax.training.hparams import HParams

WORK = ("training", "scoring", "population")
# The H100 SXM, as XLA describes one to itself.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles one program, prints what it needs, and returns the exit status."""
    args = parser().parse_args(argv)
    target = described_devices(args.target, args.devices)
    call, arguments = program(args, len(target))
    donated = () if args.work == "scoring" else (0,)
    mapped = jax.pmap(
        call, axis_name=devices.AXIS, devices=target, donate_argnums=donated
    )
    backend = "gpu" if args.target == "h100" else "tpu"
    with mock.patch.object(jax, "default_backend", lambda: backend):
        start = time.perf_counter()
        lowered = mapped.lower(*arguments)
        traced = time.perf_counter()
        compiled = lowered.compile()
        seconds = time.perf_counter() - traced
    if args.hlo:
        args.hlo.write_text(compiled.as_text())
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
    found = {
        "device": target[0].device_kind,
        "devices": len(target),
        "trace_s": round(traced - start, 1),
        "compile_s": round(seconds, 1),
        "peak_mib": memory.peak_memory_in_bytes / 2**20,
        "temporary_mib": memory.temp_size_in_bytes / 2**20,
        "arguments_mib": memory.argument_size_in_bytes / 2**20,
        "code_mib": memory.generated_code_size_in_bytes / 2**20,
        "xla_gflop": cost.get("flops", 0) / 1e9,
        "xla_gb": cost.get("bytes accessed", 0) / 1e9,
    }
    if args.target == "h100":
        found |= _kernels(compiled.as_text())
    else:
        found["cycles"] = kernels.cycles(compiled.as_text())
    print(json.dumps(found))
    return 0


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("target", help="h100, or a TPU topology such as v5e:2x2")
    flags.add_argument("work", choices=WORK)
    flags.add_argument("--devices", type=int, default=1, help="of a GPU target")
    flags.add_argument("--batch", type=int, default=96, help="(%(default)s)")
    flags.add_argument("--labels", type=int, default=71, help="(%(default)s)")
    flags.add_argument("--samples", type=int, default=1000, help="(%(default)s)")
    flags.add_argument("--width", type=int, default=16, help="(%(default)s)")
    flags.add_argument("--records", type=int, default=17_441, help="(%(default)s)")
    flags.add_argument("--settings", type=int, default=8, help="(%(default)s)")
    flags.add_argument("--steps", type=int, default=8, help="of a call (%(default)s)")
    flags.add_argument("--dtype", choices=network.COMPUTE_DTYPES, default="float32")
    flags.add_argument("--hlo", type=Path, help="where the program is written, too")
    return flags


def described_devices(target: str, count: int) -> Sequence[Any]:
    """Returns devices that need not be there."""
    if target != "h100":
        return topologies.get_topology_desc(target, platform="tpu").devices
    return topologies.get_topology_desc(
        "", platform="cuda", topology=f"1x1x{count}", target_config=H100
    ).devices


def program(
    args: argparse.Namespace, num_devices: int
) -> tuple[Callable[..., Any], list[Any]]:
    """Returns the call of a device, and its arguments for all of them, as shapes."""
    population = args.work == "population"
    model = network.MRMNet(
        args.labels,
        args.samples,
        args.width,
        compute_dtype=args.dtype,
        axis_name=None if population else devices.AXIS,
    )
    state = train_state.shapes(model)
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    records = input_pipeline.Records(
        jax.ShapeDtypeStruct((args.records, args.samples * 12), jnp.int16),
        jax.ShapeDtypeStruct((args.records, args.labels), jnp.uint8),
        scalar,
        scalar,
        num_leads=12,
    )
    hparams = jax.tree.map(lambda _: scalar, HParams())
    share = args.batch if population else args.batch // num_devices
    rows = jax.ShapeDtypeStruct((args.steps, share), jnp.int32)
    if population:
        one = (vectorised.VectorisedRuns(state, hparams), rows)
        runs, rows = _stacked(one, args.settings)
        shared = vectorised.Program(model, args.batch, "vmap")
        return vectorised.train_call(shared), _stacked(
            [runs, records, rows], num_devices
        )
    call: Callable[..., Any] = functools.partial(scoring.predict_steps, model=model)
    arguments: list[Any] = [state, records, rows]
    if args.work == "training":
        call = functools.partial(epoch.train_steps, model=model)
        arguments.append(hparams)
    return call, _stacked(arguments, num_devices)


def _stacked(tree: Any, count: int) -> Any:
    """Returns shapes with a leading axis."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), tree
    )


def _kernels(text: str) -> dict[str, Any]:
    """Returns the kernels of a step, and of the call around the steps."""
    found = kernels.count(text, network.MRMNet.__qualname__)
    step = [kernel for kernel in found if kernel.in_loop]
    return {
        "kernels": len(step),
        "moved_gb": sum(kernel.moved for kernel in step) / 1e9,
        "convolutions_gflop": sum(kernel.flops for kernel in step) / 1e9,
        "kernels_of_a_call": len(found) - len(step),
        "by_kind": kernels.by(step, "kind"),
        "by_origin": kernels.by(step, "origin"),
    }


if __name__ == "__main__":
    sys.exit(main())
