import time
import types
import warnings
from concurrent import futures

import numpy as np
import pytest

from mrm_jax.data import device_files, files
from mrm_jax.data import leads as lead_names
from tests.helpers import device_records

pytest.importorskip("ecgdatakit", reason="the extra [files] is not installed")

RATE = 250


@pytest.fixture(scope="module")
def steps():
    """Whole numbers [time, 12] that no lead shares."""
    rng = np.random.default_rng(0)
    return rng.integers(-800, 800, (RATE, 12))


@pytest.mark.parametrize("unit", ["mV", "uV"])
def test_edf(tmp_path, steps, unit):
    pytest.importorskip("edfio")
    path = device_records.write_edf(tmp_path / "r.edf", steps / 1000, RATE, unit)
    record = files.read(path)
    assert record.sampling_rate == RATE
    assert record.leads == lead_names.LEADS
    # EDF scales each lead to 16 bits of its own range.
    np.testing.assert_allclose(record.signal_mv, steps / 1000, atol=2 / 65_535)


def test_edf_without_a_unit_of_voltage_is_refused(tmp_path, steps):
    pytest.importorskip("edfio")
    path = device_records.write_edf(tmp_path / "r.edf", steps / 1000, RATE, "bpm")
    with pytest.raises(ValueError, match="r.edf states no unit of voltage"):
        files.read(path)


def test_a_lead_that_occurs_twice_is_refused(tmp_path, steps):
    """Neither a raw nor a filtered copy is chosen by its place in the file."""
    edfio = pytest.importorskip("edfio")
    labels = [*(f"ECG {lead}" for lead in lead_names.LEADS), "II"]
    signals = [
        edfio.EdfSignal(column / 1000, RATE, label=label, physical_dimension="mV")
        for label, column in zip(labels, [*steps.T, -steps[:, 1]], strict=True)
    ]
    edfio.Edf(signals).write(tmp_path / "r.edf")
    with pytest.raises(ValueError, match="^doubled lead: II; found .*II, III"):
        files.read(tmp_path / "r.edf")


def test_dicom(tmp_path, steps):
    pytest.importorskip("pydicom")
    record = files.read(device_records.write_dicom(tmp_path / "r.dcm", steps, RATE))
    assert (record.sampling_rate, record.leads) == (RATE, lead_names.LEADS)
    np.testing.assert_allclose(record.signal_mv, steps / 1000, rtol=1e-6)


def test_muse_of_eight_leads(tmp_path, steps):
    eight = steps[:, [0, 1, *range(6, 12)]]
    record = files.read(device_records.write_muse(tmp_path / "r.xml", eight, RATE))
    assert record.leads == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    np.testing.assert_allclose(record.signal_mv, eight * 4.88e-3, rtol=1e-6)
    signal_mv, _ = lead_names.complete(record.signal_mv, record.leads)
    third = (steps[:, 1] - steps[:, 0]) * 4.88e-3
    np.testing.assert_allclose(signal_mv[:, 2], third, atol=1e-5)


def test_hl7_annotated_ecg(tmp_path, steps):
    record = files.read(device_records.write_aecg(tmp_path / "r.xml", steps, RATE))
    assert (record.sampling_rate, record.leads) == (RATE, lead_names.LEADS)
    np.testing.assert_allclose(record.signal_mv, steps * 2.5e-3, rtol=1e-6)


def test_hl7_without_a_unit_is_refused(tmp_path, steps):
    path = device_records.write_aecg(tmp_path / "r.xml", steps, RATE, unit="")
    with pytest.raises(ValueError, match="r.xml states no unit of voltage"):
        files.read(path)


def test_scp_ecg(tmp_path, steps):
    eight = steps[:, [0, 1, *range(6, 12)]]
    record = files.read(device_records.write_scp(tmp_path / "r.scp", eight, RATE, 2500))
    assert record.leads == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    assert record.sampling_rate == RATE
    np.testing.assert_allclose(record.signal_mv, eight * 2.5e-3, rtol=1e-6)


@pytest.mark.parametrize("name", ["r.edf", "r.dcm", "r.scp", "r.xml"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"<RestingECG> this is no ECG")
    with pytest.raises(ValueError, match=f"^unreadable: {name}: "):
        files.read(path)
    with pytest.raises(ValueError, match="missing file: gone.edf"):
        files.read(tmp_path / "gone.edf")


def test_truncated_files_are_not_read_as_shorter_ones(tmp_path, steps):
    eight = steps[:, [0, 1, *range(6, 12)]]
    path = device_records.write_scp(tmp_path / "r.scp", eight, RATE)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError):
        files.read(path)


def test_truncated_edf_files_are_not_read_as_shorter_ones(tmp_path, steps):
    pytest.importorskip("edfio")
    long = np.tile(steps, (10, 1)) / 1000
    path = device_records.write_edf(tmp_path / "r.edf", long, RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match="^damaged: r.edf: EDF file truncated: header"):
        files.read(path)


def test_a_wrong_checksum_is_an_error(tmp_path, steps):
    eight = steps[:, [0, 1, *range(6, 12)]]
    path = device_records.write_scp(tmp_path / "r.scp", eight, RATE)
    content = bytearray(path.read_bytes())
    content[-7] ^= 0x10  # a sample
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^damaged: r.scp: .*CRC mismatch in"):
        files.read(path)


def test_only_xml_files_with_an_ecg_are_records(tmp_path, steps):
    device_records.write_aecg(tmp_path / "a.xml", steps, RATE)
    (tmp_path / "settings.xml").write_text("<project><name>x</name></project>")
    found = files.find([tmp_path])
    assert [path.name for path in found.records] == ["a.xml"]
    assert [path.name for path in found.unread] == ["settings.xml"]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    import sys

    path = tmp_path / "r.edf"
    path.write_bytes(b"0")
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    with pytest.raises(ValueError, match="missing package: r.edf: .edf files need"):
        device_files.read(path)


def test_threads_do_not_mix_up_the_warnings_of_files(tmp_path, monkeypatch):
    """A damaged file must not pass, nor another one be refused in its place."""
    from ecgdatakit import parsing

    lead = types.SimpleNamespace(
        label="I", is_raw=False, units="mV", sampling_rate=100, samples=np.zeros(9)
    )

    def parse(path, units):
        time.sleep({"damaged": 0.0, "fine": 0.1}[path.stem])
        if path.stem == "damaged":
            time.sleep(0.05)
            warnings.warn("file is truncated", stacklevel=2)
        return types.SimpleNamespace(leads=[lead])

    monkeypatch.setattr(parsing.FileParser, "parse", parse)
    with futures.ThreadPoolExecutor(2) as pool:
        damaged = pool.submit(device_files.read, tmp_path / "damaged.edf")
        time.sleep(0.02)
        fine = pool.submit(device_files.read, tmp_path / "fine.edf")
        assert fine.result().leads == ("I",)
        with pytest.raises(ValueError, match="^damaged: damaged.edf: file is trunc"):
            damaged.result()
