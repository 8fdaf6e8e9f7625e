"""Which images of the country exist: sources, dates, footprints and their blemishes; and how each is written.

Three sources stand for what an audit can get: a free 10 m mosaic of the whole country, a 2.4 m archive out to the
search radius of the records, and 1.2 m scenes around the sites. Each comes from before and after most reports. Some
scenes have clouds, one lacks a corner, and one lies off its true place by a known amount.
"""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window
from scipy.spatial import cKDTree

from labels.demonstration.drawing import Look, Painter, to_bytes
from labels.demonstration.noise import NoiseField, between, smoothstep
from labels.demonstration.registers import SEARCH_RADIUS_M, Register
from labels.demonstration.terrain import Country, to_lonlat, to_metres
from labels.demonstration.windows import BLOCK_PX, HALF_WORLD_M, PixelWindow, resolution_m, zoom_for

AROUND_SITE_M = 800.0
STRIP_M = 7000.0  # width of a 2.4 m scene, west to east
SHEET_M = 6000.0  # side of a 1.2 m scene
MISSING_CORNER = 0.22  # share of each side
REGISTRATION_OFFSET_M = (14.0, -9.0)  # east and north: where the picture lies, less where it should


@dataclass(frozen=True)
class Source:
    """A named set of scenes with what its licence allows."""

    slug: str
    name: str
    attribution: str
    resolution_m: float
    may: dict[str, bool] = field(default_factory=dict)  # view, cache, derive_labels, train


ALL_RIGHTS = {"view": True, "cache": True, "derive_labels": True, "train": True}
REGIONAL = Source(
    "regional",
    "Orbita regional mosaic",
    "© Orbita Imaging",
    9.6,
    ALL_RIGHTS,
)
ARCHIVE = Source("archive", "Orbita archive", "© Orbita Imaging", 2.4, ALL_RIGHTS)
SKYLINE = Source("skyline", "Skyline archive", "© Skyline", 1.2, ALL_RIGHTS | {"train": False})
SOURCES = (REGIONAL, ARCHIVE, SKYLINE)

# capture dates per source: before most reports, and after them
DATES = {
    "regional": (date(2018, 12, 22), date(2023, 12, 28)),
    "archive": (date(2019, 2, 9), date(2024, 1, 14)),
    "skyline": (date(2019, 2, 9), date(2024, 1, 14)),
}


@dataclass(frozen=True)
class Scene:
    """One image: what it covers, when, and what is wrong with it."""

    ident: str  # also the file's stem
    source: str
    on: date
    zoom: int
    bounds_m: tuple[float, float, float, float]
    around_m: np.ndarray | None = field(default=None, compare=False)  # (n, 3): x, y, radius; None: the whole window
    clouds: float = 0.0  # share of the scene under cloud, about
    missing_corner: bool = False  # the south-east
    offset_m: tuple[float, float] = (0.0, 0.0)  # registration error, east and north

    @property
    def footprint(self) -> list[list[float]]:
        """Outer bounds as a closed ring of longitudes and latitudes."""
        west, south, east, north = self.bounds_m
        corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        return [[round(float(v), 6) for v in to_lonlat(*corner)] for corner in corners]

    @property
    def n_pixels(self) -> int:
        """Pixels of the window, those without data included."""
        window = PixelWindow.covering(self.bounds_m, self.zoom)
        return window.width * window.height


def site_points(country: Country, registers: list[Register]) -> np.ndarray:
    """Reported places in the country: (n, 3) of x, y (metres) and search radius (metres); one per site."""
    points = {}
    for register in registers:
        for visit in register.visits:  # the latest visit of a site comes last
            if visit.lon is None:
                continue
            x, y = (float(v) for v in to_metres(visit.lon, visit.lat))
            if country.inside(x, y):
                points[visit.source_id] = (x, y, SEARCH_RADIUS_M[visit.precision])
    return np.array(list(points.values()))


def plan_scenes(country: Country, registers: list[Register]) -> list[Scene]:
    """All scenes of the demonstration, coarse ones first."""
    points = site_points(country, registers)
    scenes = []
    for on in DATES["regional"]:
        scenes.append(
            Scene(f"regional-{on:%Y%m%d}", "regional", on, zoom_for(REGIONAL.resolution_m), _land_bounds(country))
        )
    west, south, east, north = _land_bounds(country)
    near = np.column_stack([points[:, :2], np.full(len(points), AROUND_SITE_M)])
    for which, on in enumerate(DATES["archive"]):
        edges = np.arange(west, east, STRIP_M)
        for k, x in enumerate(edges):
            bounds = (float(x), south, float(min(x + STRIP_M, east)), north)
            kept = _reaching(points, bounds)
            if len(kept):
                clouds = 0.06 if (k + 3 * which) % 7 == 1 else 0.0
                corner = which == 0 and k == len(edges) - 2
                scenes.append(
                    Scene(f"archive-{on:%Y%m%d}-{k + 1}", "archive", on, zoom_for(2.4), bounds, kept, clouds, corner)
                )
    for which, on in enumerate(DATES["skyline"]):
        n = 0
        for y in np.arange(south, north, SHEET_M):
            for x in np.arange(west, east, SHEET_M):
                sheet = (float(x), float(y), float(x + SHEET_M), float(y + SHEET_M))
                kept = _reaching(near, sheet)
                if not len(kept):
                    continue
                n += 1
                clouds = 0.05 if (n + 3 * which) % 9 == 4 else 0.0
                offset = REGISTRATION_OFFSET_M if which == 1 and n == 5 else (0.0, 0.0)
                ident = f"skyline-{on:%Y%m%d}-{n:02d}"
                scenes.append(
                    Scene(ident, "skyline", on, zoom_for(1.2), _clip(sheet, kept), kept, clouds, False, offset)
                )
    return scenes


