"""Files of ECG devices, made by hand or by packages other than the one that reads."""

import base64
import struct
from pathlib import Path

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")  # what devices store
SCP_IDS = dict(zip(EIGHT, range(1, 9), strict=True))
MDC_CODES = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)  # of LEADS, in DICOM


def write_edf(path: Path, signal_mv: np.ndarray, rate: int, unit: str = "mV") -> Path:
    """Writes EDF+ with edfio."""
    import edfio

    factor = {"mV": 1, "uV": 1000}.get(unit, 1)
    signals = [
        edfio.EdfSignal(
            factor * column, rate, label=f"ECG {lead}", physical_dimension=unit
        )
        for lead, column in zip(LEADS, signal_mv.T, strict=True)
    ]
    edfio.Edf(signals).write(path)
    return path


def write_dicom(path: Path, signal_uv: np.ndarray, rate: int) -> Path:
    """Writes a 12-lead ECG waveform with pydicom: int16, 1 uV a step."""
    from pydicom import dataset, uid

    channels = []
    for number, lead in zip(MDC_CODES, LEADS, strict=True):
        source = dataset.Dataset()
        source.CodeValue = f"2:{number}"
        source.CodingSchemeDesignator = "MDC"
        source.CodeMeaning = f"Lead {lead}"
        unit = dataset.Dataset()
        unit.CodeValue = "uV"
        unit.CodingSchemeDesignator = "UCUM"
        unit.CodeMeaning = "microvolt"
        channel = dataset.Dataset()
        channel.ChannelSourceSequence = [source]
        channel.ChannelSensitivity = 1
        channel.ChannelSensitivityUnitsSequence = [unit]
        channel.ChannelSensitivityCorrectionFactor = 1
        channel.ChannelBaseline = 0
        channel.WaveformBitsStored = 16
        channels.append(channel)
    group = dataset.Dataset()
    group.MultiplexGroupLabel = "RHYTHM"
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(LEADS)
    group.NumberOfWaveformSamples = len(signal_uv)
    group.SamplingFrequency = rate
    group.ChannelDefinitionSequence = channels
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformData = signal_uv.astype("<i2").tobytes()
    meta = dataset.FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = uid.UID("1.2.840.10008.5.1.4.1.1.9.1.1")
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    file = dataset.FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    file.SOPClassUID = meta.MediaStorageSOPClassUID
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    file.Modality = "ECG"
    file.WaveformSequence = [group]
    file.save_as(path, enforce_file_format=True)
    return path


def write_muse(path: Path, steps: np.ndarray, rate: int, gain: str = "4.88") -> Path:
    """Writes a MUSE export of eight leads; a step is `gain` microvolts."""
    leads = "".join(
        f"<LeadData><LeadID>{lead}</LeadID><LeadSampleCountTotal>{len(column)}"
        "</LeadSampleCountTotal><LeadAmplitudeUnitsPerBit>"
        f"{gain}</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS"
        "</LeadAmplitudeUnits><LeadSampleSize>2</LeadSampleSize><WaveFormData>"
        f"{base64.b64encode(column.astype('<i2').tobytes()).decode()}"
        "</WaveFormData></LeadData>"
        for lead, column in zip(EIGHT, steps.T, strict=True)
    )
    path.write_text(
        '<?xml version="1.0"?>\n<RestingECG><MuseInfo><MuseVersion>9</MuseVersion>'
        "</MuseInfo><Waveform><WaveformType>Rhythm</WaveformType><SampleBase>"
        f"{rate}</SampleBase><SampleExponent>0</SampleExponent><NumberofLeads>8"
        f"</NumberofLeads>{leads}</Waveform></RestingECG>\n"
    )
    return path


def write_aecg(path: Path, steps: np.ndarray, rate: int, unit: str = "uV") -> Path:
    """Writes an HL7 annotated ECG of twelve leads; a step is 2.5 microvolts."""
    scale = f'<scale value="2.5" unit="{unit}"/>' if unit else '<scale value="2.5"/>'
    origin = f'<origin value="0" unit="{unit}"/>' if unit else '<origin value="0"/>'
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/>'
        f'<value xsi:type="SLIST_PQ">{origin}{scale}<digits>'
        f"{' '.join(map(str, column.tolist()))}</digits></value></sequence></component>"
        for lead, column in zip(LEADS, steps.T, strict=True)
    )
    path.write_text(
        '<?xml version="1.0"?>\n<AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><component><series>'
        '<code code="RHYTHM"/><component><sequenceSet><component><sequence>'
        '<code code="TIME_RELATIVE"/><value xsi:type="GLIST_PQ">'
        f'<head value="0" unit="s"/><increment value="{1 / rate}" unit="s"/></value>'
        f"</sequence></component>{sequences}</sequenceSet></component></series>"
        "</component></AnnotatedECG>\n"
    )
    return path


def write_scp(path: Path, steps: np.ndarray, rate: int, step_nv: int = 1000) -> Path:
    """Writes SCP-ECG with eight leads, neither compressed nor differenced."""
    count = len(steps)
    leads = b"".join(struct.pack("<IIB", 1, count, SCP_IDS[lead]) for lead in EIGHT)
    data = steps.astype("<i2")
    rhythm = struct.pack("<HHBB", step_nv, 1_000_000 // rate, 0, 0)
    rhythm += struct.pack("<8H", *[2 * count] * 8)
    rhythm += b"".join(data[:, lead].tobytes() for lead in range(8))
    patient = struct.pack("<BH", 255, 0)
    bodies = {1: patient, 3: struct.pack("<BB", 8, 0b01000100) + leads, 6: rhythm}
    ids, sections, place = range(12), [], 6 + 16 + 12 * 10
    pointers = [(0, 16 + 12 * 10, 7)]
    for number in ids[1:]:
        body = bodies.get(number)
        if body is None:
            pointers.append((number, 0, 0))
            continue
        body += bytes(len(body) % 2)
        section = _scp_section(number, body)
        pointers.append((number, len(section), place + 1))
        sections.append(section)
        place += len(section)
    table = b"".join(struct.pack("<HII", *pointer) for pointer in pointers)
    content = _scp_section(0, table, b"SCPECG") + b"".join(sections)
    size = struct.pack("<I", 6 + len(content))
    path.write_bytes(struct.pack("<H", _crc(size + content)) + size + content)
    return path


def _scp_section(number: int, body: bytes, reserved: bytes = bytes(6)) -> bytes:
    rest = struct.pack("<HIBB", number, 16 + len(body), 13, 13) + reserved + body
    return struct.pack("<H", _crc(rest)) + rest


def _crc(data: bytes) -> int:
    """Returns CRC-CCITT with the initial value 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc
