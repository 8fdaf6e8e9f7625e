"""What a verdict's images showed, as our own tables know it: a browser only says which, and how it looked at them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.gis.geos import GEOSGeometry, MultiPolygon, Polygon
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from labels import geo, looking, rules
from labels.errors import BadInput
from labels.imagery import rights
from labels.imagery.providers.dated import capture_of
from labels.imagery.scenes import on_ground
from labels.inspection import Footprints, Inspection, Look
from labels.models import ImagerySource, ProviderDate, ReviewImage, SampleUnit, Scene
from labels.workflow import judgements
from labels.workflow.given import GivenImage


class Seen:
    """The images of one verdict on one unit."""

    def __init__(self, unit: SampleUnit, given: Iterable[GivenImage], viewport: str, *, counts_tiles: bool = False):
        self.unit, self.viewport = unit, viewport
        # Whether who looked counted the tiles: then a view without any showed nothing.
        self.counts_tiles = counts_tiles
        self.target = judgements.target(unit)
        self.cell = cell_of(unit)
        self._scenes: dict[str, GEOSGeometry] = {}
        self._dates: dict[tuple[int, str], GEOSGeometry | None] = {}
        self.images = [self._image(image) for image in given]

    def share(self, images: Iterable[ReviewImage]) -> float:
        """Share of the search disc (or cell) that these images showed at a useful zoom, where they have data."""
        footprints = Footprints(self._scenes, self._dates)
        extents = [
            looking.useful_extent(image.views, image.resolution_m, ground)
            for image in images
            if was_shown(image)
            for _name, ground in footprints.under(Look.at(image))
        ]
        return looking.share_of(self.target, extents)

    def proportion_inspected(self) -> float | None:
        """Share of the grid cell that all images showed so: the count a release makes of all reviews of the cell."""
        inspection = Inspection([self.cell], Footprints(self._scenes, self._dates))
        for image in self.images:
            inspection.add(Look.at(image))
        return inspection.share(self.cell)

    def _image(self, given: GivenImage) -> ReviewImage:
        source = self._source(given)
        image = ReviewImage(
            pane=given.pane,
            source=source,
            version=_version(given.version, source),
            offset_east_m=source.offset_east_m,
            offset_north_m=source.offset_north_m,
            sight=given.sight,
            was_on_screen_at_verdict=given.was_on_screen_at_verdict,
            zoom=given.zoom,
            views=self._views(given),
            dwell_ms=given.dwell_ms,
            n_tiles=given.n_tiles,
            n_tiles_missing=given.n_tiles_missing,
            adjustments=given.adjustments,
        )
        if source.kind == ImagerySource.Kind.SCENES:
            self._add_scenes(image, given)
        else:
            self._add_date(image, given)
        return image

    def _views(self, given: GivenImage) -> list[dict]:
        if self.counts_tiles and not given.n_tiles:
            return []
        return [looking.on_screen(view, self.viewport) for view in given.views]

    def _source(self, given: GivenImage) -> ImagerySource:
        sources = ImagerySource.objects.filter(project=self.unit.audit.project, uuid=given.source)
        source = sources.select_related("project").first()
        if source is None:
            raise BadInput(_("An image of this verdict is not one of the project's."))
        if why := rights.why_not_judged(source):
            raise BadInput(
                _("No verdict may rest on “%(source)s” any more, so this one is not kept. %(why)s")
                % {"source": source.name, "why": why}
            )
        return source

    def _add_scenes(self, image: ReviewImage, given: GivenImage) -> None:
        """The source's pictures of that date in the disc and the cell: which tiles of them came is counted apart."""
        if given.key:
            raise BadInput(
                _("“%(source)s” has pictures by their date, and none with a name of its own.")
                % {"source": image.source.name}
            )
        of_date = Scene.objects.filter(source=image.source, captured_on=given.captured_on)
        scenes = list(of_date.filter(footprint__intersects=self._in_picture(image)).order_by("pk"))
        if not scenes and not of_date.exists():
            raise BadInput(
                _("“%(source)s” holds no picture of %(day)s: it may have been removed since. Judge the place again.")
                % {"source": image.source.name, "day": _day(given.captured_on)}
            )
        near = [scene for scene in scenes if on_ground(image, scene.footprint).intersects(self.target)] or scenes
        image.captured_on = given.captured_on
        image.captured_known_by = scenes[0].captured_known_by if scenes else Scene.DateKnownBy.UNKNOWN
        image.resolution_m = max((scene.resolution_m for scene in near), default=None)
        image.scene_sha256s = [scene.sha256 for scene in scenes]
        self._scenes |= {scene.sha256: scene.footprint for scene in scenes}

    def _add_date(self, image: ReviewImage, given: GivenImage) -> None:
        date = ProviderDate.objects.filter(source=image.source, key=given.key).first()
        if date is None:
            raise BadInput(
                _("“%(source)s” offers no image named “%(key)s” any more. Judge the place again.")
                % {"source": image.source.name, "key": given.key}
            )
        image.key = date.key
        # Of a release that is a mosaic of many days: the day of this place, as the page was told it.
        captured_on, known_by, resolution_m = capture_of(date, *self._place())
        image.captured_on, image.captured_known_by = captured_on, known_by
        # Where the provider does not say: the finest that its tiles can show.
        finest = geo.ground_resolution_m(self.target.centroid.y, date.max_zoom)
        image.resolution_m = resolution_m or round(finest, 2)
        image.scene_sha256s = []
        self._dates[image.source_id, date.key] = date.footprint

    def _place(self) -> tuple[float, float]:
        """Where the page looked up its images: the reported point, or the cell's centre."""
        if self.unit.grid_cell:
            return geo.grid_cell_centre(self.unit.grid_cell)
        return self.unit.observation.point.coords

    def _in_picture(self, image: ReviewImage) -> GEOSGeometry:
        """The disc and the cell as they lie in the picture, before its offset is added."""
        box = Polygon.from_bbox(geo.grid_cell_bounds(self.cell))
        box.srid = 4326
        back = _Offset(-image.offset_east_m, -image.offset_north_m)
        return on_ground(back, MultiPolygon(self.target, box, srid=4326)).unary_union


@dataclass(frozen=True)
class _Offset:
    offset_east_m: float
    offset_north_m: float


def was_shown(image: ReviewImage) -> bool:
    return rules.was_shown(image.n_tiles, image.n_tiles_missing)


def cell_of(unit: SampleUnit) -> str:
    """The unit's grid cell; of a record the one its reported point lies in, to seven decimals as released."""
    if unit.grid_cell:
        return unit.grid_cell
    lon, lat = unit.observation.point.coords
    return geo.grid_cell_id(round(lon, 7), round(lat, 7))


def _version(claimed: str, source: ImagerySource) -> str:
    """The source's revision as the browser had it; one that never was is not believed."""
    known = claimed.isascii() and claimed.isdigit() and 1 <= int(claimed) <= source.revision
    return claimed if known else ""


def _day(day) -> str:
    return date_format(day, "DATE_FORMAT") if day else _("an unknown date")
