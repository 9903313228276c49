"""Whatever a file holds, reading it returns a record or names what is wrong."""

import io
import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import io as scipy_io

from data_prep import cpsc_format, csv_tables, ptbxl
from mrm_jax.data import files, manifest, preprocessing, windows
from mrm_jax.runtime import text
from tests.helpers import outcomes, raw_records, small_predictions, small_runs

EXPECTED = windows.InputSpec(100, small_runs.NUM_SAMPLES, preprocessing.EXACT)
FORM = files.TableForm(500.0)
SIGNAL_MV = small_predictions.ecg_mv(2 * small_predictions.WINDOW)
TRIES = hypothesis.settings(
    max_examples=60 * outcomes.EFFORT,
    deadline=None,
    derandomize=outcomes.EFFORT == 1,  # the same examples in every `make test`
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@st.composite
def edits(draw):
    """A few places in a file, and what is written there: other bytes, or nothing."""
    places = st.floats(0, 1, exclude_max=True)
    pieces = st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [b"nan", b"-1", b"0", b"1e999", b"\0", b"\n", b" ", b"/", b"99999999999999"]
        ),
    )
    edit = st.tuples(places, st.integers(0, 12), pieces)
    return draw(st.lists(edit, min_size=1, max_size=4))


def edited(content, changes):
    for place, length, piece in changes:
        start = int(place * len(content))
        content = content[:start] + piece + content[start + length :]
    return content


def npy():
    file = io.BytesIO()
    np.save(file, SIGNAL_MV)
    return file.getvalue()


def csv():
    file = io.StringIO()
    np.savetxt(file, SIGNAL_MV, "%.3f", delimiter=",")
    return f"{','.join(files.lead_names.LEADS)}\n{file.getvalue()}".encode()


def mat():
    file = io.BytesIO()
    data = {"sex": "Male", "age": 50.0, "data": SIGNAL_MV.T}
    scipy_io.savemat(file, {"ECG": data})
    return file.getvalue()


KINDS = {"npy": npy, "csv": csv, "mat": mat}


@pytest.fixture(scope="module")
def outcome():
    found = outcomes.start(
        "Every record, table and manifest is read, or refused with a reason",
        "random edits of valid files (hypothesis)",
    )
    yield found
    found.check()


def read_and_cut(path, outcome):
    """Reads a record as prediction does; only a ValueError may come of it."""
    try:
        found = files.read(path, FORM)
        assert found.sampling_rate > 0 and len(found.signal_mv)
        cut = windows.cut(found, EXPECTED)
        assert cut.signals_uv.dtype == np.int16
    except ValueError as error:
        assert str(error)
    outcome.count()


def check_edits(path, outcome):
    content = path.read_bytes()

    @TRIES
    @hypothesis.given(edits())
    def check(changes):
        path.write_bytes(edited(content, changes))
        read_and_cut(path, outcome)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_edited_files_are_read_or_refused(kind, outcome, tmp_path):
    path = tmp_path / f"r.{kind}"
    path.write_bytes(KINDS[kind]())
    check_edits(path, outcome)


def test_edited_headers_are_read_or_refused(outcome, tmp_path):
    check_edits(small_predictions.write_record(tmp_path / "r"), outcome)


@pytest.mark.parametrize("name", ["ptbxl_database.csv", "scp_statements.csv"])
def test_edited_tables_of_ptbxl_are_read_or_refused(name, outcome, tmp_path):
    codes = ["{'NORM': 100.0, 'SR': 0.0}", "{'IMI': 0.0}", "{'_XYZ': 15.0}"]
    raw_records.write_ptbxl(tmp_path, codes, folds=[1, 9, 10])
    path = tmp_path / name
    content = path.read_bytes()

    @TRIES
    @hypothesis.given(edits())
    def check(changes):
        path.write_bytes(edited(content, changes))
        try:
            found = ptbxl.index(tmp_path)
            assert set(found.folds.tolist()) <= set(range(1, 11))
        except ValueError as error:
            assert str(error)
        outcome.count()

    check()


def test_edited_references_are_read_or_refused(outcome, tmp_path):
    path = tmp_path / "REFERENCE.csv"
    content = b"Recording,First_label,Second_label,Third_label\nA0001,5,,\nA0002,1,8,\n"

    @TRIES
    @hypothesis.given(edits())
    def check(changes):
        path.write_bytes(edited(content, changes))
        try:
            for row in cpsc_format.read_reference_rows(path):
                assert row.reason or set(cpsc_format.classes_of(row)) <= set(range(10))
        except ValueError as error:
            assert str(path) in str(error)
        outcome.count()

    check()


def test_edited_manifests_are_read_or_refused(outcome, tmp_path):
    folder = small_runs.write_shards(tmp_path / "shards")
    path = folder / manifest.MANIFEST
    expected, content = manifest.read(folder), path.read_bytes()

    @TRIES
    @hypothesis.given(edits())
    def check(changes):
        path.write_bytes(edited(content, changes))
        try:
            outcome.count(wrong=manifest.read(folder) != expected)
        except ValueError as error:
            assert str(path) in str(error)
            outcome.count()

    check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["format_version", "labels", "label_sets", "split_folds", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@TRIES
@hypothesis.given(JSON)
def test_any_json_as_a_manifest_is_refused(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("json")
    (folder / manifest.MANIFEST).write_text(json.dumps(value))
    with pytest.raises(ValueError, match=r"manifest\.json"):
        manifest.read(folder)


@TRIES
@hypothesis.given(st.text())
def test_shown_text_is_printable(value):
    shown = text.printable(value)
    assert all(sign.isprintable() or sign in "\n\t" for sign in shown)
    assert text.printable(shown) == shown
    assert not str(text.cell(f"={value}")).startswith("=")


@TRIES
@hypothesis.given(st.text(max_size=8))
def test_numbers_in_tables_are_whole_and_in_range(cell):
    try:
        assert csv_tables.whole_number(1, 10)(cell) in range(1, 11)
    except ValueError as error:
        assert str(error) == "expected a whole number from 1 to 10"
