"""What a project needs before a first run: said on its empty page, each with whether it is there."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from labels.imagery import rights
from labels.imagery.rights import Use
from labels.models import Project, Review
from predictions.models import FeatureSet


@dataclass(frozen=True)
class Need:
    key: str  # imagery, features, labels
    n: int  # of these there are so many

    @property
    def is_met(self) -> bool:
        return self.n > 0


def needs(project: Project) -> list[Need]:
    """Imagery that may train, features of grid cells (imported ones need no imagery), labels."""
    sources = project.imagery_sources.select_related("project")
    ready = FeatureSet.objects.filter(project=project).exclude(content_sha256="").count()
    judged = project.audits.filter(Exists(Review.objects.filter(unit__audit=OuterRef("pk")))).count()
    return [
        Need("imagery", sum(rights.lacking(source, Use.TRAIN) is None for source in sources)),
        Need("features", ready),
        Need("labels", judged),
    ]
