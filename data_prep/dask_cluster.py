"""A pool of the workers of a running Dask cluster.

Workers return their results to the process that started the build, which writes them,
so the output does not depend on the workers. If a worker dies, Dask gives its batches
to another one.

This uses Dask's own futures: joblib's backend for Dask (joblib 1.6.0) waits forever for
a batch that Dask has marked as failed.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import json
import logging
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep import build_progress, workers
from data_prep.workers import Batch
from mrm_jax import version
from mrm_jax.runtime import extras

if TYPE_CHECKING:
    import distributed

CONNECT_S = 5  # timeout of the scheduler's answer, and of the first worker
PATIENCE_S = 600  # timeout of a batch, which takes below 1 s: workers may come back
INSTALL = f"Install mrm_jax {version.VERSION} and its constraints.txt on every machine."


class Cluster(workers.Workers):
    """The threads of all workers of a cluster."""

    def __init__(self, client: "distributed.Client", scheduler: str):
        """Creates a pool from a client of `scheduler` that has workers."""
        threads = client.nthreads().values()
        super().__init__(sum(threads))
        self._client = client
        self._scheduler = scheduler
        self._num_workers = len(threads)

    def __str__(self) -> str:
        """Returns a description for the user."""
        return (
            f"{self._num_workers} worker{'s'[: self._num_workers != 1]} with "
            f"{self.count} thread{'s'[: self.count != 1]} of {self._scheduler}"
        )

    def map(
        self,
        function: Callable[[Batch], workers.Result],
        batches: Sequence[Batch],
    ) -> Iterator[workers.Result]:
        """Yields the function's result for each batch, in order.

        Raises:
            ValueError: if the scheduler or all workers are lost, or a batch kills them.
        """
        waiting: collections.deque[distributed.Future] = collections.deque()
        for batch in batches:
            waiting.append(self._client.submit(function, batch, pure=False))
            if len(waiting) >= workers.BATCHES_AHEAD * self.count:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def check(
        self, describe: Callable[..., dict[str, str]], *arguments: Any, advice: str
    ) -> None:
        """Checks that a call returns the same on every worker as in this process.

        Raises:
            ValueError: if a result differs; names a worker and the difference.
        """
        expected = describe(*arguments)
        answers = self._client.run(describe, *arguments, on_error="return")
        for address, found in answers.items():
            where = f"worker {address} of {self._scheduler}"
            if isinstance(found, Exception):
                raise ValueError(f"{where}: {found}. {INSTALL}")
            for what, value in expected.items():
                other = found.get(what, "none")
                if other != value:
                    raise ValueError(
                        f"{where}: {what}: expected {value}, found {other}. {advice}"
                    )

    def _result(self, future: "distributed.Future") -> Any:
        import distributed
        from distributed import comm

        try:
            return future.result(PATIENCE_S)
        except (concurrent.futures.CancelledError, comm.CommClosedError):
            reason = (
                "the connection to the scheduler was lost. Start the cluster and this "
                "command again."
            )
        except TimeoutError:
            reason = (
                f"a batch was not done within {PATIENCE_S} s. Check that workers are "
                "running, and start this command again."
            )
        except distributed.KilledWorker as error:
            reason = (
                f"{error.allowed_failures + 1} workers died while they processed the "
                f"same batch, the last one was {error.last_worker.address}. Check its "
                "log, and give the workers more memory."
            )
        raise ValueError(f"{self._scheduler}: {reason}")


@contextlib.contextmanager
def connect(scheduler: str) -> Iterator[Cluster]:
    """Yields the cluster of a scheduler after checking the versions of its workers.

    Args:
        scheduler: address of the scheduler, or path of a scheduler file.

    Raises:
        ValueError: if Dask is not installed, the scheduler does not answer, it has no
            workers, or a worker has other versions.
    """
    distributed = _import_distributed()
    address = _address(scheduler)
    _greet(address)
    with distributed.Client(address, set_as_default=False) as client:
        _wait_for_worker(client, address)
        cluster = Cluster(client, scheduler)
        cluster.check(build_progress.versions, advice=INSTALL)
        yield cluster


def _import_distributed() -> Any:
    try:
        extras.require("--dask needs the extra `cluster`", "cluster", "distributed")
    except ImportError as error:
        raise ValueError(str(error)) from None
    import distributed

    for name in ("distributed.client", "tornado.application"):
        # The errors raised here already report all problems.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def _address(scheduler: str) -> str:
    """Returns the given address, or the address in the given scheduler file."""
    path = Path(scheduler)
    if path.is_file():
        try:
            return str(json.loads(path.read_text())["address"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: expected a scheduler file, as `dask scheduler "
                f"--scheduler-file FILE` writes it ({error!r})"
            ) from None
    if ":" not in scheduler:
        raise ValueError(
            f"{scheduler} is neither an existing scheduler file nor an address like "
            "tcp://host:8786"
        )
    return scheduler


def _greet(address: str) -> None:
    """Raises an error if no scheduler answers in time.

    Without it, a client waits forever if something else answers, such as a dashboard.
    """
    try:
        kind = asyncio.run(_ask_kind(address))
    except Exception as error:  # Dask raises almost anything for unexpected answers
        raise ValueError(
            f"{address}: no Dask scheduler answered within {CONNECT_S} s ({error!r}). "
            "Check the address, and that `dask scheduler` runs there."
        ) from None
    if kind != "Scheduler":
        raise ValueError(f"{address}: expected a Dask scheduler, found a {kind}")


async def _ask_kind(address: str) -> str:
    import distributed

    arguments = distributed.Security().get_connection_args("client")
    async with asyncio.timeout(CONNECT_S):
        async with distributed.rpc(address, connection_args=arguments) as server:
            return (await server.identity())["type"]


def _wait_for_worker(client: "distributed.Client", address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError:
        raise ValueError(
            f"{address}: the scheduler has no workers. Start some, for example with "
            f"`dask worker {shlex.quote(address)} --nworkers -1 --nthreads 1`."
        ) from None
