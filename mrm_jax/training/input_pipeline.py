"""Input pipeline from shards to batches, with records as int16 on the device.

The order of the records is a function of seed and epoch. A split that fits in memory
stays on every device for the whole run, and a mapped call gets rows of record numbers.
A larger split is streamed: each call gets its own records and rows that index them. The
batches, and so all results, are the same. With several processes every split is
streamed, and each process reads only the records of its own devices.
"""

from collections.abc import Iterator
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from mrm_jax.data import manifest, shards
from mrm_jax.models import backends
from mrm_jax.runtime import devices, processes

HostOrDevice = Any  # np.ndarray outside, jax.Array inside a mapped call


@flax.struct.dataclass
class Batch:
    """One device's share of a batch."""

    signal: HostOrDevice  # [batch, time, lead], standardised, so without a unit
    labels: HostOrDevice  # [batch, label], 0. or 1.
    mask: HostOrDevice  # [batch], 1. for a record, 0. for padding


@flax.struct.dataclass
class Records:
    """Records on one device, as stored in the shards.

    A signal is one row, not a matrix of time and leads: a TPU stores matrices of few
    columns with padding, and XLA would copy all records into that layout in each call.
    """

    signals_uv: HostOrDevice  # [record, time · lead], int16, microvolts
    labels: HostOrDevice  # [record, label], uint8
    mean_uv: HostOrDevice  # [], over the training records, microvolts
    std_uv: HostOrDevice  # [], likewise
    num_leads: int = flax.struct.field(pytree_node=False)

    @classmethod
    def of(
        cls,
        signals_uv: HostOrDevice,
        labels: HostOrDevice,
        mean_uv: HostOrDevice,
        std_uv: HostOrDevice,
    ) -> "Records":
        """Returns records with signals [..., time, lead], and the rest as above."""
        *leading, num_samples, num_leads = signals_uv.shape
        rows = signals_uv.reshape(*leading, num_samples * num_leads)
        return cls(rows, labels, mean_uv, std_uv, num_leads)


def take(records: Records, rows: Int[Array, " batch"]) -> Batch:
    """Returns the standardised batch of the given rows; negative rows are padding."""
    present = rows >= 0
    rows = jnp.maximum(rows, 0)
    flat = _signals(records, rows).astype(records.mean_uv.dtype)
    signal_uv = flat.reshape(len(flat), -1, records.num_leads)
    return Batch(
        signal=(signal_uv - records.mean_uv) / records.std_uv,
        labels=records.labels[rows].astype(records.mean_uv.dtype),
        mask=present.astype(records.mean_uv.dtype),
    )


def _signals(records: Records, rows: Int[Array, " batch"]) -> Int[Array, "batch value"]:
    """Returns the stored signals of some rows.

    On a TPU they are copied one by one. XLA gathers signals that are too long for its
    fast memory, such as 10 s at 500 Hz, by copying all records to a layout of its own.
    """
    if backends.name() != "tpu":
        return records.signals_uv[rows]
    return jax.lax.map(
        lambda row: jax.lax.dynamic_index_in_dim(records.signals_uv, row, 0, False),
        rows,
    )


