import pathlib

import pytest

from data_prep import atomic_folder


def test_folder_appears_only_when_complete(tmp_path):
    path = tmp_path / "a" / "b"
    with atomic_folder.building(path) as folder:
        (folder / "file").write_text("text")
        assert not path.exists()
    assert (path / "file").read_text() == "text"
    assert [entry.name for entry in path.parent.iterdir()] == ["b"]


def test_a_link_to_a_folder_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with atomic_folder.building(tmp_path / "link") as folder:
        (folder / "file").write_text("text")
        assert folder == tmp_path / ".disk.building"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "file").read_text() == "text"


def test_a_mount_point_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "is_mount", lambda path: path == tmp_path / "b")
    with (
        pytest.raises(ValueError, match="is a mount point.* such as .*b/shards"),
        atomic_folder.building(tmp_path / "b"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), atomic_folder.building(tmp_path / "b") as folder:
        (folder / "file").write_text("text")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_leftovers_are_removed(tmp_path):
    (tmp_path / ".b.building").mkdir()
    (tmp_path / ".b.building" / "old").write_text("text")
    with atomic_folder.building(tmp_path / "b") as folder:
        (folder / "new").write_text("text")
    assert [entry.name for entry in (tmp_path / "b").iterdir()] == ["new"]


def test_only_one_process_builds_at_a_time(tmp_path):
    with atomic_folder.building(tmp_path / "b") as folder:
        (folder / "file").write_text("text")
        with (
            pytest.raises(ValueError, match="another process is building"),
            atomic_folder.building(tmp_path / "b"),
        ):
            pass
    assert (tmp_path / "b" / "file").is_file()


def test_files_remain_if_the_build_can_be_resumed(tmp_path):
    def build(name):
        with atomic_folder.building(tmp_path / "b", resume=True) as folder:
            (folder / name).write_text("text")
            raise KeyError

    with pytest.raises(KeyError):
        build("first")
    with pytest.raises(KeyError):
        build("second")
    with atomic_folder.building(tmp_path / "b", resume=True):
        pass
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"first", "second"}
    with (
        pytest.raises(KeyError),
        atomic_folder.building(tmp_path / "empty", resume=True),
    ):
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_only_an_ended_build_leaves_a_folder(tmp_path):
    path = tmp_path / "b"
    assert atomic_folder.left_over(path) is None
    with (
        pytest.raises(KeyError),
        atomic_folder.building(path, resume=True) as folder,
    ):
        (folder / "file").write_text("text")
        assert atomic_folder.left_over(path) is None
        raise KeyError
    assert atomic_folder.left_over(path) == folder
