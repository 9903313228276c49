"""Records and tables in CPSC2018's layout, read back by other programs."""

import numpy as np
import pytest
import wfdb
from scipy import io as scipy_io

from data_prep import cpsc_format, cpsc_writer
from mrm_jax.data import wfdb_files


@pytest.fixture
def record():
    signal = np.random.default_rng(0).integers(-2000, 2000, (3001, 12), dtype=np.int16)
    return cpsc_writer.Record("S0007", signal, 500, ("RBBB", "AF"), 61, "Female")


def test_wfdb_reads_written_records(tmp_path, record):
    cpsc_writer.write_record(tmp_path, record)
    read = wfdb.rdrecord(str(tmp_path / "S0007"), physical=False)
    np.testing.assert_array_equal(read.d_signal, record.signal_uv)
    assert read.sig_name == list(cpsc_writer.LEADS)
    # header(5) has a signed 16-bit number; wfdb computes an unsigned one.
    assert [value % 2**16 for value in read.checksum] == read.calc_checksum()
    assert all(-(2**15) <= value < 2**15 for value in read.checksum)
    assert read.init_value == record.signal_uv[0].tolist()
    assert (read.fs, set(read.adc_gain), set(read.units)) == (500, {1000.0}, {"mV"})
    # Codes are sorted, so that the first label is lost, as in the mirrors.
    assert read.comments == ["Age: 61", "Sex: Female", "Dx: 164889003,59118001"]


def test_the_project_and_matlab_read_written_records(tmp_path, record):
    cpsc_writer.write_record(tmp_path, record)
    signal_mv, rate = wfdb_files.read_record(tmp_path / "S0007.hea")
    np.testing.assert_array_equal(np.rint(signal_mv * 1000), record.signal_uv)
    assert rate == 500
    content = scipy_io.loadmat(tmp_path / "S0007.mat")
    np.testing.assert_array_equal(content["val"], record.signal_uv.T)
    # The Challenge's files start so: int16, 12 rows, 3001 columns, real, "val".
    start = np.array([30, 12, 3001, 0, 4], "<i4").tobytes() + b"val\0"
    assert (tmp_path / "S0007.mat").read_bytes().startswith(start)


def test_reference_puts_the_first_label_first(tmp_path):
    cpsc_writer.write_reference(tmp_path, {"S1": ("RBBB", "AF"), "S2": ("Normal",)})
    text = (tmp_path / "REFERENCE.csv").read_text().split()
    assert text == [
        "Recording,First_label,Second_label,Third_label",
        "S1,5,2,",
        "S2,1,,",
    ]
    read = cpsc_format.read_reference(tmp_path / "REFERENCE.csv")
    assert read == {"S1": [5, 2], "S2": [1]}


def test_folds_table_has_one_row_per_record(tmp_path):
    cpsc_writer.write_folds(tmp_path, {"S1": 3, "S2": 10})
    assert (tmp_path / "folds.csv").read_text().split() == [
        "record,fold",
        "S1,3",
        "S2,10",
    ]
