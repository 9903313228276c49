import numpy as np
import pytest

from mrm_jax.data import leads, tables

LEADS = leads.LEADS
VALUES = np.random.default_rng(0).normal(size=(40, 12)).round(4)


def write_csv(path, values, header=None, delimiter=","):
    lines = [delimiter.join(map(str, row)) for row in values]
    path.write_text("\n".join([header, *lines] if header else lines) + "\n")
    return path


@pytest.mark.parametrize("array", [VALUES, VALUES.T])
def test_reads_npy_in_either_orientation(tmp_path, array):
    np.save(tmp_path / "r.npy", array)
    values, names = tables.read_npy(tmp_path / "r.npy", None)
    np.testing.assert_array_equal(values, VALUES)
    assert names == LEADS


def test_reads_npy_with_named_leads(tmp_path):
    np.save(tmp_path / "r.npy", VALUES[:, :8].T)
    given = ("II", "I", *LEADS[6:])
    values, names = tables.read_npy(tmp_path / "r.npy", given)
    np.testing.assert_array_equal(values, VALUES[:, :8])
    assert names == given


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((12, 12), r"\(12, 12\) is ambiguous, as both axes"),
        ((5000, 8), r"expected one record, .* found \(5000, 8\). Name other leads"),
        ((2, 5000, 12), r"expected one record"),
        ((12,), r"expected one record"),
    ],
)
def test_npy_with_an_ambiguous_shape_raises(tmp_path, shape, message):
    np.save(tmp_path / "r.npy", np.zeros(shape))
    with pytest.raises(ValueError, match=f"^wrong shape: r.npy: {message}"):
        tables.read_npy(tmp_path / "r.npy", None)


@pytest.mark.parametrize(
    "content", [b"", b"no array", b"PK\x03\x04", b"\x93NUMPY\x01\x00"]
)
def test_a_damaged_npy_raises(tmp_path, content):
    (tmp_path / "r.npy").write_bytes(content)
    with pytest.raises(ValueError, match="^unreadable: r.npy: "):
        tables.read_npy(tmp_path / "r.npy", None)


def test_an_archive_is_not_an_npy(tmp_path):
    np.savez(tmp_path / "r.npz", VALUES)
    (tmp_path / "r.npz").rename(tmp_path / "r.npy")
    with pytest.raises(ValueError, match="^unreadable: r.npy: not a .npy file$"):
        tables.read_npy(tmp_path / "r.npy", None)


def test_npy_with_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "r.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="^unreadable: r.npy: .*allow_pickle"):
        tables.read_npy(tmp_path / "r.npy", None)


def test_csv_without_a_header_uses_the_standard_order(tmp_path):
    values, names = tables.read_csv(write_csv(tmp_path / "r.csv", VALUES), None, "mV")
    np.testing.assert_array_equal(values, VALUES)
    assert names == LEADS


@pytest.mark.parametrize("time", ["time", "Time (s)", "t", "time_ms", "index", ""])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_reads_csv_with_a_header_and_times(tmp_path, time, delimiter):
    header = delimiter.join([time, *reversed(LEADS)])
    rows = np.hstack([np.arange(40)[:, None] / 100, VALUES])
    path = write_csv(tmp_path / "r.csv", rows, header, delimiter)
    values, names = tables.read_csv(path, None, "mV")
    np.testing.assert_array_equal(values, VALUES)
    assert tuple(names) == LEADS[::-1]


@pytest.mark.parametrize(
    ("name", "step", "rate"),
    [
        ("time", 0.002, 500),
        ("time", 2, 500),  # milliseconds
        ("time", 1, 360),  # numbers of samples
        ("Time (s)", 0.00277, 360),  # rounded
        ("t_ms", 4, 250),
        ("timestamp [us]", 2000, 500),
        ("index", 7, 100),
        ("", 7, 100),
    ],
)
def test_times_that_agree_with_the_rate(tmp_path, name, step, rate):
    rows = np.hstack([np.arange(40)[:, None] * step, VALUES])
    path = write_csv(tmp_path / "r.csv", rows, ",".join([name, *LEADS]))
    values, _ = tables.read_csv(path, None, "mV", rate)
    np.testing.assert_array_equal(values, VALUES)


@pytest.mark.parametrize("rate", [128, 240, 250, 256, 257, 360, 400, 512, 1000])
def test_times_that_are_rounded_to_milliseconds_agree(tmp_path, rate):
    times = np.round(np.arange(40)[:, None] / rate, 3)
    path = write_csv(
        tmp_path / "r.csv", np.hstack([times, VALUES]), ",".join(["time", *LEADS])
    )
    tables.read_csv(path, None, "mV", rate)


def test_a_column_without_a_name_does_not_shift_the_leads(tmp_path):
    rows = np.hstack([np.arange(40)[:, None] / 100, VALUES])
    path = write_csv(tmp_path / "r.csv", rows, ",".join(LEADS))
    with pytest.raises(ValueError, match="names 12 columns, the rows have 13. Give"):
        tables.read_csv(path, None, "mV")


