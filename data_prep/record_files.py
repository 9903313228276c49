"""Finds and reads the files of records that a table names, in any supported format."""

import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from data_prep import readers
from mrm_jax.data import device_files, files, leads

# A record with several files is read through the first of these.
SUFFIXES = (".hea", ".npy", ".csv", *device_files.SUFFIXES, ".mat", ".dat")


class RecordFiles:
    """The files of records in a folder and its sub-folders, by name."""

    def __init__(self, folder: Path):
        """Remembers the folder.

        Raises:
            ValueError: if it does not exist.
        """
        if not folder.is_dir():
            raise ValueError(f"--records: there is no folder {folder}")
        self.folder = folder

    def has(self, name: str) -> bool:
        """Returns whether there is such a record, in the folder or a sub-folder."""
        try:
            self.find(name)
        except ValueError:
            return False
        return True

    def find(self, name: str) -> Path:
        """Returns the file of a record.

        Args:
            name: path in the folder, or name of the file alone, wherever it is; with or
                without its suffix.

        Raises:
            ValueError: "REASON: detail", if there is no such record, or several.
        """
        if not name.strip("./\\"):
            raise ValueError(f"missing file: {name!r} names none")
        relative = name.replace("\\", "/")
        for suffix in ("", *SUFFIXES):
            path = self.folder / f"{relative}{suffix}"
            if os.path.isfile(path):
                header = path.with_suffix(".hea")
                is_part = path.suffix.lower() in (".dat", ".mat") and header.is_file()
                return header if is_part else path
        found = self._by_stem.get(relative.rpartition("/")[2], ())
        if "/" in relative or not found:
            raise ValueError(f"missing file: {name} is not in {self.folder}")
        if len(found) > 1:
            raise ValueError(
                f"several files: {name} is {found[0]} and {found[1]}. Write the path "
                "into the table"
            )
        return found[0]

    def find_all(
        self, names: Sequence[str]
    ) -> tuple[list[Path], np.ndarray, list[tuple[str, str]]]:
        """Returns the files of records, their places in `names`, and what has none.

        Args:
            names: [record], as in `find`. Of two names of one file, the first counts.

        Returns:
            Files [found], places [found], and name and reason of the others.
        """
        places: dict[Path, int] = {}
        others = []
        for place, name in enumerate(names):
            try:
                path = self.find(name)
                if path in places:
                    first = names[places[path]]
                    raise ValueError(f"named twice: {name} is the file of {first}")
                places[path] = place
            except ValueError as error:
                others.append((name, str(error)))
        return list(places), np.array(list(places.values()), np.int64), others

    @functools.cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        """The files by their names, with and without suffix; one for each record."""
        found: dict[str, list[Path]] = {}
        for parent, stem, suffixes in self._walk():
            first = min(suffixes, key=lambda suffix: SUFFIXES.index(suffix.lower()))
            path = Path(parent, f"{stem}{first}")
            for name in (stem, *(f"{stem}{suffix}" for suffix in suffixes)):
                found.setdefault(name, []).append(path)
        return found

    def _walk(self) -> Iterator[tuple[str, str, list[str]]]:
        """Yields folder, name and suffixes of each record."""
        paths = sorted(files.walk(self.folder), key=lambda path: path.parts[:-1])
        for parent, own in itertools.groupby(paths, key=os.path.dirname):
            records: dict[str, list[str]] = {}
            for path in sorted(own):
                if path.suffix.lower() in SUFFIXES:
                    records.setdefault(path.stem, []).append(path.suffix)
            for stem, suffixes in records.items():
                yield parent, stem, suffixes


def reader(form: files.TableForm | None = None) -> readers.Reader:
    """Returns a function that reads a record in any supported format.

    Args:
        form: rate, unit and leads of .npy and .csv files, which do not store them.
    """
    return functools.partial(_read, form=form)


def _read(path: Path, form: files.TableForm | None) -> tuple[np.ndarray, float]:
    """Returns the twelve leads, [time, lead] in mV, and the rate in Hz.

    Up to four limb leads are computed from two others if they are missing.

    Raises:
        ValueError: "REASON: detail", if the record cannot be read.
    """
    record = files.read(path, form)
    signal_mv, _ = leads.complete(record.signal_mv, record.leads)
    return signal_mv, record.sampling_rate
