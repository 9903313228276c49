import csv
import json

from benchmarks import label_tables


def test_measures_a_small_table(tmp_path, capsys):
    out = tmp_path / "machine.json"
    flags = ["--rows", "300", "--labels", "3", "--out", str(out)]
    assert label_tables.main(flags) == 0
    entry = json.loads(out.read_text())["label_tables"]["300 rows"]
    assert entry["rows"] == 300
    assert entry["seconds"] > 0 and entry["peak_gib"] > 0
    assert "300 rows, 3 labels: " in capsys.readouterr().out


def test_the_table_has_one_row_for_each_record(tmp_path):
    path = tmp_path / "t.csv"
    label_tables.write_table(path, 2500, 4)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["path"] for row in rows}) == 2500
    shares = [sum(int(row[f"label0{n}"]) for row in rows) / 2500 for n in range(4)]
    assert shares == sorted(shares, reverse=True)
