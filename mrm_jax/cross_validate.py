"""Trains and tests ten runs, each on other folds, and evaluates them together.

Usage:
  python -m mrm_jax.cross_validate --config cpsc2018 --workdir runs/cross_validation

Run k is tested on fold k, selects its epoch on the fold before it, and trains on the
other eight. Every record is tested once. The scores of all test folds together are
evaluated with bootstrap intervals; mean and standard deviation over the folds are
reported, too.

Run the same command again to resume. To share the runs among machines or GPUs that see
the same folder, give each of them some of the test folds, then run the command once
more without --test_folds.

Flags:
  --config EXPERIMENT    experiment file, or the name of an experiment that the package
                         contains (python -m mrm_jax list); required
  --data SHARDS          folder of prepared shards, in place of the experiment's
  --workdir FOLDER       folder for the runs, fold01 to fold10, and the results
                         (default: runs/NAME-cross-validation)
  --test_folds K,L,...   trains the runs of these test folds only (default: all ten)
  --config.NAME=VALUE    overrides a value of the experiment file
  --help                 prints this text; after --config, also the experiment's values
  --version              prints the version

Exit status:
  0    finished
  2    error in a flag, a value, the data or a file
  3    the loss of a run is not finite
  75   preempted (SIGTERM) and saved: run the same command again to resume
  130  interrupted (Ctrl-C): the last finished epoch is saved
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import ml_collections

from mrm_jax import train
from mrm_jax.data import splits
from mrm_jax.runs import cross_validation
from mrm_jax.runtime import cli, compiler, preemption
from mrm_jax.version import VERSION

TEST_FOLDS, WORKDIR = "--test_folds", "--workdir"
OF_CLUSTERS = (
    *("--distributed", "--coordinator", "--num_processes", "--process_id"),
    "--peer_timeout",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return train.status(lambda: _run([train.with_two_dashes(a) for a in arguments]))


def _run(arguments: Sequence[str]) -> int:
    if "--version" in arguments:
        print(f"mrm_jax {VERSION}")
        return cli.DONE
    if not arguments or {"--help", "-h"} & set(arguments):
        words = [word for word in arguments if word not in ("--help", "-h")]
        print(train.help_text(_take(TEST_FOLDS, words)[1], str(__doc__)))
        return cli.DONE
    config, workdir, folds, rest = parse(arguments)

    def command_of(fold: int) -> str:
        """Returns the command that trains the run of one test fold."""
        chosen = cross_validation.folds_of(fold)
        flags = [f"--config.data.folds.{split}={f[0]}" for split, f in chosen.items()]
        folder = cross_validation.folder_of(workdir, fold)
        return cli.command_line("mrm_jax.train", [*rest, *flags, f"{WORKDIR}={folder}"])

    compiler.set_up()
    with preemption.PreemptionHandler() as handler:
        source = train.pytorch_source(config)
        cross_validation.cross_validate(
            config, workdir, folds, command_of, handler, source
        )
    return cli.DONE


def parse(
    arguments: Sequence[str],
) -> tuple[ml_collections.ConfigDict, Path, tuple[int, ...], list[str]]:
    """Returns the experiment, the workdir, the test folds, and what trains a run.

    The last are the arguments without the workdir and the test folds.

    Raises:
        ValueError: if a flag or its value is wrong, or as in `train.parse`.
    """
    folds, words = _take(TEST_FOLDS, arguments)
    asked = splits.FOLDS if folds is None else _parse_folds(folds)
    config, default = train.parse(words)
    given, rest = _take(WORKDIR, words)
    _refuse_clusters(rest)
    return config, Path(given or f"{default}-cross-validation"), asked, rest


def _take(flag: str, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Returns the value of a flag, or None, and the words without it.

    Raises:
        ValueError: if the flag has no value.
    """
    value, others, rest = None, [], iter(words)
    for word in rest:
        name, equals, after = word.partition("=")
        if name != flag:
            others.append(word)
            continue
        value = after if equals else next(rest, "")
        if not value or value.startswith("--"):
            raise ValueError(f"{flag}: expected a value")
    return value, others


def _parse_folds(text: str) -> tuple[int, ...]:
    """Returns test folds from a text such as "1,2,3".

    Raises:
        ValueError: if there is another text than different numbers from 1 to 10.
    """
    names = [word.strip() for word in text.split(",")]
    known = {str(fold): fold for fold in splits.FOLDS}
    if not set(names) <= set(known) or len(set(names)) < len(names):
        raise ValueError(
            f"{TEST_FOLDS}: expected different numbers from 1 to 10, such as 1,2,3, "
            f"got {text!r}"
        )
    return tuple(known[name] for name in names)


def _refuse_clusters(words: Sequence[str]) -> None:
    found = [word for word in words if word.partition("=")[0] in OF_CLUSTERS]
    if found:
        raise ValueError(
            f"{found[0]}: a cross-validation trains every run on one host. Share its "
            f"runs among hosts with {TEST_FOLDS}."
        )


if __name__ == "__main__":
    sys.exit(main())
