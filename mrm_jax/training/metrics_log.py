"""Metrics of each epoch of a run, as JSON lines and as TensorBoard events."""

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

import msgspec

from mrm_jax.runtime import atomic

if TYPE_CHECKING:
    from mrm_jax.training import tensorboard_events

FILE = "metrics.jsonl"
TENSORBOARD = "tensorboard"


class MetricWriter:
    """Writer of workdir/metrics.jsonl and of the events in workdir/tensorboard."""

    def __init__(self, workdir: Path | str, first_epoch: int):
        """Opens the files of a run that starts or resumes at `first_epoch`.

        Lines that an earlier attempt wrote for this and later epochs are dropped: those
        epochs run again, and the file has each epoch once.

        Raises:
            ValueError: as in `read`.
        """
        path = Path(workdir) / FILE
        kept = [line for line in read(workdir) if line["epoch"] < first_epoch]
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as temporary:
            temporary.write_text("".join(map(_to_line, kept)))
        self._file = path.open("a")
        self._folder, self._first_epoch = path.parent / TENSORBOARD, first_epoch

    def write(self, epoch: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Appends the metrics of one epoch and flushes the line to the system.

        Args:
            epoch: number of the epoch, which is also its place on TensorBoard's axis.
            metrics: metrics by name, such as "train/loss". TensorBoard groups them by
                the part before the slash.
        """
        values = {name: float(value) for name, value in metrics.items()}
        self._file.write(_to_line({"epoch": epoch, **values}))
        self._file.flush()
        self._events.write(epoch, values)

    @functools.cached_property
    def _events(self) -> "tensorboard_events.EventWriter":
        """Opens the event file when the first epoch is written.

        It is not opened earlier, because the import loads PyTorch where that is
        installed. This takes seconds, for which the first step need not wait.
        """
        from mrm_jax.training import tensorboard_events

        return tensorboard_events.EventWriter(self._folder, self._first_epoch)

    def close(self) -> None:
        """Closes the files; the writer cannot be used afterwards."""
        self._file.close()
        if "_events" in vars(self):
            self._events.close()

    def __enter__(self) -> "MetricWriter":
        """Returns the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self.close()


def read(workdir: Path | str, metric: str | None = None) -> list[dict[str, Any]]:
    """Returns the lines of workdir/metrics.jsonl, oldest first; [] without the file.

    An incomplete last line, left by a run that was killed, is not returned. Values that
    were NaN or infinite when they were written are NaN.

    Args:
        workdir: folder of the run.
        metric: name of a metric that every line must have; None: any may be missing.

    Raises:
        ValueError: if a line is not a JSON object of numbers with an epoch, or lacks
            the metric.
    """
    path = Path(workdir) / FILE
    if not path.is_file():
        return []
    whole_lines = path.read_bytes().split(b"\n")[:-1]
    return [_from_line(line, path, i + 1, metric) for i, line in enumerate(whole_lines)]


def _to_line(entry: Mapping[str, Any]) -> str:
    """Returns one line of JSON, with null for NaN and infinity, which JSON lacks."""
    finite = {k: v if math.isfinite(v) else None for k, v in entry.items()}
    return json.dumps(finite, allow_nan=False) + "\n"


def _from_line(
    line: bytes, path: Path, number: int, metric: str | None
) -> dict[str, Any]:
    try:
        values = msgspec.convert(json.loads(line), dict[str, Any])
        epoch = msgspec.convert(values.pop("epoch"), int)
        entry = msgspec.convert(values, dict[str, float | None])
    except (ValueError, KeyError, OverflowError, RecursionError):
        found = line.decode(errors="replace")[:60]
        raise ValueError(
            f"{path}, line {number}: expected a JSON object of numbers with an epoch, "
            f"found {found!r}. Repair or remove the line."
        ) from None
    if metric is not None and metric not in entry:
        raise ValueError(
            f"{path}, line {number}: expected a value of {metric}, found none. Repair "
            "or remove the line."
        )
    return {"epoch": epoch} | {
        name: math.nan if value is None else value for name, value in entry.items()
    }
