"""Scores any ECG with a trained run.

  model = mrm_jax.load("runs/cpsc2018")
  prediction = model.predict(signal_mv, sampling_rate=500)
  prediction["AF"], prediction.found

Scores are for research and not a diagnosis.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mrm_jax.data import files, recording, shards, windows
from mrm_jax.inference import batching, explanation, prediction
from mrm_jax.metrics import scores as scores_lib
from mrm_jax.models import networks
from mrm_jax.runs import trained_run
from mrm_jax.training import scoring

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = prediction.Prediction | ValueError


def load(
    run: Path | str,
    *,
    head: str = "mean",
    threshold: float | None = None,
    data: Path | str | None = None,
) -> "Predictor":
    """Loads a trained run's best epoch, ready to score ECGs.

    Args:
        run: folder of the run. Its checkpoints are enough.
        head: the scores to use: "mean", "high" or "low".
        threshold: a label whose score reaches it is found. None: the run's own
            threshold of each label.
        data: folder of the shards that a run imported from PyTorch was trained on.
            Other runs know their data set.

    Raises:
        ValueError: if there is no checkpoint, the run does not know what input it
            expects, or the threshold is not from 0 to 1.
    """
    trained = trained_run.read(run)
    if data is not None:
        trained = trained.with_data_spec(shards.load(data))
    return Predictor(trained, head, threshold)


class Predictor:
    """A trained network that scores ECGs of any rate, length and unit; see `load`.

    Attributes:
        run: the trained run.
        labels: names of the outputs, in order.
        descriptions: [label], plain text with the code of the source.
        leads: leads in the network's order; signals may have any order.
        expected: rate, length and length policy of a window.
        sampling_rate: sampling rate of the network, Hz; other rates are resampled.
        duration_s: duration of a window, seconds; longer records are cut into several.
        head: head whose scores are reported.
        thresholds: label -> score from which it counts as found.
        thresholds_are: source of the thresholds, as text.
    """

    def __init__(self, run: trained_run.TrainedRun, head: str, threshold: float | None):
        """Puts the network on the devices."""
        run.require_data_spec()
        prediction.check_choice("head", head, run.heads)
        prediction.check_threshold(threshold)
        data = run.data
        own = run.thresholds[head]
        chosen = own.by_label if threshold is None else (threshold,) * len(run.labels)
        self.run = run
        self.head = head
        self.thresholds = dict(zip(run.labels, chosen, strict=True))
        self.thresholds_are = own.source if threshold is None else "given"
        self.labels = run.labels
        self.descriptions = tuple(data["descriptions"] or run.labels)
        self.leads = tuple(data["leads"])
        self.expected = windows.InputSpec(
            data["sampling_rate"], data["num_samples"], data["length_rule"], self.leads
        )
        self.sampling_rate = self.expected.sampling_rate
        self.duration_s = self.expected.duration_s
        scoring.mapped(run.model).load_ahead()  # while the weights are read
        self._scorer = batching.Scorer(
            run.model, run.state, data["mean_uv"], data["std_uv"]
        )

    def __repr__(self) -> str:
        """Returns the run, its epoch, and the shape of its input."""
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
        """Returns the scores of one ECG.

        Args:
            signal_mv: [time, lead], millivolts; an array or a data frame.
            sampling_rate: sampling rate of the signal, Hz.
            leads: names of the leads, in any order and spelling; two limb leads
                determine the other four, and leads that the network does not use are
                ignored. None: the columns of a data frame, if they have names, or those
                of the network, in the order of `self.leads`.
            aggregate: how the scores of several windows are combined: "mean", "max" or
                "first" (the first window only, as in training and evaluation).

        Raises:
            ValueError: "REASON: detail", if the signal lacks a lead of the network.
        """
        return self._one(signal_mv, sampling_rate, leads, aggregate)[1]

    def explain(
        self,
        signal_mv: np.ndarray,
        sampling_rate: float,
        label: str,
        leads: Sequence[str] | None = None,
        *,
        window: int | None = None,
    ) -> explanation.Explanation:
        """Explains a label's score in one window of an ECG.

        Args:
            signal_mv: as in `predict`.
            sampling_rate: as in `predict`.
            label: one of `self.labels`.
            leads: as in `predict`.
            window: number of the window, from 0, such as that of the label's highest
                score, `prediction.window_of([label])`. None: the window that `draw`
                shows, whichever label is explained.

        Raises:
            ValueError: as in `predict`, or if there is no such label or window.
        """
        cut, result = self._one(signal_mv, sampling_rate, leads)
        return explanation.explain(self.run, cut, result, label, window)

    def draw(
        self,
        signal_mv: np.ndarray,
        sampling_rate: float,
        leads: Sequence[str] | None = None,
        *,
        explain: str | None = None,
        window: int | None = None,
    ) -> "Figure":
        """Draws one ECG and its findings on ECG paper.

        Args:
            signal_mv: as in `predict`.
            sampling_rate: as in `predict`.
            leads: as in `predict`.
            explain: label whose explanation is drawn over the ECG.
            window: number of the window that is drawn, from 0. None: the one with the
                highest mean score of the labels found or, if none is found, of the
                label with the highest score.

        Raises:
            ValueError: as in `explain`.
        """
        from mrm_jax.inference import plots  # loads matplotlib

        cut, result = self._one(signal_mv, sampling_rate, leads)
        explained = None
        if explain is not None:
            explained = explanation.explain(self.run, cut, result, explain, window)
        return plots.draw(cut, result, explained, window)

    def predict_many(
        self, recordings: Iterable[recording.Recording], *, aggregate: str = "mean"
    ) -> Iterator[prediction.Prediction]:
        """Yields the scores of each recording in order, computed in batches.

        Args:
            recordings: recordings; may be a generator, of which a batch is held.
            aggregate: as in `predict`.

        Raises:
            ValueError: at the first recording that is not a complete 12-lead ECG.
        """
        first_only = prediction.first_only(aggregate)
        cuts = (self._cut(one, first_only) for one in recordings)
        for _, result in self.predict_windows(cuts, aggregate):
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
        """Yields the scores of each file in order, or the error that prevents them.

        Args:
            paths: paths of records; `data.files.find` lists those of a folder.
            form: rate, unit and leads of .npy and .csv.
            aggregate: as in `predict`.

        Raises:
            ValueError: if `paths` is a single path.
        """
        first_only = prediction.first_only(aggregate)
        cuts = windows.cuts(paths, form, self.expected, first_only)
        for _, result in self.predict_windows(cuts, aggregate):
            yield result

    def predict_windows(
        self, cuts: Iterable[windows.Windowed], aggregate: str
    ) -> Iterator[tuple[windows.Windowed, Result]]:
        """Yields the windows of each recording and its scores.

        Args:
            cuts: results of `windows.cuts` or `windows.cut`; errors pass through.
            aggregate: as in `predict`.
        """
        for cut, scores in self._scorer.score(cuts):
            if isinstance(cut, ValueError):
                yield cut, cut
            else:
                yield cut, self._prediction(cut, scores, aggregate)

    def _one(
        self,
        signal_mv: np.ndarray,
        sampling_rate: float,
        leads: Sequence[str] | None,
        aggregate: str = "mean",
    ) -> tuple[windows.Windows, prediction.Prediction]:
        """Returns the windows of an ECG and its scores."""
        named = recording.column_names(signal_mv) or self.leads
        names = named if leads is None else leads
        given = recording.Recording("signal", signal_mv, names, sampling_rate)
        cut = windows.cut(given, self.expected, prediction.first_only(aggregate))
        ((_, scores),) = self._scorer.score([cut])
        return cut, self._prediction(cut, scores, aggregate)

    def _cut(self, one: recording.Recording, first_only: bool) -> windows.Windowed:
        try:
            return windows.cut(one, self.expected, first_only)
        except ValueError as error:  # raised after those before it are scored
            return error

    def _prediction(
        self, cut: windows.Windows, scores: np.ndarray, aggregate: str
    ) -> prediction.Prediction:
        branches = dict(zip(networks.branches(self.run.model), scores, strict=True))
        of_heads = scores_lib.of_heads(branches)
        return prediction.Prediction(
            name=cut.recording.name,
            source=cut.recording.source,
            duration_s=cut.recording.duration_s,
            labels=self.labels,
            descriptions=self.descriptions,
            head=self.head,
            thresholds=self.thresholds,
            aggregate=aggregate,
            window_s=self.duration_s,
            window_starts_s=cut.start_s,
            window_scores={scores_lib.MEAN: of_heads[scores_lib.MEAN], **of_heads},
            notes=cut.notes,
        )
