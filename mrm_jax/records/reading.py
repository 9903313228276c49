"""Many files to windows: threads read ahead of who takes them."""

import collections
import functools
import os
from collections.abc import Iterable, Iterator
from concurrent import futures
from pathlib import Path

from mrm_jax.records import files, windows

READERS = min(8, os.cpu_count() or 1)  # threads: NumPy and SciPy let others run
READ_AHEAD = 64  # records at most; bounds the memory


def cuts(
    paths: Iterable[Path | str],
    form: files.TableForm | None,
    expected: windows.Expected,
    first_only: bool = False,
) -> Iterator[windows.Cut]:
    """Yields the windows of each file, in order, or why there are none.

    Args:
        paths: of records, as files.read takes them.
        form: of .npy and .csv.
        expected: what the network takes.
        first_only: only the first window of each.
    """
    read = functools.partial(_read, form=form, expected=expected, first_only=first_only)
    with futures.ThreadPoolExecutor(READERS) as readers:
        reading: collections.deque[futures.Future[windows.Cut]] = collections.deque()
        for path in paths:
            reading.append(readers.submit(read, path))
            if len(reading) > READ_AHEAD:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()


def _read(
    path: Path | str,
    form: files.TableForm | None,
    expected: windows.Expected,
    first_only: bool,
) -> windows.Cut:
    try:
        return windows.cut(files.read(path, form), expected, first_only)
    except ValueError as error:
        return error
    except Exception as error:  # damaged files make readers raise nearly anything
        return ValueError(f"unreadable: {Path(path).name}: {error!r}")
