import numpy as np
import pytest

from mrm_jax.data import files
from tests.helpers import raw_records, small_predictions

LEADS = files.lead_names.LEADS
VALUES = np.rint(1000 * small_predictions.ecg_mv()).astype(np.int16)
SIGNAL_MV = small_predictions.ecg_mv()


@pytest.mark.parametrize("name", ["r", "r.hea", "r.dat"])
def test_reads_wfdb_by_any_of_its_file_names(tmp_path, name):
    small_predictions.write_record(tmp_path / "r")
    found = files.read(str(tmp_path / name))
    assert (found.name, found.unit, found.sampling_rate) == ("r", "mV", 500)
    assert found.source == tmp_path / "r.hea"
    assert found.leads == LEADS
    np.testing.assert_allclose(found.signal_mv, SIGNAL_MV, rtol=1e-6)


def test_reads_wfdb_with_any_leads_in_any_order(tmp_path):
    names = ("Resp", "V2", "mlii", "I", "c1")
    path = raw_records.write_wfdb(tmp_path / "r", VALUES[:, :5], 257, names=names)
    found = files.read(path)
    assert found.leads == ("V2", "I", "V1")
    assert found.sampling_rate == 257
    np.testing.assert_allclose(found.signal_mv, VALUES[:, [1, 3, 4]] / 1000, rtol=1e-6)


def test_converts_wfdb_in_other_units(tmp_path):
    gain = ["1000/mV"] * 4 + ["1/uV"] * 4 + ["1000000/V"] * 4
    path = raw_records.write_wfdb(tmp_path / "r", VALUES, gain=gain)
    found = files.read(path)
    assert found.unit == "V, mV, uV"
    expected_mv = VALUES / np.repeat([1000, 1000, 1000], 4)
    np.testing.assert_allclose(found.signal_mv, expected_mv, rtol=1e-5)


MICRO_SIGNS = [
    "1/\u00b5V".encode(),
    "1/\u03bcV".encode(),
    "1/\u00b5V".encode("latin-1"),
]


@pytest.mark.parametrize("gain", MICRO_SIGNS)
def test_reads_wfdb_microvolts_with_a_micro_sign(tmp_path, gain):
    path = raw_records.write_wfdb(tmp_path / "r", VALUES)
    path.write_bytes(path.read_bytes().replace(b"1000/mV", gain))
    found = files.read(path)
    assert found.unit == "uV"
    np.testing.assert_allclose(found.signal_mv, VALUES / 1000, rtol=1e-6)


@pytest.mark.parametrize("gain", MICRO_SIGNS)
def test_the_wfdb_package_does_not_drop_a_micro_sign(tmp_path, gain):
    path = raw_records.write_wfdb(tmp_path / "r", VALUES)
    of_wfdb = path.read_bytes().replace(b" 16 ", b" 16:0 ", 12)
    path.write_bytes(of_wfdb.replace(b"1000/mV", b"1000/V"))
    assert files.read(path).unit == "V"
    path.write_bytes(of_wfdb.replace(b"1000/mV", gain))
    with pytest.raises(ValueError, match="^wrong unit: r.hea: .* micro sign"):
        files.read(path)


def test_wfdb_with_a_unit_other_than_voltage_raises(tmp_path):
    path = raw_records.write_wfdb(tmp_path / "r", VALUES, gain="1/mmHg")
    with pytest.raises(ValueError, match="^wrong unit: .* found 'mmHg'"):
        files.read(path)


def test_reads_wfdb_with_a_lead_without_description(tmp_path):
    path = raw_records.write_wfdb(tmp_path / "r", VALUES)
    path.write_text(path.read_text().replace(" 0 V6\n", " 0\n"))
    assert files.read(path).leads == LEADS[:11]


def test_reads_wfdb_at_a_fractional_rate(tmp_path):
    path = small_predictions.write_record(tmp_path / "r")
    path.write_text(path.read_text().replace("r 12 500 ", "r 12 499.5 "))
    assert files.read(path).sampling_rate == 499.5


def test_reads_both_mat_formats(tmp_path):
    raw_records.write_wfdb(tmp_path / "A1", VALUES, 500, padding=24)
    raw_records.write_original(tmp_path / "A2.mat", SIGNAL_MV)
    challenge, original = (files.read(tmp_path / f"A{n}.mat") for n in (1, 2))
    assert challenge.source == tmp_path / "A1.hea"
    assert original.sampling_rate == 500
    np.testing.assert_allclose(challenge.signal_mv, SIGNAL_MV, rtol=1e-6)
    np.testing.assert_array_equal(original.signal_mv, SIGNAL_MV)