@pytest.mark.parametrize(
    ("name", "step", "message"),
    [
        ("time", 0.002, "step of 0.002 s, which is 500 Hz, but .* says 100$"),
        ("time_ms", 10.5, "step of 10.5 ms, which is 95.24 Hz, but .* says 100$"),
        ("Time (s)", 1, "step of 1 s, which is 1 Hz, but .* says 100$"),
        ("time", 0, "the times in 'time' do not rise$"),
        ("time", -0.01, "the times in 'time' do not rise$"),
    ],
)
def test_times_that_contradict_the_rate_raise(tmp_path, name, step, message):
    rows = np.hstack([np.arange(40)[:, None] * step, VALUES])
    path = write_csv(tmp_path / "r.csv", rows, ",".join([name, *LEADS]))
    with pytest.raises(ValueError, match=f"^wrong rate: r.csv: .*{message}"):
        tables.read_csv(path, None, "mV", 100)


def test_reads_csv_written_by_spreadsheets(tmp_path):
    # A mark of the byte order, quotes, Windows' ends of lines, an empty last line.
    quoted = ",".join(f'"{lead}"' for lead in LEADS)
    rows = "\r\n".join(",".join(map(str, row)) for row in VALUES)
    text = f"\ufeff{quoted}\r\n{rows}\r\n\r\n"
    (tmp_path / "r.csv").write_bytes(text.encode())
    values, names = tables.read_csv(tmp_path / "r.csv", None, "mV")
    np.testing.assert_array_equal(values, VALUES)
    assert tuple(names) == LEADS


@pytest.mark.parametrize("form", ["{} (mV)", "{}[mV]", '"{} (mv)"'])
def test_header_units_are_not_part_of_lead_names(tmp_path, form):
    header = ",".join(["time (s)", *map(form.format, reversed(LEADS))])
    rows = np.hstack([np.arange(40)[:, None] / 100, VALUES])
    path = write_csv(tmp_path / "r.csv", rows, header)
    assert tables.is_record(path)
    values, names = tables.read_csv(path, None, "mV")
    np.testing.assert_array_equal(values, VALUES)
    assert tuple(names) == LEADS[::-1]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("index", [False, True])
def test_numbered_columns_count_as_a_header(tmp_path, first, index):
    cells = [""] * index + [str(first + number) for number in range(12)]
    rows = np.hstack([np.arange(40)[:, None], VALUES]) if index else VALUES
    path = write_csv(tmp_path / "r.csv", rows, ",".join(cells))
    assert tables.is_record(path)
    values, names = tables.read_csv(path, None, "mV")
    np.testing.assert_array_equal(values, VALUES)
    assert names == LEADS


def test_given_leads_override_the_header(tmp_path):
    path = write_csv(tmp_path / "r.csv", VALUES[:, :2], "channel 1,channel 2")
    assert tables.read_csv(path, ("V1", "V2"), "mV")[1] == ("V1", "V2")


def test_empty_cells_become_missing_samples(tmp_path):
    path = write_csv(tmp_path / "r.csv", VALUES)
    path.write_text(path.read_text().replace(str(VALUES[3, 4]), ""))
    values, _ = tables.read_csv(path, None, "mV")
    assert np.argwhere(np.isnan(values)).tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n4,5,6\n", r"^wrong shape: r.csv: expected 12 columns \(I, .*found 3"),
        ("I,II\n1,2\n3,x\n", "^unreadable: r.csv: .*x.*; expected commas, semicolons"),
        (
            "I II\n1 2\n",
            "^unreadable: r.csv: .*; expected commas, .* and decimal points",
        ),
        ("I;II\n0,1;0,2\n", "^unreadable: r.csv: .* and decimal points"),
        (",".join(["0.5"] * 13), "^wrong shape: .*, and a column of times as time$"),
        ("I (mV),II (uV)\n1,2\n", "^wrong unit: r.csv: the header row says uV, --unit"),
        ("I,II\n1,2\n3,4,5\n", "^unreadable: r.csv: .*line 3"),
        ("I,II\n", "^unreadable: r.csv: "),
        ("", "^unreadable: r.csv: "),
        (
            "I,II,V1\n1,2\n",
            "^wrong shape: r.csv: the header row names 3 columns, the rows have 2",
        ),
    ],
)
def test_a_damaged_csv_raises(tmp_path, text, message):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        tables.read_csv(tmp_path / "r.csv", None, "mV")


def test_a_binary_csv_raises(tmp_path):
    (tmp_path / "r.csv").write_bytes(b"\xff\xfe\x00\x00\x81")
    with pytest.raises(ValueError, match="^unreadable: r.csv: "):
        tables.read_csv(tmp_path / "r.csv", None, "mV")


@pytest.mark.parametrize(
    ("first_row", "is_record"),
    [
        ("time,I,II", True),
        ("0.1,0.2,0.3", True),
        ("Recording,First_label,Second_label", False),
        ("record,fold", False),
    ],
)
def test_label_tables_are_distinguished_from_records(tmp_path, first_row, is_record):
    (tmp_path / "r.csv").write_text(first_row + "\n")
    assert tables.is_record(tmp_path / "r.csv") is is_record
