"""The metrics of a run, epoch by epoch: JSON lines to read, TensorBoard to watch."""

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from mrm_jax.runtime import atomic

if TYPE_CHECKING:
    import tensorboardX

FILE = "metrics.jsonl"
TENSORBOARD = "tensorboard"


class MetricWriter:
    """Appends to workdir/metrics.jsonl and to events in workdir/tensorboard."""

    def __init__(self, workdir: Path | str, first_epoch: int):
        """Opens the files of a run that starts, or goes on, at `first_epoch`.

        What an earlier try wrote of that epoch and of later ones is dropped: those
        epochs run again, and every epoch stays in the file once.

        Raises:
            ValueError: as `read`.
        """
        path = Path(workdir) / FILE
        kept = [line for line in read(workdir) if line["epoch"] < first_epoch]
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as temporary:
            temporary.write_text("".join(map(_to_line, kept)))
        self._file = path.open("a")
        self._folder, self._first_epoch = path.parent / TENSORBOARD, first_epoch

    def write(self, epoch: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Appends one epoch's line, and hands it to the operating system.

        Args:
            epoch: its number, which is its place on TensorBoard's axis.
            metrics: names such as "train/loss"; what stands before the slash groups
                them in TensorBoard.
        """
        values = {name: float(value) for name, value in metrics.items()}
        self._file.write(_to_line({"epoch": epoch, **values}))
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(name, value, epoch)

    @functools.cached_property
    def _events(self) -> "tensorboardX.SummaryWriter":
        """Opens the event file with the first epoch, which a run ends with.

        Only then, since the import takes seconds where PyTorch is installed: it loads
        PyTorch, and the first training step need not wait for that.
        """
        import tensorboardX

        return tensorboardX.SummaryWriter(
            str(self._folder),
            purge_step=self._first_epoch,
            flush_secs=5,
            # The rest of an event file's name is the time in whole seconds.
            filename_suffix=f".epoch{self._first_epoch}",
        )

    def close(self) -> None:
        """Closes the files; the writer cannot be used afterwards."""
        self._file.close()
        if "_events" in vars(self):
            self._events.close()

    def __enter__(self) -> "MetricWriter":
        """Returns the writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self.close()


def read(workdir: Path | str) -> list[dict[str, Any]]:
    """Returns the lines of workdir/metrics.jsonl, oldest first; [] if there is none.

    A last line without its end, left by a run that was killed, is not returned. What
    was NaN or infinite when it was written is NaN.

    Raises:
        ValueError: if a line is not what `MetricWriter` writes.
    """
    path = Path(workdir) / FILE
    if not path.is_file():
        return []
    whole_lines = path.read_text().split("\n")[:-1]
    return [_from_line(line, path, i + 1) for i, line in enumerate(whole_lines)]


def _to_line(entry: Mapping[str, Any]) -> str:
    """Returns one line of JSON, which has no NaN and no infinity: null for both."""
    finite = {k: v if math.isfinite(v) else None for k, v in entry.items()}
    return json.dumps(finite, allow_nan=False) + "\n"


def _from_line(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        epoch = entry.pop("epoch")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(
            f"{path}, line {number}: expected a JSON object with an epoch, found "
            f"{line[:60]!r}; repair or remove the line"
        ) from None
    return {"epoch": epoch} | {
        name: math.nan if value is None else value for name, value in entry.items()
    }
