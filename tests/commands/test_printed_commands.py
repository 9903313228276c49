"""Every command that a message, a help text, a report or a document prints works.

The commands, flags and files are collected from the sources by their patterns, and each
is checked by the command itself.
"""

import subprocess

import pytest

from mrm_jax.runtime import extras
from tests import conftest
from tests.helpers import command_check, printed_commands

pytest.importorskip("optuna", reason="the extra [sweep] is not installed")

READ = (
    *("mrm_jax", "data_prep", "benchmarks", "experiments", "deploy", "docs", ".ci"),
    *("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "Makefile", ".github"),
)
SUFFIXES = (".py", ".md", ".j2", ".sh", ".sbatch", ".yaml", ".yml", "")


def files():
    """Returns the files of the repository that print commands."""
    found = []
    for place in (conftest.ROOT / name for name in READ):
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        found += [path for path in inside if path.is_file()]
    return [path for path in found if path.suffix in SUFFIXES]


@pytest.fixture(scope="module")
def printed():
    return printed_commands.of_files(conftest.ROOT, files())


def test_commands_that_are_printed_work(printed):
    commands = [part for part in printed if part.kind == "command"]
    found = command_check.problems(commands)
    assert not found, "\n".join(found)


def test_flags_that_are_named_belong_to_a_command_that_prints_them(printed):
    flags = [part for part in printed if part.kind == "flag"]
    found = command_check.problems(flags)
    assert not found, "\n".join(found)


def test_files_and_modules_that_are_named_exist(printed):
    named = [part for part in printed if part.kind in ("bare", "path")]
    found = command_check.problems(named)
    assert not found, "\n".join(found)


def test_the_collection_misses_no_kind_of_source(printed):
    commands = {(part.file, " ".join(part.words)) for part in printed}
    for found in (
        ("mrm_jax/train.py", "python -m mrm_jax list"),
        ("mrm_jax/data/manifest.py", "python -m data_prep.ptbxl --raw_dir RAW --out 1"),
        ("mrm_jax/sweeps/search.py", "python -m mrm_jax.evaluate --run 1"),
        (
            "mrm_jax/reports/templates/model_card.md.j2",
            "python -m mrm_jax.predict --run 1 RECORD",
        ),
        ("README.md", "make demo"),
        ("docs/install.md", "pip install -c constraints.txt -e .[sweep,export]"),
        ("docs/training.md", "mrm-jax list"),
        ("Makefile", "$(BIN)/python -m benchmarks.tables"),
        ("benchmarks/on_gpu.sh", "$python -m benchmarks.step_variants"),
        ("deploy/slurm/train.sbatch", "python -m mrm_jax.train --distributed $@"),
    ):
        assert found in commands
    flags = {(part.file, part.text) for part in printed if part.kind == "flag"}
    assert ("mrm_jax/training/run_spec.py", "--data") in flags
    assert ("docs/sweeps.md", "--heartbeat_s") in flags


EVALUATE = "python -m mrm_jax.evaluate --run runs/a"
TRAIN = "python -m mrm_jax.train --config demo"


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (f"{EVALUATE} --shards x", "--shards is not a flag of mrm_jax.evaluate"),
        (f"{EVALUATE} --split part", "argument --split: invalid choice: 'part'"),
        (f"{EVALUATE} --resamples many", "argument --resamples: expected"),
        ("python -m mrm_jax.evaluate", "arguments are required: --run"),
        ("python -m mrm_jax.export --run runs/a", "arguments are required: --format"),
        ("mrm-jax export --run a --format npz b", "unrecognized arguments: b"),
        ("python -m mrm_jax.judge --run runs/a", "no command mrm_jax.judge"),
        ("mrm-jax judge --run runs/a", "no command judge"),
        ("python -m mrm_jax judge", "no command judge"),
        ("python -m mrm_jax.train --workdir runs/a", "--config is required"),
        ("python -m mrm_jax.train --config ptb_xl", "expected an experiment file"),
        ("python -m mrm_jax.sweep --config experiments/no.py", "an experiment file"),
        (f"{TRAIN} --config.batchsize=1", "no experiment has a value batchsize"),
        (f"{TRAIN} --config.batch_size=large", "batch_size=large"),
        (f"{TRAIN} --config.model.eca_conv=3", "eca_conv"),
        (f"{TRAIN} --process_id 1", "together"),
        (f"{TRAIN} runs/a", "unexpected arguments"),
        ("python docs/pictures.py --workdir a", "are required: --raw_dir"),
        ("python docs/paintings.py", "no command docs.paintings"),
        ("python -m benchmarks.sweep_rates --settings x", "--settings: invalid int"),
        ("python -m data_prep.ptbxl --raw_dir a --out b --job 1", "--job is not"),
        ("python -m pytest tests/metrics/test_nothing.py", "does not exist"),
        ("make reliable", "the Makefile has no target reliable"),
        ("make PYTON=python3.12 demo", "the Makefile has no variable PYTON"),
        ("pip install mrm_jax", "mrm_jax is on no index"),
        ("pip install 'mrm-jax[sweep]>=0.1'", "is on no index"),
        ("pip install --upgrade MRM_JAX==0.1.0", "is on no index"),
        ("pip install -e '.[sweeps]'", "setup.cfg has no extra sweeps"),
        ("pip install -c pins.txt -e .", "pins.txt does not exist"),
    ],
)
def test_wrong_commands_are_found(command, wrong):
    page = f"# Page\n\n```bash\ncd a\n{command}    # comment\n```\n"
    (found,) = command_check.problems(printed_commands.of_document("a.md", page))
    assert found.startswith("a.md:5: ") and wrong in found


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        (
            "mrm_jax/evaluate.py",
            "Pass --workdir RUN.",
            "not a flag of mrm_jax.evaluate",
        ),
        ("mrm_jax/runs/scores.py", "Use --sampler grid.", "--sampler is not a flag of"),
        ("mrm_jax/export.py", "Run mrm_jax.evaluate first.", "python -m mrm_jax.eval"),
        ("mrm_jax/data/a.py", "Run (mrm-jax evalute).", "no command evalute"),
        ("mrm_jax/data/a.py", "as in experiments/none.py.", "this file does not exist"),
        ("mrm_jax/data/a.py", "Run `make redo`.", "no target redo"),
        ("mrm_jax/data/a.py", "Run: pip install mrm_jax.", "mrm_jax is on no index"),
        ("mrm_jax/train.py", "Lower --config.rate to 0.", "no experiment has a value"),
        ("mrm_jax/data/a.py", f"Run {EVALUATE}/{{run}}.", "not quoted for the shell"),
    ],
)
def test_wrong_messages_are_found(file, text, wrong):
    source = f'"""Module."""\n\n\nMESSAGE = f"{text}"\n'
    (found,) = command_check.problems(printed_commands.of_python(file, source))
    assert found.startswith(f"{file}:4: ") and wrong in found


