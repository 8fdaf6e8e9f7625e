"""How many cells features would be made of, and how long that takes, from what this server measured of earlier ones."""

from dataclasses import dataclass
from datetime import timedelta

from labels.errors import BadInput
from labels.models import Project, ReferenceArea
from labels.models.areas import AreaKind
from predictions import featurizing
from predictions.models import FeatureChunk

# CPU-seconds a cell and filter until this server has measured its own: 38 chips a second on two cores at K 1,024.
ASSUMED_CPU_S = 2 / 38 / 1024
N_MEASURED = 500  # chunks that are looked at


@dataclass(frozen=True)
class Cost:
    n_cells: int
    cpu_s: float  # of all cells, on one core
    cpu_ms_each: float
    n_measured: int  # cells it was measured on; 0 when it is assumed

    @property
    def on_one_core(self) -> timedelta:
        return timedelta(seconds=round(self.cpu_s))


def areas(project: Project):
    """The areas features can be made of: the project's current admin areas, their shapes left for whom they are asked
    of (a country's are many megabytes, and lists show names)."""
    return (
        ReferenceArea.objects.filter(layer__project=project, layer__kind=AreaKind.ADMIN, layer__retired_at__isnull=True)
        .defer("geometry", "attributes")
        .order_by("layer__level", "name")
    )


def n_cells(project: Project, area: ReferenceArea | None) -> int:
    """Grid cells whose centre lies in the area, or in any of the top level."""
    try:
        return len(featurizing.cells_in(project, area))
    except BadInput:  # no admin areas yet
        return 0


def cost(n_cells: int, n_filters: int) -> Cost:
    """CPU time, in proportion to the filters: what the newest chunks of cells took, or else an assumption."""
    done = FeatureChunk.objects.exclude(sha256="").filter(
        cpu_s__isnull=False, feature_set__options__has_key="n_filters"
    )
    newest = done.order_by("-pk").values_list("n_cells", "cpu_s", "feature_set__options__n_filters")[:N_MEASURED]
    measured = [(cells, cpu_s, filters) for cells, cpu_s, filters in newest if filters]
    work = sum(cells * filters for cells, _, filters in measured)
    each = sum(cpu_s for _, cpu_s, _ in measured) / work if work else ASSUMED_CPU_S
    return Cost(
        n_cells=n_cells,
        cpu_s=n_cells * n_filters * each,
        cpu_ms_each=1000 * n_filters * each,
        n_measured=sum(cells for cells, _, _ in measured),
    )
