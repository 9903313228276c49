"""Start and end of the processes of a run over several hosts."""

import collections
import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator

import jax

from mrm_jax.runtime import processes

START_TIMEOUT_S = 300  # how long a process waits for all to start
END_TIMEOUT_S = 20  # how long a process waits for all to end
PEER_TIMEOUT_S = 60

LAST_WORD = """error: process {pid} on {host} ended before its run did. It was stopped,
or another process of the run did not start, failed, or was silent for {peer_timeout_s}
seconds. See the last lines of every process. Run the same commands again to resume."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Address and number of a process of a run over several hosts.

    If all are None, they are read from the cluster's environment.

    Raises:
        ValueError: if the values are inconsistent.
    """

    coordinator: str | None = None  # HOST:PORT of process 0
    num_processes: int | None = None
    process_id: int | None = None
    peer_timeout_s: int = PEER_TIMEOUT_S  # after that, a silent process counts as dead

    def __post_init__(self) -> None:
        """Checks that the values are consistent."""
        place = (self.coordinator, self.num_processes, self.process_id)
        if None in place and place != (None, None, None):
            raise ValueError(
                "expected --coordinator, --num_processes and --process_id together, "
                f"got {place}. Pass `--distributed` alone to read them from the "
                "cluster's environment."
            )
        if self.peer_timeout_s < 1:
            raise ValueError(
                f"--peer_timeout: expected 1 or more seconds, got {self.peer_timeout_s}"
            )
        if self.coordinator is None:
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(
                f"--coordinator: expected HOST:PORT, got {self.coordinator!r}"
            )
        if self.process_id not in range(self.num_processes or 0):
            raise ValueError(
                "--process_id: expected a number from 0 to below --num_processes, "
                f"got {self.process_id} of {self.num_processes}"
            )


@contextlib.contextmanager
def initialize(cluster: Cluster) -> Iterator[None]:
    """Connects this process to the other processes of a run.

    It has to be called before anything accesses a device. Inside, only process 0 prints
    to standard output. At the end all processes wait for each other, and fail if one
    does not arrive within END_TIMEOUT_S. After an error, this process prints it and
    exits at once with status 1, without waiting for the others, which may not have
    failed.

    Raises:
        ValueError: if there is no cluster in the environment, or the processes have
            different numbers of devices.
    """
    say_bye = _leave_last_word(cluster.peer_timeout_s)
    try:
        _initialize(cluster)
    except ValueError:
        say_bye()
        raise
    try:
        with _only_main_is_heard():
            yield
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError):  # usually: no answer
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)  # an ordered exit would wait for the others
    jax.distributed.shutdown()
    say_bye()


def _initialize(cluster: Cluster) -> None:
    # JAX's own handler of SIGTERM would replace `preemption.PreemptionHandler`.
    jax.config.update("jax_enable_preemption_service", False)
    by_hand = cluster.coordinator is not None
    try:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.num_processes,
            cluster.process_id,
            cluster_detection_method="deactivate" if by_hand else None,
            initialization_timeout=START_TIMEOUT_S,
            heartbeat_timeout_seconds=cluster.peer_timeout_s,
            shutdown_timeout_seconds=END_TIMEOUT_S,
        )
    except ValueError as error:
        raise ValueError(
            f"--distributed: no cluster was found in the environment ({error}), which "
            "was searched for Slurm, Open MPI, Cloud TPU and Kubernetes. Pass "
            "`--coordinator`, `--num_processes` and `--process_id`."
        ) from None
    devices = collections.Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        raise ValueError(
            "All processes of a run need the same number of devices, but there are "
            f"{', '.join(f'{n} in process {i}' for i, n in sorted(devices.items()))}."
        )


@contextlib.contextmanager
def _only_main_is_heard() -> Iterator[None]:
    if processes.is_main():
        yield
        return
    print(
        f"process {processes.index()} of {processes.count()}; process 0 prints for all"
    )
    sys.stdout.flush()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _leave_last_word(peer_timeout_s: int) -> Callable[[], None]:
    """Starts a child process that prints LAST_WORD if this one ends unexpectedly.

    When a process dies, XLA aborts the others with a stack trace, before any line of
    Python runs. Only another process can still say what happened and what to do.

    Returns:
        A function that ends the child without a message.
    """
    message = LAST_WORD.format(
        pid=os.getpid(), host=socket.gethostname(), peer_timeout_s=peer_timeout_s
    )
    wait = """trap '' INT TERM; read -r bye || printf '%s\\n' "$0" >&2"""
    child = subprocess.Popen(["sh", "-c", wait, message], stdin=subprocess.PIPE)

    def say_bye() -> None:
        """Ends the child without a message."""
        child.communicate(b"bye\n")

    return say_bye
