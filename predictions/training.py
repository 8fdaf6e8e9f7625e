"""Training runs: asked for by a person or the rule, done as a job, one of them chosen as current by a person.

The job of kind TRAIN: gather labels, read features, fit over the path of penalties, judge, map, publish.
"""

from labels.jobs import RunningJob
from labels.models import Project, Release
from predictions.models import FeatureSet, TrainingRun


def start_run(
    project: Project,
    *,
    feature_set: FeatureSet,
    release: Release | None = None,
    by=None,
    by_rule: bool = False,
    options: dict | None = None,
) -> TrainingRun:
    """Ask for a run: its row, numbered, and its job (kind TRAIN; parameters {"run": pk}).

    `release=None` releases the labels as they are now when the job starts. `options` (all optional): `penalties`
    (list), `size_km` 10, `buffer_km` 2, `budget` (inspections), `k`, `n_resamples` 1000, `seed` 0, `purpose` "",
    `background_ratio` 3, `map` true, `elsewhere` (pk of another project's run). Raises BadInput or Conflict with a sentence;
    NotAllowed where `by` may not start runs.
    """
    raise NotImplementedError


def train(running: RunningJob) -> dict:
    """The job. Returns {"run": number, "sentence": ..., "page": address}."""
    raise NotImplementedError


def choose(run: TrainingRun, by) -> TrainingRun:
    """Make a done run the project's current one, in the name of a person; the choice is noted in the access log."""
    raise NotImplementedError
