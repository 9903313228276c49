"""Workers of a running Dask cluster.

They return what they read or made, and the process that started writes it, so what is
written does not depend on them. Dask gives a dead worker's batches to another one.

Through Dask's own futures: joblib's backend for Dask (joblib 1.6.0) waits for ever for
a batch that Dask has given up.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep import workers
from data_prep.workers import Batch
from mrm_jax import version

if TYPE_CHECKING:
    import distributed

CONNECT_S = 5  # for the scheduler to answer, and for a first worker to be there
PATIENCE_S = 600  # for a batch, which takes less than a second: workers may come back
INSTALL = f"install mrm_jax {version.VERSION} and its constraints.txt on every machine"


class Cluster(workers.Workers):
    """The threads of all workers of a cluster."""

    def __init__(self, client: "distributed.Client", scheduler: str):
        """Takes a client that is connected to `scheduler` and has workers."""
        threads = client.nthreads().values()
        super().__init__(sum(threads))
        self._client = client
        self._scheduler = scheduler
        self._num_workers = len(threads)

    def __str__(self) -> str:
        """Returns who they are, for the user."""
        return (
            f"{self._num_workers} worker{'s'[: self._num_workers != 1]} with "
            f"{self.count} thread{'s'[: self.count != 1]} of {self._scheduler}"
        )

    def map(
        self,
        function: Callable[[Batch], workers.Result],
        batches: Sequence[Batch],
    ) -> Iterator[workers.Result]:
        """Yields what the function makes of each batch, in order.

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
        self, describe: Callable[..., dict[str, str]], *arguments: Any, way_out: str
    ) -> None:
        """Compares what a call says on every worker with what it says here.

        Raises:
            ValueError: naming a worker, what differs there, and the way out.
        """
        expected = describe(*arguments)
        answers = self._client.run(describe, *arguments, on_error="return")
        for address, found in answers.items():
            where = f"worker {address} of {self._scheduler}"
            if isinstance(found, Exception):
                raise ValueError(f"{where}: {found}; {INSTALL}")
            for what, value in expected.items():
                if found[what] != value:
                    raise ValueError(
                        f"{where}: {what}: expected {value}, found {found[what]}; "
                        f"{way_out}"
                    )

    def _result(self, future: "distributed.Future") -> Any:
        import distributed
        from distributed import comm

        try:
            return future.result(PATIENCE_S)
        except (concurrent.futures.CancelledError, comm.CommClosedError):
            reason = "lost the scheduler; start the cluster and this command again"
        except TimeoutError:
            reason = (
                f"a batch was not done within {PATIENCE_S} s; see whether workers are "
                "left, and start this command again"
            )
        except distributed.KilledWorker as error:
            reason = (
                f"{error.allowed_failures + 1} workers died of the same batch, the "
                f"last one was {error.last_worker.address}; see its log, and give the "
                "workers more memory"
            )
        raise ValueError(f"{self._scheduler}: {reason}")


@contextlib.contextmanager
def connect(scheduler: str) -> Iterator[Cluster]:
    """Yields the cluster of a scheduler, whose workers run what this process runs.

    Args:
        scheduler: an address, or the path of a scheduler file.

    Raises:
        ValueError: if Dask is not installed, or the scheduler does not answer, or it
            has no workers or unfit ones.
    """
    distributed = _import_distributed()
    address = _address(scheduler)
    _greet(address)
    with distributed.Client(address, set_as_default=False) as client:
        _wait_for_worker(client, address)
        cluster = Cluster(client, scheduler)
        cluster.check(_versions, way_out=INSTALL)
        yield cluster


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise ValueError(
            "--dask needs Dask, which is not installed; "
            "pip install -c constraints.txt -e '.[cluster]'"
        ) from None
    for name in ("distributed.client", "tornado.application"):
        # What goes wrong is said once, by the errors of this file.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def _address(scheduler: str) -> str:
    """Returns the address that is given, or stands in the file that is given."""
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
            f"{scheduler}: no such scheduler file, and no address like tcp://host:8786"
        )
    return scheduler


def _greet(address: str) -> None:
    """Raises an error if no scheduler answers in time.

    A client alone would wait for ever where something else answers, as a dashboard.
    """
    try:
        kind = asyncio.run(_ask_kind(address))
    except Exception as error:  # strange answers make Dask raise nearly anything
        raise ValueError(
            f"{address}: no Dask scheduler answered within {CONNECT_S} s ({error!r}); "
            "check the address, and that `dask scheduler` runs there"
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
            f"{address}: the scheduler has no workers; start some, for example with "
            f"`dask worker {address} --nworkers -1 --nthreads 1`"
        ) from None


def _versions() -> dict[str, str]:
    """Returns the versions that decide the bytes of a shard."""
    installed = {name: metadata.version(name) for name in ("numpy", "scipy", "wfdb")}
    return {"mrm_jax": version.VERSION} | installed
