import pytest

from benchmarks import preparation_growth
from data_prep import shard_writer

pytestmark = pytest.mark.slow


def test_measures_a_build(tmp_path):
    bench = preparation_growth.Bench(tmp_path, 2.5, jobs=1)
    bench.write(40)
    found = bench.build("first")
    assert found["seconds"] > 0 and found["peak_mib"] > 0
    assert bench.build("second")["seconds"] > 0
    assert bench.hashes("first") == bench.hashes("second")
    assert "signals-00000.npy" in bench.hashes("first")
    # The records are kept without doubts.
    assert (tmp_path / "first" / shard_writer.NOTES).read_text() == "record,note\n"


def test_too_few_records_for_a_kill_are_named(capsys):
    assert preparation_growth.main(["--records", "20"]) == 1
    assert "--records: expected enough for 8 shards" in capsys.readouterr().err