def test_a_mat_without_its_header_raises(tmp_path):
    from scipy import io as scipy_io

    scipy_io.savemat(tmp_path / "A1.mat", {"val": VALUES.T})
    with pytest.raises(
        ValueError,
        match=r"variables val \[12, \d+\] \(int16\)\. .*needs its header A1.hea .*npy",
    ):
        files.read(tmp_path / "A1.mat")


@pytest.mark.parametrize("unit", ["mV", "uV", "V"])
def test_reads_tables_in_each_unit(tmp_path, unit):
    given = SIGNAL_MV / {"mV": 1, "uV": 1e-3, "V": 1e3}[unit]
    np.save(tmp_path / "r.npy", given.T)
    np.savetxt(tmp_path / "r.csv", given, delimiter=",")
    for name in ("r.npy", "r.csv"):
        found = files.read(tmp_path / name, files.TableForm(250.5, unit))
        assert (found.sampling_rate, found.unit, found.name) == (250.5, unit, "r")
        np.testing.assert_allclose(found.signal_mv, SIGNAL_MV, rtol=1e-9)


def test_tables_without_a_rate_raise(tmp_path):
    np.save(tmp_path / "r.npy", SIGNAL_MV)
    with pytest.raises(
        ValueError, match="^no rate: r.npy .* Pass it with --sampling_rate"
    ):
        files.read(tmp_path / "r.npy")


def test_unsupported_kinds_raise(tmp_path):
    (tmp_path / "r.gdf").write_bytes(b"0")
    with pytest.raises(ValueError, match="^unknown kind: r.gdf: expected WFDB"):
        files.read(tmp_path / "r.gdf")


def test_missing_files_raise():
    with pytest.raises(ValueError, match="^missing file: r.hea"):
        files.read("no/such/r")


def test_finds_the_records_of_a_folder(tmp_path):
    small_predictions.write_record(tmp_path / "b" / "w")
    raw_records.write_wfdb(tmp_path / "A1", VALUES, 500, padding=24)
    raw_records.write_original(tmp_path / "A2.mat", SIGNAL_MV)
    np.save(tmp_path / "n.npy", SIGNAL_MV)
    (tmp_path / "t.csv").write_text("time,I,II\n")
    (tmp_path / "REFERENCE.csv").write_text("Recording,First_label\nA1,1\n")
    (tmp_path / "._A1.hea").write_bytes(b"\0")  # as macOS leaves them
    (tmp_path / "notes.txt").write_text("")
    found = files.find([tmp_path])
    names = [str(path.relative_to(tmp_path)) for path in found.records]
    assert names == ["A1.hea", "A2.mat", "b/w.hea", "n.npy", "t.csv"]
    assert found.tables == [tmp_path / "REFERENCE.csv"]
    assert found.skipped() == (
        "1 .csv without lead names in the first row, such as REFERENCE.csv"
    )


def test_segments_and_signal_files_of_a_record_are_no_records(tmp_path):
    for segment in ("s_0001", "s_0002"):
        raw_records.write_wfdb(tmp_path / segment, VALUES, 500)
    count = 2 * len(VALUES)
    lines = [f"s_000{n} {len(VALUES)}" for n in (1, 2)]
    (tmp_path / "s.hea").write_text("\n".join([f"s/2 12 500 {count}", *lines]))
    header = raw_records.write_wfdb(tmp_path / "r", VALUES, 500)
    header.write_text(header.read_text().replace("r.dat", "signals.dat"))
    (tmp_path / "r.dat").rename(tmp_path / "signals.dat")
    found = files.find([tmp_path])
    assert found.records == [tmp_path / "r.hea", tmp_path / "s.hea"]
    assert [len(files.read(path).signal_mv) for path in found.records] == [
        len(VALUES),
        count,
    ]
    alone = files.find([tmp_path / "s_0002.dat"])
    assert alone.records == [tmp_path / "s_0002.hea"]