def _land_bounds(country: Country) -> tuple[float, float, float, float]:
    ring = np.concatenate(country.outline.rings)
    x, y = to_metres(ring[:, 0], ring[:, 1])
    return float(x.min()) - 800, float(y.min()) - 800, float(x.max()) + 800, float(y.max()) + 800


def _reaching(points: np.ndarray, bounds: tuple[float, float, float, float]) -> np.ndarray:
    """Discs (x, y, radius) that reach into bounds."""
    x, y, radius = points.T
    dx = np.maximum(np.maximum(bounds[0] - x, x - bounds[2]), 0)
    dy = np.maximum(np.maximum(bounds[1] - y, y - bounds[3]), 0)
    return points[np.hypot(dx, dy) < radius]


def _clip(sheet, discs) -> tuple[float, float, float, float]:
    """The part of a sheet that discs reach."""
    x, y, radius = discs.T
    return (
        float(max(sheet[0], (x - radius).min())), float(max(sheet[1], (y - radius).min())),
        float(min(sheet[2], (x + radius).max())), float(min(sheet[3], (y + radius).max())),
    )  # fmt: skip


class SceneWriter:
    """Writes scenes of one country; scenes of one date share a painter."""

    def __init__(self, country: Country):
        self.country = country
        self._painter: Painter | None = None
        self._clouds = cloud_field(country)

    def painter(self, on: date) -> Painter:
        """The painter of a date; the one before is let go."""
        if self._painter is None or self._painter.on != on:
            self._painter = Painter(self.country, on)
        return self._painter

    def write(self, scene: Scene, path: Path, *, quality: int = 75, on_block=None) -> None:
        """Draw a scene by blocks into a tiled GeoTIFF with an internal mask.

        Parameters
        ----------
        scene : Scene
        path : Path
            Overwritten.
        quality : int
            JPEG quality.
        on_block : callable, optional
            Called with the share done (0..1) after each block.
        """
        painter = self.painter(scene.on)
        painter.look = Look.of_day(scene.on, source=[s.slug for s in SOURCES].index(scene.source))
        # a registration error: the ground is drawn from elsewhere than where the file says
        dx, dy = (round(v / resolution_m(scene.zoom)) for v in scene.offset_m)
        whole = PixelWindow.covering(scene.bounds_m, scene.zoom)
        res = resolution_m(whole.zoom)
        west, _, _, north = whole.bounds_m
        profile = {
            "driver": "GTiff", "width": whole.width, "height": whole.height, "count": 3, "dtype": "uint8",
            "crs": "EPSG:3857", "transform": from_origin(west, north, res, res), "tiled": True,
            "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "compress": "JPEG", "photometric": "YCBCR",
            "jpeg_quality": quality, "sparse_ok": True,
        }  # fmt: skip
        blocks = list(whole.blocks(BLOCK_PX))
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as dst:
            dst.update_tags(TIFFTAG_DATETIME=scene.on.strftime("%Y:%m:%d 10:30:00"))
            for k, win in enumerate(blocks):
                at = Window(win.col - whole.col, win.row - whole.row, win.width, win.height)
                mask = self._mask(scene, whole, win)
                dst.write_mask(mask, window=at)
                if mask.any():
                    dst.write(self._picture(scene, win, mask, painter, (dx, dy)), window=at)
                if on_block is not None:
                    on_block((k + 1) / len(blocks))

    def _picture(self, scene, win: PixelWindow, mask: np.ndarray, painter: Painter, shift_px) -> np.ndarray:
        """The pixels of a block, uint8; black where the scene has no data, so that those cost no bytes."""
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        where = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
        size = where[1].stop - where[1].start, where[0].stop - where[0].start
        part = PixelWindow(win.zoom, win.col + where[1].start, win.row + where[0].start, *size)
        picture = painter.draw(PixelWindow(win.zoom, part.col - shift_px[0], part.row + shift_px[1], *size))
        if scene.clouds:
            self._add_clouds(scene, part, picture, painter)
        out = np.zeros((3, win.height, win.width), np.uint8)
        out[(slice(None), *where)] = to_bytes(picture)
        out[:, mask == 0] = 0
        return out

    def _mask(self, scene: Scene, whole: PixelWindow, win: PixelWindow) -> np.ndarray:
        """255 where the scene has data: within its discs (in steps of 16 pixels), less a missing corner."""
        mask = np.full((win.height, win.width), 255, np.uint8)
        if scene.around_m is not None:
            res, step = resolution_m(win.zoom), 16
            rows, cols = (win.row + np.arange(win.height)) // step, (win.col + np.arange(win.width)) // step
            r, c = np.arange(rows[0], rows[-1] + 1), np.arange(cols[0], cols[-1] + 1)
            x = (c + 0.5) * step * res - HALF_WORLD_M
            y = HALF_WORLD_M - (r + 0.5) * step * res
            at = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)
            inside = np.zeros(at.shape[:2], bool)
            for radius in np.unique(scene.around_m[:, 2]):
                centres = scene.around_m[scene.around_m[:, 2] == radius, :2]
                inside |= cKDTree(centres).query(at, distance_upper_bound=radius)[0] < radius
            mask[~inside[np.ix_(rows - rows[0], cols - cols[0])]] = 0
        if scene.missing_corner:
            # a slanted cut through the south-east corner
            u = (win.col + np.arange(win.width) - whole.col)[None, :] / whole.width
            v = (win.row + np.arange(win.height) - whole.row)[:, None] / whole.height
            mask[(1 - u) + (1 - v) < MISSING_CORNER] = 0
        return mask

    def _add_clouds(self, scene: Scene, win: PixelWindow, picture: np.ndarray, painter: Painter) -> None:
        """Fair-weather cumulus in one part of the scene, with its shadow."""
        cloud, shadow = (self._cloud_cover(scene, win, painter, is_shadow=flag) for flag in (False, True))
        if cloud.max() < 0.01 and shadow.max() < 0.01:
            return
        picture *= 1 - 0.5 * shadow
        puff = painter.textures.clump.cut(win.zoom, win.col, win.row, win.width, win.height)
        white = 196.0 + 46.0 * cloud + 4.0 * puff
        picture += cloud * (white - picture)

    def _cloud_cover(self, scene: Scene, win: PixelWindow, painter: Painter, *, is_shadow: bool) -> np.ndarray:
        """Opacity (height, width) of clouds, or of their shadows on the ground."""
        step = 8
        res = resolution_m(win.zoom)
        u, v = (win.col + np.arange(win.width) + 0.5) / step, (win.row + np.arange(win.height) + 0.5) / step
        i0, j0 = int(np.floor(u[0])), int(np.floor(v[0]))
        x = (np.arange(i0, int(u[-1]) + 2) * step * res - HALF_WORLD_M)[None, :]
        y = (HALF_WORLD_M - np.arange(j0, int(v[-1]) + 2) * step * res)[:, None]
        if is_shadow:
            # a shadow lies away from the sun; clouds are about 700 m up
            sx, sy = painter.sun.towards
            throw = 700 / np.tan(np.radians(painter.sun.elevation_deg))
            x, y = x + sx * throw, y - sy * throw
        cover = cloud_cover(self._clouds, scene, x, y)
        iu, jv = np.floor(u).astype(int), np.floor(v).astype(int)
        fu, fv = (u - iu).astype(np.float32), (v - jv).astype(np.float32)
        return 0.96 * between(cover, jv - j0, fv, iu - i0, fu)


