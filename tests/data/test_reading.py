from mrm_jax.data import windows
from tests.helpers import small_predictions

EXPECTED = windows.InputSpec(100, 40, "exact")


def test_files_keep_their_order_and_skipped_ones_have_reasons(tmp_path):
    paths = [
        small_predictions.write_record(tmp_path / f"r{number}", seed=number)
        for number in range(windows.READ_AHEAD + 10)
    ]
    paths[5].write_text("")
    paths.insert(7, tmp_path / "none")
    found = list(windows.cuts(iter(paths), None, EXPECTED))
    assert str(found[5]).startswith("unreadable: r5.hea")
    assert str(found[7]).startswith("missing file: none.hea")
    read = [cut for cut in found if isinstance(cut, windows.Windows)]
    assert [cut.recording.name for cut in read] == [
        path.stem for place, path in enumerate(paths) if place not in (5, 7)
    ]


def test_a_header_that_demands_all_memory_skips_one_record(tmp_path):
    path = small_predictions.write_record(tmp_path / "r")
    path.write_text(path.read_text().replace("r 12 500 200", f"r 12 500 {10**14}"))
    (found,) = windows.cuts([path], None, EXPECTED)
    assert str(found).startswith("truncated file: r.dat: ")


def test_any_reader_error_skips_only_its_record(tmp_path):
    good, bad = (small_predictions.write_record(tmp_path / name) for name in "ab")
    text = bad.read_text().replace(" 500 ", f" {10**400} ")  # an OverflowError
    bad.write_text(text)
    found = list(windows.cuts([bad, good], None, EXPECTED))
    assert str(found[0]).startswith("unreadable: b.hea: OverflowError")
    assert isinstance(found[1], windows.Windows)
