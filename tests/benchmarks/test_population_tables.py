import pytest

from benchmarks import population, population_points, population_tables, sweep_rates
from mrm_jax.models.mrm_net import network
from tests.helpers import tiny_network

pytestmark = pytest.mark.slow

MACHINE = {"device": "cpu", "processor": "A CPU", "cores": 2}


def test_every_size_and_batching_is_measured(monkeypatch):
    monkeypatch.setattr(network, "MRMNet", tiny_network.TinyNetwork)
    load = {"batch": 2, "labels": 3, "samples": 40, "batches": 2}
    # So wide that a state is more than a MiB.
    found = population_points.measure([1, 8], ["loop"], load, rounds=2, width=2048)
    assert [(p["places"], p["batching"], p["devices"]) for p in found] == [
        (1, "loop", 4),
        (8, "loop", 4),
    ]
    assert [p["records"] for p in found] == [4, 32]
    assert all(len(p["seconds"]) == 2 and min(p["seconds"]) > 0 for p in found)
    assert 0 < found[0]["call_mib"] < found[1]["call_mib"]  # one more state a device


def point(places, seconds, **rest):
    common = {"batching": "vmap", "devices": 1, "call_mib": 1500}
    return {
        **common,
        "places": places,
        "records": 10 * places,
        "seconds": seconds,
    } | rest


def test_populations_are_compared_with_a_single_run():
    entry = {
        "machine": MACHINE,
        "load": {"batch": 32},
        "points": [point(4, [2.0, 4.0]), point(1, [1.0, 2.0])],
    }
    table = population_tables.ways({"this": {"population": entry}})
    alone, four = table.splitlines()[2:]
    assert "| 1 | vmap | 7.5 (5.0–10.0) | 1.00 (1.00–1.00) | 1,500 |" in alone
    assert "| 4 | vmap | 15.0 (10.0–20.0) | 2.00 (2.00–2.00) | 1,500 |" in four


def test_devices_are_compared_with_one_device():
    spread = [point(4, [4.0]), point(4, [2.0], devices=2)]
    entry = {"machine": MACHINE, "spread": spread}
    table = population_tables.devices({"this": {"population": entry}})
    assert "| 4 | 2 | 20.0 | 2.00 | 1,500 |" in table


def test_sweeps_are_compared_with_processes():
    points = [{"settings": 4, "together": [20.0, 40.0], "alone": [10.0, 10.0]}]
    entry = {"machine": MACHINE, "points": points}
    table = population_tables.processes({"this": {"sweep_rates": entry}})
    assert "| 4 | 540 (360–720) | 360 (360–360) | 1.50 (1.00–2.00) |" in table


def test_a_missed_target_is_reported():
    points = [
        {"population": n, "trials": 32, "best": best, "seconds": 900.0, "to_goal": at}
        for n, best, at in [(1, 0.9, 300.0), (8, 0.89, None)]
    ]
    entry = {"machine": MACHINE, "points": points}
    table = population_tables.search({"this": {"sweep_search": entry}})
    assert "| 1 | 32 | 0.9000 | 15.0 min | 5.0 min |" in table
    assert "| 8 | 32 | 0.8900 | 15.0 min | not reached |" in table


@pytest.mark.parametrize("command", [population, sweep_rates])
def test_commands_have_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    assert "default" in capsys.readouterr().out
