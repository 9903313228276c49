"""How a process joins the others of a run over several hosts, and how it ends."""

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

START_TIMEOUT_S = 300  # a process waits so long for all to come
END_TIMEOUT_S = 20  # and so long for all to end
PEER_TIMEOUT_S = 60

LAST_WORD = """error: process {pid} on {host} ended before its run did: it was stopped,
or another process of the run did not come, failed, or was silent for {peer_timeout_s}
seconds; their own last lines say more. The same commands again continue the run."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where the processes of a run meet; the environment knows it if all are None.

    Raises:
        ValueError: if the values do not go together.
    """

    coordinator: str | None = None  # HOST:PORT of process 0
    num_processes: int | None = None
    process_id: int | None = None
    peer_timeout_s: int = PEER_TIMEOUT_S  # silent so long, a process counts as dead

    def __post_init__(self) -> None:
        """Checks that the values go together."""
        place = (self.coordinator, self.num_processes, self.process_id)
        if None in place and place != (None, None, None):
            raise ValueError(
                "expected --coordinator, --num_processes and --process_id together, "
                f"got {place}; --distributed alone asks the cluster's environment"
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
    """Makes this process one of a run's; nothing may have asked for a device before.

    Inside, only process 0's standard output is seen. At the end all wait for each
    other, and fail if one does not come within END_TIMEOUT_S. Where an error comes
    through, this process shows it and ends at once with status 1: the others need not
    have it, and would be waited for.

    Raises:
        ValueError: if the environment names no cluster, or the processes have
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
        if isinstance(error, jax.errors.JaxRuntimeError):  # mostly: nobody answers
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)  # an ordered exit would wait for the others
    jax.distributed.shutdown()
    say_bye()


def _initialize(cluster: Cluster) -> None:
    # Its handler of SIGTERM would take the place of `preemption.PreemptionHandler`.
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
            f"--distributed: no cluster in the environment ({error}); looked for Slurm,"
            " Open MPI, Cloud TPU and Kubernetes; give --coordinator, --num_processes "
            "and --process_id"
        ) from None
    devices = collections.Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        raise ValueError(
            "expected equally many devices in every process, found "
            f"{', '.join(f'{n} in process {i}' for i, n in sorted(devices.items()))}"
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
    """Starts a child that says LAST_WORD when this process ends without a bye.

    When a process dies, XLA aborts the others with a stack trace, before any line of
    Python. Only another process can still say what happened and what to do.

    Returns:
        Says bye.
    """
    message = LAST_WORD.format(
        pid=os.getpid(), host=socket.gethostname(), peer_timeout_s=peer_timeout_s
    )
    wait = """trap '' INT TERM; read -r bye || printf '%s\\n' "$0" >&2"""
    child = subprocess.Popen(["sh", "-c", wait, message], stdin=subprocess.PIPE)

    def say_bye() -> None:
        """Lets the child end without a word."""
        child.communicate(b"bye\n")

    return say_bye
