"""Mapping over devices, copies of the state, and loops over steps.

This is the only module that accesses devices. The training and scoring steps are
mapped with `jax.pmap` over AXIS. All values that enter a mapped call have a leading
axis of devices: `replicate` and `shard_batch` add it, `unreplicate` and `gather_batch`
remove it. AXIS covers the devices of all processes of a run. The leading axis covers
the local devices, those of this process, in the same order.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mrm_jax.runtime import kept_programs
from mrm_jax.runtime import processes as processes_lib

AXIS = "batch"
PADDING = -1  # a row without a record
ACCELERATOR_STEPS_PER_CALL = 256
RESIDENT_MEMORY_SHARE = 0.5  # of a device's memory that signals may fill

Tree = TypeVar("Tree")


def device_count() -> int:
    """Returns the number of devices that a mapped call uses, over all processes."""
    return jax.device_count()


def describe() -> str:
    """Describes the devices, for example as "4 x NVIDIA H100 80GB HBM3"."""
    processes = processes_lib.count()
    where = f" in {processes} processes" if processes > 1 else ""
    return f"{device_count()} x {jax.local_devices()[0].device_kind}{where}"


def steps_per_call() -> int:
    """Returns the maximum number of steps in one mapped call on this backend.

    On the CPU a rolled loop with convolutions runs about 60 times slower than single
    calls. On an accelerator it saves the launches.
    """
    return ACCELERATOR_STEPS_PER_CALL if supports_scan() else 1


def supports_scan() -> bool:
    """Returns whether loops over steps are compiled as loops, not unrolled."""
    return jax.default_backend() != "cpu"


def is_gpu() -> bool:
    """Returns whether the devices are GPUs."""
    return jax.default_backend() == "gpu"


def resident_bytes() -> int:
    """Returns the limit for signals on one device, in bytes, equal in all processes."""
    if jax.default_backend() == "cpu":  # all of its devices share the machine's memory
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = machine // _own_count()
    else:  # unknown with some allocators; then all is streamed
        limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
    return min(processes_lib.gather(int(RESIDENT_MEMORY_SHARE * limit)))


def free_bytes() -> int:
    """Returns the free memory of one accelerator, in bytes.

    A tenth is subtracted, for what kernel libraries allocate beyond XLA's plan.

    Raises:
        ValueError: if the backend does not report its memory.
    """
    known = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in known:
        raise ValueError(f"{describe()}: the backend does not report its free memory.")
    return int(0.9 * (known["bytes_limit"] - known["bytes_in_use"]))


def map_devices(
    function: Callable[..., Any], donate_argnums: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """Maps function over the devices, which are the first axis of all arguments.

    Args:
        function: function of one device's share.
        donate_argnums: arguments whose memory is reused.
    """
    devices = None
    if processes_lib.count() > 1:  # grouped by process, which JAX does not guarantee
        devices = sorted(jax.devices(), key=lambda device: device.process_index)
    return jax.pmap(
        function, axis_name=AXIS, devices=devices, donate_argnums=donate_argnums
    )


def map_and_keep(
    function: Callable[..., Any], identity: Any, donate_argnums: tuple[int, ...] = ()
) -> kept_programs.KeptCall:
    """Maps function as `map_devices`, and keeps its programs between processes.

    Args:
        function: function of one device's share.
        identity: what it depends on, see `kept_programs.KeptCall`.
        donate_argnums: arguments whose memory is reused.
    """
    return kept_programs.KeptCall(map_devices(function, donate_argnums), identity)


def loop(
    body: Callable[[Tree, Any], tuple[Tree, Any]], carry: Tree, inputs: Any
) -> tuple[Tree, Any]:
    """Scans body over the leading axis of inputs.

    The loop is rolled on accelerators and unrolled on the CPU; see `steps_per_call` for
    the reason. On the CPU even a scan of one step would run slowly, since XLA keeps it
    as a loop.
    """
    if supports_scan():
        return jax.lax.scan(body, carry, inputs)
    outputs = []
    for step in range(len(jax.tree.leaves(inputs)[0])):
        carry, output = body(carry, jax.tree.map(lambda x, i=step: x[i], inputs))
        outputs.append(output)
    return carry, jax.tree.map(lambda *values: jnp.stack(values), *outputs)


def replicate(tree: Tree) -> Tree:
    """Copies every array of tree to each local device, with a leading axis.

    Each device gets its copy from the host, without a second one there. The copies have
    the same sharding as the results of the steps: with another one, the second call of
    a step would be recompiled.
    """
    devices = jax.local_devices()[: _own_count()]
    mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
    layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))

    def repeat(values: Any) -> np.ndarray:
        """Returns a view of one array for all local devices."""
        host = np.asarray(values)
        return np.broadcast_to(host, (len(devices), *host.shape))

    return jax.device_put(jax.tree.map(repeat, tree), layout)


def unreplicate(tree: Tree) -> Tree:
    """Returns the first device's share as NumPy arrays, without the leading axis.

    It reads that device's buffer. Indexing a mapped array would gather all of them.
    """
    return jax.tree.map(lambda x: np.asarray(x.addressable_data(0))[0], tree)


def shard_batch(rows: np.ndarray) -> np.ndarray:
    """Returns rows [step, batch] as [local device, step, batch per device], int32.

    A batch that the devices cannot share evenly is filled up with PADDING.
    """
    devices = device_count()
    missing = -rows.shape[1] % devices
    rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=PADDING)
    shares = rows.reshape(len(rows), devices, -1).swapaxes(0, 1)
    first = processes_lib.index() * _own_count()
    own = shares[first : first + _own_count()]
    return np.ascontiguousarray(own, dtype=np.int32)


def gather_batch(shares: jax.Array, batch_size: int) -> np.ndarray:
    """Returns [local device, step, batch per device, ...] as [step, batch_size, ...].

    The result joins the shares of all processes' devices, on every process.
    """
    joined = np.concatenate(processes_lib.gather(np.asarray(shares)))
    values = joined.swapaxes(0, 1)
    return values.reshape(len(values), -1, *values.shape[3:])[:, :batch_size]


def any_process(flag: Callable[[], bool]) -> Callable[[], bool]:
    """Returns a function that tells whether flag is true in any process.

    All processes get the same answer. With several processes flag is called now, and
    the returned function waits for the answer. Work that is sent to the devices in
    between need not wait.
    """
    if processes_lib.count() == 1:
        return flag
    answer = _largest()(np.full(_own_count(), int(flag())))
    return lambda: bool(unreplicate(answer))


@functools.cache
def _largest() -> Callable[..., Any]:
    return map_devices(lambda value: jax.lax.pmax(value, AXIS))


def _own_count() -> int:
    """Returns the number of local devices, which is the same in every process."""
    return device_count() // processes_lib.count()