@pytest.mark.parametrize(
    "text",
    [
        f"Run `{EVALUATE}/{{shlex.quote(run)}}`, which makes up the rest.",
        f"To repeat it: {EVALUATE} --split val.",
        "`make check` and (mrm-jax list) and --help.",
        "Write it with `python -m mrm_jax.convert --to_torch`.",
    ],
)
def test_correct_messages_pass(text):
    parts = list(printed_commands.of_python("mrm_jax/a.py", f'M = f"{text}"\n'))
    assert parts and command_check.problems(parts) == []


def test_templates_quote_their_values():
    template = "First\n\n    python -m mrm_jax.evaluate --run {{ workdir }}\n"
    (found,) = command_check.problems(printed_commands.of_template("a.j2", template))
    assert found.startswith("a.j2:3: ") and "not quoted for the shell" in found


@pytest.mark.parametrize("extra", ["cluster", "export", "sweep"])
def test_a_missing_extra_is_installed_by_a_command_that_works(extra):
    command = extras.how_to_install(extra)
    parts = list(printed_commands.of_script("message", command))
    assert parts and command_check.problems(parts) == []


def test_make_prints_its_targets():
    done = subprocess.run(
        ["make", "help"], cwd=conftest.ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    parts = [part for line in lines for part in printed_commands.of_prose("", 1, line)]
    assert len([part for part in parts if part.kind == "command"]) >= 12
    found = command_check.problems(parts)
    assert not found, "\n".join(found)
