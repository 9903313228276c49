"""Event files for TensorBoard, written at once by the calling thread.

tensorboardX's own writer does this on a thread. If that fails, as on a full disk, the
next call waits for it for ever.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast


@contextlib.contextmanager
def _without_pytorch() -> Iterator[None]:
    """Hides PyTorch from tensorboardX, which needs it only for the name of a type.

    Where PyTorch is installed, importing it takes 1.6 s.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = cast(Any, None)  # as if it were not installed
    try:
        yield
    finally:
        del sys.modules["torch"]


with _without_pytorch():
    from tensorboardX import event_file_writer
    from tensorboardX.proto import event_pb2, summary_pb2


class EventWriter:
    """Writer of an event file for a run that starts or resumes at an epoch."""

    def __init__(self, folder: Path, first_epoch: int):
        """Creates the file; TensorBoard drops older events of this and later epochs.

        Raises:
            OSError: if the file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = event_file_writer.EventsWriter(
            str(folder / "events"),
            # The rest of the name is the time in whole seconds.
            filename_suffix=f".epoch{first_epoch}",
        )
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(event_pb2.Event(step=first_epoch, session_log=start))

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Writes the metrics of an epoch, by name.

        Raises:
            OSError: if the file cannot be written.
        """
        scalars = [
            summary_pb2.Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
        ]
        summary = summary_pb2.Summary(value=scalars)
        self._add(event_pb2.Event(step=epoch, summary=summary))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _add(self, event: event_pb2.Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
        self._writer.flush()
