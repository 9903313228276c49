"""A trained run applied to anybody's ECGs.

  model = mrm_jax.load("runs/cpsc2018")
  prediction = model.predict(signal_mv, sampling_rate=500)
  prediction["AF"], prediction.found

Scores are for research; they are no diagnosis.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mrm_jax import (
    prediction,
    run_facts,
    shards,
    trained_run,
    window_scores,
)
from mrm_jax.records import files, reading, recording, windows

NEEDED = tuple(
    "leads sampling_rate num_samples unit length_rule mean_uv std_uv".split()
)

Result = prediction.Prediction | ValueError


def load(
    workdir: Path | str,
    *,
    head: str = "mean",
    threshold: float | None = None,
    shards_dir: Path | str | None = None,
) -> "Predictor":
    """Returns a trained run's best epoch, ready to score ECGs.

    Args:
        workdir: of the run; its checkpoints are enough.
        head: whose scores count: "mean", "high" or "low".
        threshold: a score that reaches it is a finding; None: the run's own, by label.
        shards_dir: the data that weights were trained on which came without (imported
            from PyTorch); other runs know theirs.

    Raises:
        ValueError: if there is no checkpoint, or it does not say what it expects.
    """
    run = trained_run.read(workdir)
    if shards_dir is not None:
        run = _with_data(run, shards_dir)
    return Predictor(run, head, threshold)


class Predictor:
    """A trained network with all it takes to score ECGs of any kind; see `load`.

    Attributes:
        run: the trained run.
        labels: names of the outputs, in their order.
        descriptions: [label], in plain words, with the source's code.
        leads: in the network's order; any order may be given.
        expected: rate and length of a window, and what becomes of shorter records.
        sampling_rate: Hz; signals of other rates are resampled.
        duration_s: of a window; longer records are cut into several.
        head: whose scores count.
        thresholds: label -> the score that makes it a finding.
    """

    def __init__(self, run: trained_run.TrainedRun, head: str, threshold: float | None):
        """Puts the network on the devices."""
        missing = _unknown(run)
        if missing:
            raise ValueError(
                f"{run.workdir}: weights without data, {', '.join(missing)} are "
                "unknown; name the shards they were trained on: --shards FOLDER, or "
                "mrm_jax.load(..., shards_dir=FOLDER)"
            )
        _check_choice("head", head, prediction.HEADS)
        data = run.data
        own = run.thresholds[head].by_label
        chosen = own if threshold is None else (threshold,) * len(own)
        self.run = run
        self.head = head
        self.thresholds = dict(zip(run.labels, chosen, strict=True))
        self.labels = run.labels
        self.descriptions = tuple(data["descriptions"] or run.labels)
        self.leads = tuple(data["leads"])
        self.expected = windows.Expected(
            data["sampling_rate"], data["num_samples"], data["length_rule"]
        )
        self.sampling_rate = self.expected.sampling_rate
        self.duration_s = self.expected.duration_s
        self._scorer = window_scores.Scorer(
            run.model, run.state, data["mean_uv"], data["std_uv"]
        )

    def __repr__(self) -> str:
        """Returns where it is from and what it expects."""
        return (
            f"<Predictor {self.run.workdir}, epoch {self.run.epoch}: "
            f"{len(self.labels)} labels, windows of {self.duration_s:g} s at "
            f"{self.sampling_rate} Hz>"
        )

    def predict(
        self,
        signal_mv: np.ndarray,
        sampling_rate: float,
        leads: Sequence[str] | None = None,
        *,
        aggregate: str = "mean",
    ) -> prediction.Prediction:
        """Returns what the network says of one ECG.

        Args:
            signal_mv: [time, lead], in millivolts.
            sampling_rate: Hz, any.
            leads: names, in any order and spelling; two limb leads give the other
                four. None: the twelve, as `self.leads` has them.
            aggregate: what becomes of several windows' scores: their "mean", their
                "max", or the "first" window alone, as in training and evaluation.

        Raises:
            ValueError: "REASON: detail", if the signal is no whole twelve-lead ECG.
        """
        names = self.leads if leads is None else tuple(leads)
        given = recording.Recording("signal", signal_mv, names, sampling_rate)
        return next(self.predict_many([given], aggregate=aggregate))

    def predict_many(
        self,
        recordings: Iterable[recording.Recording],
        *,
        aggregate: str = "mean",
    ) -> Iterator[prediction.Prediction]:
        """Yields what the network says of each, in order, many on the device at once.

        Args:
            recordings: may be a generator; a batch is held at a time.
            aggregate: as in `predict`.

        Raises:
            ValueError: at the first that is no whole twelve-lead ECG.
        """
        first_only = _first_only(aggregate)
        cuts = (self._cut(one, first_only) for one in recordings)
        for result in self._predictions(cuts, aggregate):
            if isinstance(result, ValueError):
                raise result
            yield result

    def predict_files(
        self,
        paths: Iterable[Path | str],
        form: files.TableForm | None = None,
        *,
        aggregate: str = "mean",
    ) -> Iterator[Result]:
        """Yields what the network says of each file, in order, or why it says nothing.

        Args:
            paths: of records as records.files.read takes them; records.files.find has
                those of a folder.
            form: rate, unit and leads of .npy and .csv.
            aggregate: as in `predict`.
        """
        first_only = _first_only(aggregate)
        cuts = reading.cuts(paths, form, self.expected, first_only)
        yield from self._predictions(cuts, aggregate)

    def _cut(self, one: recording.Recording, first_only: bool) -> windows.Cut:
        try:
            return windows.cut(one, self.expected, first_only)
        except ValueError as error:  # kept until those before it are scored
            return error

    def _predictions(
        self, cuts: Iterable[windows.Cut], aggregate: str
    ) -> Iterator[Result]:
        for cut, scores in self._scorer.score(cuts):
            yield (
                cut
                if isinstance(cut, ValueError)
                else self._prediction(cut, scores, aggregate)
            )

    def _prediction(
        self, cut: windows.Windows, scores: np.ndarray, aggregate: str
    ) -> prediction.Prediction:
        high, low = scores  # [window, label] each
        return prediction.Prediction(
            name=cut.recording.name,
            source=cut.recording.source,
            duration_s=cut.recording.duration_s,
            labels=self.labels,
            descriptions=self.descriptions,
            head=self.head,
            thresholds=self.thresholds,
            aggregate=aggregate,
            window_starts_s=cut.start_s,
            window_scores={"mean": (high + low) / 2, "high": high, "low": low},
            notes=cut.notes,
        )


def _with_data(
    run: trained_run.TrainedRun, shards_dir: Path | str
) -> trained_run.TrainedRun:
    """Returns the run with the facts of the shards that its weights belong to."""
    if not _unknown(run):
        raise ValueError(
            f"{run.workdir}: knows the data it was trained on; leave the shards out"
        )
    data = shards.load(shards_dir)
    facts = run_facts.describe_data(data.manifest, data.label_set_of(run.labels))
    return dataclasses.replace(
        run,
        facts=run.facts | {"data": facts},
        model=run.model.clone(num_samples=facts["num_samples"]),
    )


def _unknown(run: trained_run.TrainedRun) -> list[str]:
    return [name for name in NEEDED if run.data[name] is None]


def _first_only(aggregate: str) -> bool:
    _check_choice("aggregate", aggregate, tuple(prediction.AGGREGATES))
    return aggregate == "first"


def _check_choice(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{what}: expected one of {', '.join(known)}, got {value!r}")
