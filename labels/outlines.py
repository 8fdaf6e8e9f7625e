"""The outlines of a project's provinces, coarse enough for a slow line: the background of its maps."""

import hashlib
import json

from django.core.cache import cache
from django.db import connection

from labels.models import Project, ReferenceArea
from labels.models.areas import AreaKind

MAX_BYTES = 150_000
TOLERANCES_DEG = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
KEPT_S = 24 * 3600

OUTLINES = """
SELECT name, ST_AsGeoJSON(shape, 3), ST_X(middle), ST_Y(middle)
FROM labels_referencearea area
CROSS JOIN LATERAL (
    SELECT ST_SimplifyPreserveTopology(area.geometry, %(tolerance)s) AS shape,
           ST_PointOnSurface(area.geometry) AS middle
) AS drawn
WHERE area.layer_id = ANY(%(layers)s) ORDER BY area.area_km2 DESC, area.id
"""


def version_of(project: Project) -> str:
    """Another text whenever other areas are drawn; for the address, so that browsers may keep what they have."""
    layers = ",".join(map(str, _layers(project)))
    return hashlib.sha256(layers.encode()).hexdigest()[:12]


def outlines(project: Project) -> str:
    """GeoJSON text of the top-level admin areas, each with its name and a point `at` for it; at most MAX_BYTES.

    The largest areas stay where even the coarsest outline would be too long.
    """
    key = f"outlines-{project.pk}-{version_of(project)}"
    known = cache.get(key)
    if known is None:
        known = _drawn(_layers(project))
        cache.set(key, known, KEPT_S)
    return known


def _layers(project: Project) -> list[int]:
    top = ReferenceArea.objects.filter(
        layer__project=project, layer__kind=AreaKind.ADMIN, layer__retired_at__isnull=True, layer__level=1
    )
    return sorted(set(top.values_list("layer_id", flat=True)))


def _drawn(layers: list[int]) -> str:
    features: list[dict] = []
    for tolerance in TOLERANCES_DEG:
        features = _features(layers, tolerance)
        text = _text(features)
        if len(text.encode()) <= MAX_BYTES:
            return text
    while len(_text(features).encode()) > MAX_BYTES:
        features = features[: len(features) * 9 // 10]
    return _text(features)


def _features(layers: list[int], tolerance: float) -> list[dict]:
    with connection.cursor() as cursor:
        cursor.execute(OUTLINES, {"layers": layers, "tolerance": tolerance})
        return [
            {
                "type": "Feature",
                "geometry": json.loads(shape),
                "properties": {"name": name, "at": [round(lon, 3), round(lat, 3)]},
            }
            for name, shape, lon, lat in cursor.fetchall()
        ]


def _text(features: list[dict]) -> str:
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, separators=(",", ":"))
