"""Feature sets from files that people have: kept in a private place until a job has read them."""

from pathlib import Path

from django.core.files.uploadedfile import UploadedFile

from labels.models import Project
from predictions.models import FeatureSet


def ask_import(project: Project, *, file: UploadedFile | Path, name: str = "", by=None) -> FeatureSet:
    raise NotImplementedError