def shuffled_batches(
    num_records: int, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Returns a shuffled order, [step, batch], as a function of seed and epoch.

    Every record occurs exactly once. The last batch is filled with padding.
    """
    order = np.random.default_rng([seed, epoch]).permutation(num_records)
    return _batches(order, batch_size)


def sequential_batches(num_records: int, batch_size: int) -> np.ndarray:
    """Returns the stored order, [step, batch], with padding in the last batch."""
    return _batches(np.arange(num_records), batch_size)


def _batches(order: np.ndarray, batch_size: int) -> np.ndarray:
    missing = -len(order) % batch_size
    padded = np.pad(order, (0, missing), constant_values=devices.PADDING)
    return padded.reshape(-1, batch_size).astype(np.int32)


class SplitLoader:
    """Loader of one split, which feeds its records to mapped calls."""

    def __init__(
        self,
        data: shards.Shards,
        split: shards.Split,
        label_set: manifest.LabelSet,
        resident_bytes: int | None = None,
    ):
        """Puts the split on the devices if it fits.

        Args:
            data: shards that hold the split.
            split: records to feed.
            label_set: label set, with the mean and standard deviation of the signals.
            resident_bytes: largest size of signals that stay on each device. Default:
                the limit that `devices.resident_bytes` returns.
        """
        self.split = split
        self._data = data
        data.start_verifying()
        self._moments = (np.float32(label_set.mean_uv), np.float32(label_set.std_uv))
        if resident_bytes is None:
            resident_bytes = devices.resident_bytes()
        self._budget = resident_bytes
        fits = self.signal_bytes() <= resident_bytes
        self.resident = fits and processes.count() == 1
        self._on_device = None
        if self.resident:
            everything = np.arange(len(split))
            self._on_device = devices.replicate(self._load(everything))

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self.split)

    def require_intact(self) -> None:
        """Waits until the shards have been compared with their hashes.

        Raises:
            ValueError: if a file of signals is damaged.
        """
        self._data.require_intact()

    def signal_bytes(self) -> int:
        """Returns the size of the split's signals as int16."""
        return len(self.split) * self._record_bytes()

    def steps_per_call(self, rows: np.ndarray) -> int:
        """Returns the number of steps of rows [step, batch] in one mapped call.

        It is at most `devices.steps_per_call`. Streamed records have to fit twice, as
        those of the next call are sent while this one runs. The steps are divided
        evenly among the calls, since a call of another size is compiled separately.
        """
        limit = devices.steps_per_call()
        if not self.resident:
            step_bytes = rows.shape[1] * self._record_bytes()
            limit = max(1, min(limit, self._budget // (2 * step_bytes)))
        num_calls = -(-len(rows) // limit)
        return -(-len(rows) // num_calls)

    def num_calls(self, rows: np.ndarray, steps_done: int = 0) -> int:
        """Returns the number of mapped calls that `calls` yields."""
        return -(-(len(rows) - steps_done) // self.steps_per_call(rows))

    def calls(
        self, rows: np.ndarray, steps_done: int = 0
    ) -> Iterator[tuple[Records, np.ndarray]]:
        """Yields records and rows [device, step, batch per device] for mapped calls.

        Rows and streamed records are host arrays, which the mapped call transfers.

        Args:
            rows: [step, batch], record numbers of this split or padding.
            steps_done: number of leading rows to skip. The size of the calls does not
                depend on it.
        """
        per_call = self.steps_per_call(rows)
        for start in range(steps_done, len(rows), per_call):
            yield self.records(devices.shard_batch(rows[start : start + per_call]))

    def records(self, shares: np.ndarray) -> tuple[Records, np.ndarray]:
        """Returns the records for one mapped call and the rows that index them.

        Args:
            shares: [device, ...], record numbers of this split or padding.
        """
        if self._on_device is not None:
            return self._on_device, shares
        return self._stream(shares)

    def _record_bytes(self) -> int:
        facts = self._data.manifest
        return facts.num_samples * len(facts.leads) * np.dtype(np.int16).itemsize

    def _stream(self, shares: np.ndarray) -> tuple[Records, np.ndarray]:
        """Returns, for each device, only the records that its rows name."""
        own = [self._load(np.maximum(share.ravel(), 0)) for share in shares]
        records = jax.tree.map(lambda *parts: np.stack(parts), *own)
        places = np.arange(shares[0].size, dtype=np.int32).reshape(shares[0].shape)
        rows = np.where(shares >= 0, places[None], devices.PADDING).astype(np.int32)
        return records, rows

    def _load(self, numbers: np.ndarray) -> Records:
        return Records.of(
            signals_uv=self._data.signals_uv(self.split.rows[numbers]),
            labels=self.split.labels[numbers],
            mean_uv=self._moments[0],
            std_uv=self._moments[1],
        )
