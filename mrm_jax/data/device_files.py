"""Reads files of ECG devices and archives: EDF, DICOM, GE MUSE, HL7 aECG, SCP-ECG.

The package ecgdatakit decodes them (extra `files`). Units, names of leads and sampling
rates are those that the files state; a file that states no unit is refused.
"""

import re
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrm_jax.data import leads as lead_names
from mrm_jax.data import recording
from mrm_jax.runtime import extras

SUFFIXES = (".edf", ".dcm", ".dicom", ".scp", ".xml")
KINDS = "EDF and EDF+, DICOM waveforms, GE MUSE and HL7 aECG (.xml), SCP-ECG"
# Roots of XML files that hold an ECG: GE MUSE, HL7 aECG, Philips, Mortara.
_XML = re.compile(
    rb"<([\w.-]+:)?(RestingECG|MuseInfo|AnnotatedECG|restingecgdata|ECG)\b"
)
_SNIFFED = 4096  # bytes
# What ecgdatakit only warns of, but what makes the samples doubtful. Its other warnings
# are about fields that are not read here.
_DAMAGE = re.compile(r"truncated|mismatch in|has gaps")
_COPY = re.compile(r"_\d+$")  # what ecgdatakit adds to a name that occurs again
_CATCHING = threading.Lock()  # held while warnings are caught


def is_record(path: Path) -> bool:
    """Returns whether a file may hold an ECG; most .xml files do not."""
    if path.suffix.lower() != ".xml":
        return True
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
    except OSError:
        return True  # reading it will raise a clear error
    return _XML.search(start.replace(b"\x00", b"")) is not None  # UTF-16 too


def _name(label: str) -> str:
    """Returns the standard name of a lead, also of a second lead of this name."""
    first = lead_names.standard_name(_COPY.sub("", label))
    return first if first in lead_names.LEADS else lead_names.standard_name(label)


def read(path: Path) -> recording.Recording:
    """Returns the ECG of a file, its twelve leads as far as they are there.

    Args:
        path: file with one of `SUFFIXES`.

    Raises:
        ValueError: "REASON: detail", if the file cannot be decoded or is damaged, if
            its leads differ in rate or length, occur twice or state no unit of voltage,
            or if ecgdatakit is missing.
    """
    try:
        extras.require(f"{path.suffix} files need ecgdatakit", "files", "ecgdatakit")
    except ImportError as error:
        raise ValueError(f"missing package: {path.name}: {error}") from None
    try:
        record, warned = _parse(path)
    except Exception as error:  # decoders raise almost anything for damaged files
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    for text in warned:
        if _DAMAGE.search(text):
            raise ValueError(f"damaged: {path.name}: {text}")
    found = [_name(lead.label) for lead in record.leads]
    chosen = [
        lead
        for name, lead in zip(found, record.leads, strict=True)
        if name in lead_names.LEADS
    ]
    if not chosen:
        raise ValueError(
            f"missing lead: {path.name}: found {', '.join(found) or 'no lead'}"
        )
    without = [lead.label for lead in chosen if lead.is_raw or lead.units != "mV"]
    if without:
        raise ValueError(
            f"wrong unit: {path.name} states no unit of voltage for {without[0]}"
        )
    forms = {(lead.sampling_rate, len(lead.samples)) for lead in chosen}
    if len(forms) > 1:
        raise ValueError(
            f"uneven leads: {path.name}: expected one rate and length, found "
            + ", ".join(f"{size} samples at {rate} Hz" for rate, size in sorted(forms))
        )
    return recording.Recording(
        path.stem,
        np.stack([lead.samples for lead in chosen], axis=1).astype(np.float32),
        tuple(_name(lead.label) for lead in chosen),
        chosen[0].sampling_rate,
        path,
    )


def _parse(path: Path) -> tuple[Any, Sequence[str]]:
    """Returns the decoded record, and what ecgdatakit warns of."""
    from ecgdatakit import parsing  # here, as only these files need it

    # Several threads read files, but warnings are caught for the whole process.
    with _CATCHING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = parsing.FileParser.parse(path, units="mV")
    return record, [str(warning.message) for warning in caught]
