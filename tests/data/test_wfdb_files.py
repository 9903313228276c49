import numpy as np
import pytest
import wfdb

from mrm_jax.data import files, wfdb_files
from tests.helpers import raw_records

# wfdb's writer, under pandas 3.
wfdb_writes = pytest.mark.filterwarnings(
    "ignore:The inplace keyword in DataFrame.drop:DeprecationWarning"
)


def read_with_wfdb(path):
    signal_mv, fields = wfdb.rdsamp(str(path.with_suffix("")))
    order = {name.upper(): i for i, name in enumerate(fields["sig_name"])}
    columns = [order[lead] for lead in wfdb_files.LEADS]
    return signal_mv[:, columns].astype(np.float32), fields["fs"]


def assert_same_as_wfdb(path):
    signal_mv, rate = wfdb_files.read_record(path)
    expected_mv, expected_rate = read_with_wfdb(path)
    assert signal_mv.dtype == np.float32
    assert rate == expected_rate
    np.testing.assert_array_equal(signal_mv, expected_mv)


def test_returns_millivolts(tmp_path):
    values = raw_records.digital()
    path = raw_records.write_wfdb(tmp_path / "r", values, 100)
    signal_mv, rate = wfdb_files.read_record(path)
    assert rate == 100
    np.testing.assert_array_equal(signal_mv, (values / 1000).astype(np.float32))


@pytest.mark.parametrize("name", ["r", "r.hea", "r.dat"])
def test_path_may_have_a_suffix(tmp_path, name):
    raw_records.write_wfdb(tmp_path / "r", raw_records.digital())
    signal_mv, _ = wfdb_files.read_record(str(tmp_path / name))
    assert signal_mv.shape == (1000, 12)


@pytest.mark.parametrize(
    "gain",
    [
        "1000.0(0)/mV",
        "204.8/mV",
        "200(1024)/mV",
        "333.3(-77)/mV",
        [f"{100 + 37 * i}.5({i - 6})/mV" for i in range(12)],
    ],
)
def test_gains_and_baselines_match_wfdb(tmp_path, gain):
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital(), gain=gain)
    assert_same_as_wfdb(path)


def test_baseline_defaults_to_adc_zero(tmp_path):
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital())
    path.write_text(path.read_text().replace(" 16 0 0 0 0 ", " 16 512 0 0 0 "))
    assert_same_as_wfdb(path)
    signal_mv, _ = wfdb_files.read_record(path)
    assert signal_mv[0, 0] == np.float32((raw_records.digital()[0, 0] - 512) / 1000)


def test_reads_a_matlab_file_with_byte_offset(tmp_path):
    values = raw_records.digital()
    path = raw_records.write_wfdb(tmp_path / "A0001", values, 500, padding=24)
    assert_same_as_wfdb(path)


def test_reads_two_signal_files(tmp_path):
    values = raw_records.digital()
    path = raw_records.write_wfdb(tmp_path / "r", values[:, :5], names=("x",) * 5)
    (tmp_path / "s.dat").write_bytes(bytes(6) + values[:, 5:].tobytes())
    lines = [f"r.dat 16 1000/mV 16 0 0 0 0 {n}" for n in raw_records.LEADS[:5]]
    lines += [f"s.dat 16+6 500/mV 16 0 0 0 0 {n}" for n in raw_records.LEADS[5:]]
    path.write_text("\n".join(["r 12 100 1000", *lines]))
    assert_same_as_wfdb(path)
    signal_mv, _ = wfdb_files.read_record(path)
    np.testing.assert_allclose(signal_mv[:, 11], values[:, 11] / 500, rtol=1e-6)


def test_lead_order_case_and_extra_leads_are_ignored(tmp_path):
    values = raw_records.digital(num_leads=13)
    names = ["Vx", *(name.lower() for name in reversed(raw_records.LEADS))]
    path = raw_records.write_wfdb(tmp_path / "r", values, names=names)
    signal_mv, _ = wfdb_files.read_record(path)
    expected_mv = (values[:, :0:-1] / 1000).astype(np.float32)
    np.testing.assert_array_equal(signal_mv, expected_mv)


@wfdb_writes
@pytest.mark.parametrize("format_", ["212", "80", "24", "32"])
def test_other_formats_are_read_by_wfdb(tmp_path, format_):
    signal_mv = np.random.default_rng(0).normal(size=(400, 12))
    wfdb.wrsamp(
        "r",
        fs=250,
        units=["mV"] * 12,
        sig_name=list(raw_records.LEADS),
        p_signal=signal_mv,
        fmt=[format_] * 12,
        write_dir=str(tmp_path),
    )
    assert_same_as_wfdb(tmp_path / "r.hea")


def test_missing_samples_are_nan(tmp_path):
    values = raw_records.digital()
    values[7, 3] = -32768
    path = raw_records.write_wfdb(tmp_path / "r", values)
    signal_mv, _ = wfdb_files.read_record(path)
    assert np.argwhere(np.isnan(signal_mv)).tolist() == [[7, 3]]
    assert_same_as_wfdb(path)


@pytest.mark.parametrize(("padding", "file"), [(0, "r.dat"), (24, "r.mat")])
def test_a_truncated_file_raises(tmp_path, padding, file):
    values = raw_records.digital()
    path = raw_records.write_wfdb(tmp_path / "r", values, padding=padding)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-2])
    with pytest.raises(ValueError, match=f"^truncated file: {file}: .* found 11999"):
        wfdb_files.read_record(path)


