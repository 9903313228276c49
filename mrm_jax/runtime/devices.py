"""The only file that names devices: mapping, copies of the state, loops over steps.

The training and scoring steps are mapped with `jax.pmap` over AXIS. All values that
enter a mapped call carry a leading axis of devices; `replicate` and `shard_batch` add
it, `unreplicate` and `gather_batch` remove it. AXIS covers the devices of all processes
of a run, the leading axis those of this process, in the same order.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mrm_jax.runtime import processes as processes_lib

AXIS = "batch"
PADDING = -1  # a row that stands for no record
ACCELERATOR_STEPS_PER_CALL = 256
RESIDENT_MEMORY_SHARE = 0.5  # of a device's memory that signals may fill

Tree = TypeVar("Tree")


def device_count() -> int:
    """Returns the number of devices that a mapped call uses, over all processes."""
    return jax.device_count()


def describe() -> str:
    """Returns the devices in words, such as "4 x NVIDIA H100 80GB HBM3"."""
    processes = processes_lib.count()
    where = f" in {processes} processes" if processes > 1 else ""
    return f"{device_count()} x {jax.local_devices()[0].device_kind}{where}"


def steps_per_call() -> int:
    """Returns how many steps one mapped call takes at most on this backend.

    On the CPU a rolled loop with convolutions in it runs some 60 times slower than
    single calls, on an accelerator it saves the launches.
    """
    return ACCELERATOR_STEPS_PER_CALL if supports_scan() else 1


def supports_scan() -> bool:
    """Returns whether a loop over steps may stay a loop in the program."""
    return jax.default_backend() != "cpu"


def resident_bytes() -> int:
    """Returns how many bytes of signals may be on one device, the same everywhere."""
    if jax.default_backend() == "cpu":  # all of its devices share the machine's memory
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = machine // _own_count()
    else:  # unknown on some allocators; then everything is streamed
        limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
    return min(processes_lib.gather(int(RESIDENT_MEMORY_SHARE * limit)))


def free_bytes() -> int:
    """Returns how many bytes of one accelerator nothing lies in yet.

    A tenth is left out, for what libraries of kernels take on top of XLA's plan.

    Raises:
        ValueError: if the backend does not tell.
    """
    known = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in known:
        raise ValueError(f"{describe()}: the backend does not tell its free memory")
    return int(0.9 * (known["bytes_limit"] - known["bytes_in_use"]))


def map_devices(
    function: Callable[..., Any], donate_argnums: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """Returns function mapped over the devices: all arguments have their axis first."""
    devices = None
    if processes_lib.count() > 1:  # each process's together, which JAX does not promise
        devices = sorted(jax.devices(), key=lambda device: device.process_index)
    return jax.pmap(
        function, axis_name=AXIS, devices=devices, donate_argnums=donate_argnums
    )


def loop(
    body: Callable[[Tree, Any], tuple[Tree, Any]], carry: Tree, inputs: Any
) -> tuple[Tree, Any]:
    """Scans body over the leading axis of inputs.

    Rolled on accelerators, written out on the CPU; `steps_per_call` says why. There
    even a scan of one step, which XLA keeps as a loop, would run slowly.
    """
    if supports_scan():
        return jax.lax.scan(body, carry, inputs)
    outputs = []
    for step in range(len(jax.tree.leaves(inputs)[0])):
        carry, output = body(carry, jax.tree.map(lambda x, i=step: x[i], inputs))
        outputs.append(output)
    return carry, jax.tree.map(lambda *values: jnp.stack(values), *outputs)


def replicate(tree: Tree) -> Tree:
    """Returns one copy of every array of tree on each own device, with a leading axis.

    Put on the devices one by one, without a second copy there, and laid out like the
    steps' own results: laid out otherwise, their second call would be compiled anew.
    """
    devices = jax.local_devices()[: _own_count()]
    mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
    layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))

    def copy(values: Any) -> jax.Array:
        """Puts one array on every device."""
        host = np.asarray(values)[np.newaxis]
        parts = [jax.device_put(host, device) for device in devices]
        shape = (len(devices), *host.shape[1:])
        return jax.make_array_from_single_device_arrays(shape, layout, parts)

    return jax.tree.map(copy, tree)


def unreplicate(tree: Tree) -> Tree:
    """Returns the first device's share as NumPy arrays, without the leading axis.

    Reads that device's buffer: indexing a mapped array would gather all of them.
    """
    return jax.tree.map(lambda x: np.asarray(x.addressable_data(0))[0], tree)


def shard_batch(rows: np.ndarray) -> np.ndarray:
    """Returns rows [step, batch] as [own device, step, batch per device], int32.

    A batch that the devices cannot share evenly is filled with PADDING.
    """
    devices = device_count()
    missing = -rows.shape[1] % devices
    rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=PADDING)
    shares = rows.reshape(len(rows), devices, -1).swapaxes(0, 1)
    first = processes_lib.index() * _own_count()
    own = shares[first : first + _own_count()]
    return np.ascontiguousarray(own, dtype=np.int32)


def gather_batch(shares: jax.Array, batch_size: int) -> np.ndarray:
    """Returns [own device, step, batch per device, ...] as [step, batch_size, ...].

    The shares of all processes' devices, on every process.
    """
    joined = np.concatenate(processes_lib.gather(np.asarray(shares)))
    values = joined.swapaxes(0, 1)
    return values.reshape(len(values), -1, *values.shape[3:])[:, :batch_size]


def any_process(flag: Callable[[], bool]) -> Callable[[], bool]:
    """Returns what tells whether flag holds in any process; all get the same answer.

    In several processes flag is read now and the answer is waited for when it is read:
    what was sent to the devices in between need not wait.
    """
    if processes_lib.count() == 1:
        return flag
    answer = _largest()(np.full(_own_count(), int(flag())))
    return lambda: bool(unreplicate(answer))


@functools.cache
def _largest() -> Callable[..., Any]:
    return map_devices(lambda value: jax.lax.pmax(value, AXIS))


def _own_count() -> int:
    """Returns the number of this process's devices, which is every process's."""
    return device_count() // processes_lib.count()


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that the next start takes seconds.

    JAX's own variable JAX_COMPILATION_CACHE_DIR wins over the default folder.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(home / "mrm_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
