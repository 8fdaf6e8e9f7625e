"""The tables of the product, a file per subject."""

from labels.models.areas import ReferenceArea, ReferenceLayer
from labels.models.audits import Assignment, Audit, Exposure, SampleUnit
from labels.models.doubts import DuplicateDecision, DuplicatePair, RecordFlag
from labels.models.imagery import CaptureLookup, ImagerySource, ProviderDate, Scene
from labels.models.jobs import Job
from labels.models.projects import AccessRecord, Invitation, Membership, Project
from labels.models.registers import (
    Edition,
    EditionRow,
    MapCell,
    Observation,
    Placement,
    RefusedRow,
    Register,
    SiteRecord,
)
from labels.models.releases import Release, ReleaseFile
from labels.models.reviews import Adjudication, GoldAnswer, Mark, Retraction, Review, ReviewImage
from labels.models.uploads import Upload

__all__ = [
    "AccessRecord",
    "Adjudication",
    "Assignment",
    "Audit",
    "CaptureLookup",
    "DuplicateDecision",
    "DuplicatePair",
    "Edition",
    "EditionRow",
    "Exposure",
    "GoldAnswer",
    "ImagerySource",
    "Invitation",
    "Job",
    "MapCell",
    "Mark",
    "Membership",
    "Observation",
    "Placement",
    "Project",
    "ProviderDate",
    "RecordFlag",
    "ReferenceArea",
    "ReferenceLayer",
    "RefusedRow",
    "Register",
    "Release",
    "ReleaseFile",
    "Retraction",
    "Review",
    "ReviewImage",
    "SampleUnit",
    "Scene",
    "SiteRecord",
    "Upload",
]