def test_a_header_that_claims_more_samples_than_memory_holds_raises(tmp_path):
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital())
    header = tmp_path / "r.hea"
    first, _, rest = header.read_text().partition("\n")
    assert first.split()[3] == "1000"
    header.write_text(f"{first.replace(' 1000', f' {10**14}')}\n{rest}")
    with pytest.raises(ValueError, match=r"^truncated file: r.dat: .* found 12000"):
        wfdb_files.read_record(path)


@wfdb_writes
def test_a_truncated_file_of_another_format_raises(tmp_path):
    wfdb.wrsamp(
        "r",
        fs=100,
        units=["mV"] * 12,
        sig_name=list(raw_records.LEADS),
        p_signal=np.random.default_rng(0).normal(size=(400, 12)),
        fmt=["212"] * 12,
        write_dir=str(tmp_path),
    )
    data = (tmp_path / "r.dat").read_bytes()
    (tmp_path / "r.dat").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="^unreadable: r.hea"):
        wfdb_files.read_record(tmp_path / "r")


def test_a_missing_lead_raises(tmp_path):
    names = [*raw_records.LEADS[:11], "V7"]
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital(), names=names)
    with pytest.raises(ValueError, match="^missing lead: r.hea: no V6"):
        wfdb_files.read_record(path)


def test_a_duplicate_lead_raises(tmp_path):
    names = [*raw_records.LEADS, "v1"]
    values = raw_records.digital(num_leads=13)
    path = raw_records.write_wfdb(tmp_path / "r", values, names=names)
    with pytest.raises(ValueError, match="^doubled lead: r.hea: V1"):
        wfdb_files.read_record(path)


def test_a_wrong_unit_raises(tmp_path):
    gain = ["1000/mV"] * 11 + ["1000/mmHg"]
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital(), gain=gain)
    with pytest.raises(ValueError, match=r"^wrong unit: .*'mmHg' \(lead V6 of r.hea\)"):
        wfdb_files.read_record(path)


def test_units_and_names_are_read_as_in_prediction(tmp_path):
    values = raw_records.digital()
    names = ["Lead I", "MDC_ECG_LEAD_II", "III_mV", "avr", "ECG aVL", "aVF (mV)"]
    names += ["V-1", "C2", "V 3", "v4", "MDC_ECG_LEAD_V5", "V6"]
    gain = ["1000/mv", "1/uV", "1000/MV", "1000000/V", *["1000/mV"] * 8]
    path = raw_records.write_wfdb(tmp_path / "r", values, names=names, gain=gain)
    signal_mv, _ = wfdb_files.read_record(path)
    np.testing.assert_allclose(signal_mv, values / 1000, rtol=1e-6)
    found = files.read(path)
    assert found.leads == wfdb_files.LEADS
    np.testing.assert_array_equal(found.signal_mv, signal_mv)


def test_a_record_name_with_an_ending_is_read(tmp_path):
    values = raw_records.digital()
    path = raw_records.write_wfdb(tmp_path / "E00271", values, 500, padding=24)
    lines = path.read_text().splitlines()
    lines[0] = "E00271.mat 12 500 1000 05-May-2020 14:48:30"
    path.write_text("\n".join(lines) + "\n")
    signal_mv, rate = wfdb_files.read_record(path)
    assert rate == 500
    np.testing.assert_array_equal(signal_mv, (values / 1000).astype(np.float32))


@pytest.mark.parametrize("line", ["r 12", "r 12 nan 1000", "r 12 0 1000"])
def test_a_header_without_a_rate_raises(tmp_path, line):
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital())
    path.write_text("\n".join([line, *path.read_text().splitlines()[1:]]) + "\n")
    for read in (wfdb_files.read_record, wfdb_files.read_all):
        with pytest.raises(ValueError, match="^no rate: the first line of r.hea"):
            read(path)


@pytest.mark.parametrize("gain", ["0/mV", "0", "0(0)/mV"])
def test_a_lead_without_a_gain_raises(tmp_path, gain):
    gains = ["1000/mV"] * 11 + [gain]
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital(), gain=gains)
    for read in (wfdb_files.read_record, wfdb_files.read_all):
        with pytest.raises(ValueError, match="^uncalibrated: r.hea .* lead V6"):
            read(path)


def test_missing_files_raise(tmp_path):
    with pytest.raises(ValueError, match="^missing file: r.hea"):
        wfdb_files.read_record(tmp_path / "r")
    path = raw_records.write_wfdb(tmp_path / "r", raw_records.digital())
    (tmp_path / "r.dat").unlink()
    with pytest.raises(ValueError, match="^missing file: r.dat"):
        wfdb_files.read_record(path)


@pytest.mark.parametrize("text", ["", "no header at all\n", "r 12 100\n", "\0\0"])
def test_a_damaged_header_raises(tmp_path, text):
    (tmp_path / "r.hea").write_text(text)
    with pytest.raises(ValueError, match=r"^\w[\w ]+: .*r.hea"):
        wfdb_files.read_record(tmp_path / "r")


def test_header_cannot_name_files_outside_its_folder(tmp_path):
    raw_records.write_wfdb(tmp_path / "secret", raw_records.digital())
    path = raw_records.write_wfdb(tmp_path / "in" / "r", raw_records.digital())
    path.write_text(path.read_text().replace("r.dat", "../secret.dat"))
    with pytest.raises(ValueError, match="r.hea"):
        wfdb_files.read_record(path)


def test_real_records_match_wfdb(real_data):
    paths = sorted(real_data.glob("ptbxl_subset/records100/*/*.hea"))[::60]
    paths += sorted(real_data.glob("ptbxl_subset/records500/*/*.hea"))[:5]
    paths += sorted(real_data.glob("cpsc2018/wfdb/*.hea"))
    assert len(paths) > 60
    for path in paths:
        assert_same_as_wfdb(path)