@pytest.mark.parametrize("text", ["", "r/1 12 500 9\nr 9\n", "# only a comment\n"])
def test_damaged_headers_stay_records(tmp_path, text):
    (tmp_path / "r.hea").write_text(text)
    assert files.find([tmp_path]).records == [tmp_path / "r.hea"]
    with pytest.raises(ValueError, match=r"^unreadable: r\.hea|^no rate"):
        files.read(tmp_path / "r.hea")


def test_counts_files_of_kinds_that_are_not_read(tmp_path):
    for name in ("a.gdf", "b.GDF", "c.h5", "d.xml", "e.zip", "notes.txt", "f.atr"):
        (tmp_path / name).write_bytes(b"0")
    with pytest.raises(
        ValueError,
        match="no record was found. Skipped: files of kinds that are not read: "
        "2 .gdf, 1 .h5, 1 .xml, 1 .zip. Supported files: WFDB",
    ):
        files.find([tmp_path])
    small_predictions.write_record(tmp_path / "r")
    found = files.find([tmp_path])
    assert len(found.records) == 1 and len(found.unread) == 5


def test_files_keep_their_order_without_duplicates(tmp_path):
    for name in ("b", "a"):
        small_predictions.write_record(tmp_path / name)
    given = [tmp_path / "b.dat", tmp_path / "a", tmp_path / "b.hea", tmp_path]
    assert files.find(given).records == [tmp_path / "b.hea", tmp_path / "a.hea"]


def test_samples_without_a_header_are_found_and_raise(tmp_path):
    small_predictions.write_record(tmp_path / "a")
    small_predictions.write_record(tmp_path / "b").unlink()
    records = files.find([tmp_path]).records
    assert records == [tmp_path / "a.hea", tmp_path / "b.dat"]
    with pytest.raises(ValueError, match="^missing file: b.hea$"):
        files.read(records[1])


def test_accepts_uppercase_suffixes(tmp_path):
    small_predictions.write_record(tmp_path / "a").rename(tmp_path / "a.HEA")
    (tmp_path / "a.dat").rename(tmp_path / "a.DAT")
    header = (tmp_path / "a.HEA").read_text()
    (tmp_path / "a.HEA").write_text(header.replace("a.dat", "a.DAT"))
    np.save(tmp_path / "b.npy", SIGNAL_MV)
    (tmp_path / "b.npy").rename(tmp_path / "b.NPY")
    np.savetxt(tmp_path / "c.CSV", SIGNAL_MV, delimiter=",")
    raw_records.write_original(tmp_path / "d.MAT", SIGNAL_MV)
    records = files.find([tmp_path]).records
    names = ["a.HEA", "b.NPY", "c.CSV", "d.MAT"]
    assert [path.name for path in records] == names
    assert files.find([tmp_path / "a.DAT"]).records == records[:1]
    for path in records:
        found = files.read(path, files.TableForm(500))
        np.testing.assert_allclose(found.signal_mv, SIGNAL_MV, rtol=1e-6)


def test_linked_folders_are_visited_once(tmp_path):
    small_predictions.write_record(tmp_path / "elsewhere" / "a")
    small_predictions.write_record(tmp_path / "in" / "b")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    found = [
        str(p.relative_to(tmp_path)) for p in files.find([tmp_path / "in"]).records
    ]
    assert found == ["in/b.hea", "in/link/a.hea"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("x", "x.hea"), ("x.dat", "x.hea"), ("x.csv", "x.csv"), ("x.mat", "x.mat")],
)
def test_a_missing_file_among_others_is_listed(tmp_path, name, reason):
    path = small_predictions.write_record(tmp_path / "a")
    assert files.find([tmp_path / name, path]).records == [tmp_path / name, path]
    with pytest.raises(ValueError, match=f"^missing file: {reason}$"):
        files.read(tmp_path / name)


def test_nothing_to_read_raises(tmp_path):
    with pytest.raises(ValueError, match="no record was found. Supported files: WFDB"):
        files.find([tmp_path])
    with pytest.raises(ValueError, match="nowhere: no such record or folder"):
        files.find([tmp_path / "nowhere"])


def test_reads_real_records_of_both_formats(real_data):
    found = files.find([real_data / "cpsc2018"])
    assert len(found.records) == 15
    assert [path.name for path in found.tables] == ["REFERENCE.csv"]
    for path in found.records:
        record = files.read(path)
        assert record.sampling_rate == 500
        assert set(record.leads) == set(LEADS)
        assert 6 < record.duration_s < 144
