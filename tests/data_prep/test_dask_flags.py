"""Tests of --dask without a usable cluster."""

import socket
import subprocess
import sys

import pytest

from data_prep import dask_cluster, ptbxl, synthetic


def prepare(tmp_path, *more):
    flags = ["--raw_dir", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
    return ptbxl.main([*flags, *map(str, more)])


@pytest.mark.parametrize("answers", [False, True])
def test_an_unreachable_scheduler_raises(tmp_path, capfd, monkeypatch, answers):
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 0.5)
    raw, out = tmp_path / "new" / "raw", tmp_path / "new" / "out"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if answers:
            taken.listen()  # takes a call and says nothing
        address = "tcp://{}:{}".format(*taken.getsockname())
        flags = ["--raw_dir", str(raw), "--out", str(out), "--dask", address]
        assert synthetic.main(flags) == 1
    output = capfd.readouterr()
    start = f"error: {address}: no Dask scheduler answered within 0.5 s"
    assert output.err.startswith(start) and output.err.count("\n") == 1
    assert not output.out and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        (
            None,
            "neither an existing scheduler file nor an address like tcp://host:8786",
        ),
        ("[]", "expected a scheduler file, as `dask scheduler --scheduler-file"),
        ("{}", "expected a scheduler file"),
        ("damaged", "expected a scheduler file"),
    ],
)
def test_an_invalid_scheduler_file_raises(tmp_path, capsys, text, message):
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    file = tmp_path / "scheduler.json"
    if text is not None:
        file.write_text(text)
    assert prepare(tmp_path, "--dask", file) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {file}") and message in error


def test_without_dask_the_error_says_how_to_install_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert prepare(tmp_path, "--dask", "tcp://127.0.0.1:8786") == 1
    error = capsys.readouterr().err
    assert "distributed is not installed. Run: pip install 'dask>=" in error


def test_jobs_and_dask_exclude_each_other(tmp_path, capsys):
    with pytest.raises(SystemExit):
        prepare(tmp_path, "--jobs", 2, "--dask", "tcp://host:8786")
    assert "not allowed with argument --jobs" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["0", "two"])
def test_impossible_numbers_of_jobs_are_named(tmp_path, jobs, capsys):
    with pytest.raises(SystemExit):
        prepare(tmp_path, "--jobs", jobs)
    assert "argument --jobs: expected a number of proc" in capsys.readouterr().err


def test_dask_is_imported_only_when_requested():
    code = "import data_prep.synthetic, sys; sys.exit('dask' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
