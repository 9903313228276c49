import pytest

from mrm_jax.runs import shared_copy


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m x --workdir=/home/me/runs/a", "python -m x --workdir=a"),
        ("python -m x --workdir '/home/me/my runs'", "python -m x --workdir 'my runs'"),
        (
            "python -m x --data ~/shards --run ~me/b",
            "python -m x --data shards --run b",
        ),
        ("/opt/me/bin/python -m x", "python -m x"),
        ("x --data=/mnt/a,/mnt/b", "x --data=a,b"),
        ("x --storage=postgresql://me@host:5432/study", "x --storage=study"),
        ("x --config=gs://hospital/data/c.py", "x --config=c.py"),
        # What stays
        ("x --config experiments/demo.py", "x --config experiments/demo.py"),
        ("x --run ../a --rate 1/2", "x --run ../a --rate 1/2"),
        ("the run's command", "the run's command"),
        ("", ""),
    ],
)
def test_locations_in_commands_become_names(command, expected):
    found = shared_copy.without_locations({"command": command, "config": {}})
    assert found == {"command": expected, "config": {}}


def test_locations_in_configurations_become_names():
    config = {
        "name": "ptbxl_all",
        "data": {"shards": "/data/hospital/shards/all", "resident_gib": None},
        "model": {"mutual_stages": ["attention", "/a/b"], "width": 16},
    }
    metadata = {"config": config, "evaluated_by": "x --run=/a/b", "epoch": 3}
    assert shared_copy.without_locations(metadata) == {
        "config": {
            "name": "ptbxl_all",
            "data": {"shards": "all", "resident_gib": None},
            "model": {"mutual_stages": ["attention", "b"], "width": 16},
        },
        "evaluated_by": "x --run=b",
        "epoch": 3,
    }
    assert config["data"]["shards"] == "/data/hospital/shards/all"
