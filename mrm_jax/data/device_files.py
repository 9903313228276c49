"""Reads files of ECG devices and archives: EDF, DICOM, GE MUSE, HL7 aECG, SCP-ECG.

The package ecgdatakit decodes them (extra `files`). Units, names of leads and sampling
rates are those that the files state; a file that states no unit is refused.
"""

import re
import warnings
from pathlib import Path

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


def read(path: Path) -> recording.Recording:
    """Returns the ECG of a file, its twelve leads as far as they are there.

    Args:
        path: file with one of `SUFFIXES`.

    Raises:
        ValueError: "REASON: detail", if the file cannot be decoded or is damaged, if
            its leads differ in rate or length, or state no unit of voltage, or if
            ecgdatakit is missing.
    """
    try:
        extras.require(f"{path.suffix} files need ecgdatakit", "files", "ecgdatakit")
    except ImportError as error:
        raise ValueError(f"missing package: {path.name}: {error}") from None
    from ecgdatakit import parsing  # here, as only these files need it

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = parsing.FileParser.parse(path, units="mV")
    except Exception as error:  # decoders raise almost anything for damaged files
        raise ValueError(f"unreadable: {path.name}: {error}") from None
    for warning in caught:
        if _DAMAGE.search(str(warning.message)):
            raise ValueError(f"damaged: {path.name}: {warning.message}")
    found = {lead_names.standard_name(lead.label): lead for lead in record.leads}
    chosen = [lead for name, lead in found.items() if name in lead_names.LEADS]
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
        tuple(lead.label for lead in chosen),
        chosen[0].sampling_rate,
        path,
    )
