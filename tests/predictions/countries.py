"""A small country of our own: a province, a picture over most of it, cells a model can look at. (lon, lat)"""

from pathlib import Path

import numpy as np
from django.core.management import call_command

from labels.models import ImagerySource, Project
from tests import rasters
from tests.factories import make_area, square

# South of the equator, west of Greenwich; 9 cells wide.
WEST, SOUTH = -60.12, -5.30
BANK = {"n_filters": 8, "n_patches": 400, "scales": [1, 2], "backend": "numpy"}


def picture(folder: Path, name: str = "ground.tif", *, seed: int = 7, size: int = 700, pixel: float = 0.00013) -> Path:
    """9 cells a side, different everywhere; its north-west corner is that of `rasters`."""
    draw = np.random.default_rng(seed)
    rough = draw.integers(20, 235, (3, size // 5 + 1, size // 5 + 1)).astype("uint8")
    bands = rough.repeat(5, axis=1).repeat(5, axis=2)[:, :size, :size]
    place = rasters.geotransform("EPSG:4326", (pixel, pixel))
    return rasters.write(folder / name, bands, place=place, pixel=(pixel, pixel))


def load_picture(project: Project, path: Path, acquired: str = "2022-05-01") -> ImagerySource:
    call_command("load_imagery", str(path), "--project", project.slug, "--name", "Survey", "--acquired", acquired)
    source = project.imagery_sources.get(name="Survey")
    ImagerySource.objects.filter(pk=source.pk).update(
        may_view=True, may_cache=True, may_derive_labels=True, may_share_labels=True, may_train=True
    )
    source.refresh_from_db()
    return source


def make_province(project: Project, side_deg: float = 0.08, name: str = "Kessou"):
    """64 cells unless told otherwise, all under `picture`."""
    return make_area(project, square(WEST, SOUTH, side_deg), name=name)