def cloud_field(country: Country) -> NoiseField:
    """The noise that a country's clouds are cut from."""
    return NoiseField(country.seed, 300)


def cloud_cover(field: NoiseField, scene: Scene, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Opacity (0..1) of a scene's clouds at places in metres, broadcast together; meaningless where `clouds` is 0."""
    day = scene.on.toordinal() * 317.0
    west, south, east, north = scene.bounds_m
    # clouds gather around one place of the scene
    key = np.array([sum(map(ord, scene.ident)) % 97, sum(map(ord, scene.ident[::-1])) % 89]) / 97
    cx, cy = west + (0.2 + 0.6 * key[0]) * (east - west), south + (0.2 + 0.6 * key[1]) * (north - south)
    reach = np.sqrt(scene.clouds * 5 * (east - west) * (north - south) / np.pi)
    gather = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / reach**2))
    value = 1.15 * field(x + day, y + 0 * x, 950, 6, 0.55) + 0.42 * gather - 0.60
    return smoothstep(0.0, 0.30, value).astype(np.float32)


def draw_tile(painter: Painter, z: int, x: int, y: int) -> np.ndarray:
    """A web tile (3, 256, 256), uint8, for zooms 13 to 17: what a provider would serve of the whole country."""
    return to_bytes(painter.draw(PixelWindow(z, x * 256, y * 256, 256, 256)))
