"""Making the features of a set: its cells in chunks, computed by any number of workers, put together by the job."""

from datetime import date

from labels.models import ImagerySource, Project, ReferenceArea
from predictions.models import FeatureSet

DEFAULT_OPTIONS = {"n_filters": 1024, "patch_px": 3, "scales": [1, 2], "bias": 0.0, "halves": "positive", "seed": 0}


def ask(
    project: Project,
    *,
    source: ImagerySource,
    day: date | str | None = None,
    area: ReferenceArea | None = None,
    options: dict | None = None,
    name: str = "",
    by=None,
) -> FeatureSet:
    """A feature set and the job that makes it; raises BadInput or NotAllowed with a sentence."""
    raise NotImplementedError


def ask_import(project: Project, *, file, name: str = "", by=None) -> FeatureSet:
    """A feature set from an uploaded file (django UploadedFile or Path), and the job that reads it."""
    raise NotImplementedError
