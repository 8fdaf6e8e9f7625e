"""The country as a satellite would see it: any window, at a web-mercator zoom, on a date.

A pixel belongs to the world, not to the window: it depends on the country's seed, its own place, the zoom and the
date, so overlapping windows agree to the last bit and a scene can be drawn in blocks.
"""

from dataclasses import dataclass
from datetime import date
from math import pi
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from labels.demonstration.covers import WORK_PX, Overlay, draw_fields, draw_rivers, draw_roads, draw_sea
from labels.demonstration.land import Land, SlowFields
from labels.demonstration.noise import hash_uniform, smoothstep
from labels.demonstration.stamps import StampMaker, stamp_reach_m
from labels.demonstration.terrain import Country, IndustrialMine, Mine, Settlement, years_since_epoch
from labels.demonstration.textures import TILE_PX, Sun, cut_torus, ground_textures
from labels.demonstration.windows import BASE_ZOOM, BLOCK_PX, PixelWindow, resolution_m, zoom_for

SHADOW_STEPS_M = (2.4, 4.8, 7.2, 9.6, 12.0)


@dataclass(frozen=True)
class Look:
    """How a sensor and a day colour the land."""

    gain: tuple[float, float, float]
    haze: tuple[float, float, float]
    haze_share: float
    contrast: float
    green: float  # 0 dry season, 1 rains
    noise: float  # sensor noise, standard deviation in grey levels

    @classmethod
    def of_day(cls, on: date, source: int = 0) -> "Look":
        """Season from the date; colour cast and haze drawn for this source and day."""
        season = 0.5 - 0.5 * np.cos(2 * pi * (on.timetuple().tm_yday - 25) / 365.25)
        key = (on.toordinal(), source)
        warm = float(hash_uniform(*key, 1)) * 2 - 1
        bright = 1 + 0.05 * (float(hash_uniform(*key, 2)) * 2 - 1)
        return cls(
            gain=(bright * (1 + 0.045 * warm), bright, bright * (1 - 0.055 * warm)),
            haze=(118.0, 138.0, 140.0),
            haze_share=0.03 + 0.07 * float(hash_uniform(*key, 3)),
            contrast=0.96 + 0.10 * float(hash_uniform(*key, 4)),
            green=0.25 + 0.6 * float(season) + 0.12 * warm * -1,
            noise=0.8,
        )


def sun_on(on: date) -> Sun:
    """The sun at about half past ten, to the nearest of a few positions (each costs a set of textures)."""
    declination = -23.44 * np.cos(2 * pi * (on.timetuple().tm_yday + 10) / 365.25)
    azimuth = 90 - 1.35 * declination  # from the north-east in June, the south-east in January
    return Sun(float(round(azimuth / 20) * 20), 54.0)


class Painter:
    """Draws one country on one date; keeps slow fields and stamps between windows."""

    def __init__(self, country: Country, on: date, *, look: Look | None = None):
        self.country, self.on = country, on
        self.look = look or Look.of_day(on)
        self.sun = sun_on(on)
        self.textures = ground_textures(country.seed, self.sun)
        self.land = Land.of(country, self.sun)
        # coarse scenes take stamps drawn at zoom 16, four times faster
        self._changing, self._lasting = {}, self.land.stamps
        for zoom in (BASE_ZOOM, BASE_ZOOM - 1):
            self._changing[zoom] = StampMaker(country, self.textures, self.sun, on, zoom)
            if zoom not in self._lasting:
                self._lasting[zoom] = StampMaker(self.land.country, self.textures, self.sun, on, zoom)
        self.turbidity = country.turbidity(on)
        self.segments = self._road_segments()
        self._things = [*country.look_alikes, *country.industrial_mines, *country.mines, *country.settlements]
        self._thing_at = np.array([(t.x, t.y, stamp_reach_m(t)) for t in self._things])

    def _road_segments(self) -> np.ndarray:
        """(n, 6): ends, half width, 1 for a road of some width; only what exists on the date."""
        now, rows = years_since_epoch(self.on), []
        for road in [*self.country.roads, *self.country.mine_tracks]:
            if road.opened <= now:
                n = len(road.xy) - 1
                extra = np.full((n, 2), (road.half_width_m, float(road.kind == "road")))
                rows.append(np.hstack([road.xy[:-1], road.xy[1:], extra]))
        return np.concatenate(rows)

    def draw(self, win: PixelWindow) -> np.ndarray:
        """Colours (3, height, width), float32 0..255, of one window (of about BLOCK_PX pixels a side)."""
        wide = win.grown(max(0, 20 >> (BASE_ZOOM - win.zoom)))
        slow = SlowFields(self.land, wide)
        over = Overlay(wide)
        draw_fields(self, over, slow)
        self._draw_stamps(over, layer=0)
        draw_rivers(self, over, slow)
        draw_sea(self, over, slow)
        draw_roads(self, over)
        self._draw_stamps(over, layer=1)
        self._draw_stamps(over, layer=2)
        land, tall = self._land(over, slow)
        out = np.empty((3, win.height, win.width), np.float32)
        for tile in win.blocks(WORK_PX):
            where, to = tile.within(wide), tile.within(win)
            alpha = over.alpha[where]
            picture = land[(slice(None), *where)]
            if alpha.any():
                picture *= 1 - alpha
                laid = over.rgb[(slice(None), *where)]
                picture += laid * self._light(tall, where, tile.zoom) if wide != win else laid
            out[(slice(None), *to)] = self._develop(picture, tile)
        return out

    def _land(self, over: Overlay, slow: SlowFields) -> tuple[np.ndarray, np.ndarray]:
        """Colours of vegetation and open ground, and what of the canopy's height (metres) stands free."""
        colours = self._ground_colours(slow)
        land, tall = np.zeros_like(over.rgb), np.zeros_like(over.alpha)
        for tile in over.tiles():
            where = tile.within(over.win)
            alpha = over.alpha[where]
            if alpha.min() < 1:
                land[(slice(None), *where)], height = self._land_tile(tile, slow.spread(colours, tile))
                tall[where] = height * (1 - alpha)
        return land, tall

    def _ground_colours(self, slow: SlowFields) -> np.ndarray:
        """At nodes, (11, rows, columns): cover of trees, thinness of grass; grass, what soil adds to it, leaves."""
        f, green = slow.at, self.look.green
        out = np.empty((11, *f["forest"].shape), np.float32)
        out[0] = f["forest"] + 0.16 * f["patch"]
        out[1] = f["patch"] - 0.35 * f["hue"]
        # dry grass, greener where it is wet; bare soil where it is thin
        moist = np.clip(0.30 + 0.55 * green + 0.5 * np.exp(-np.maximum(f["river_gap"], 0) / 70) + 0.55 * f["hue"], 0, 1)
        hue = np.clip(0.5 + 0.9 * f["hue"] + 0.25 * (1 - green), 0, 1)
        open_light, leaf_light = (1 + 0.22 * f["tone"]) * f["shade"], (1 + 0.34 * f["tone"]) * f["shade"]
        dry, wet, pale, ruddy = (164, 146, 96), (112, 122, 66), (196, 172, 132), (178, 128, 90)
        leaf, leaf_other = (57, 76, 44), (76, 87, 50)
        for k in range(3):
            grass = dry[k] + (wet[k] - dry[k]) * moist
            soil = pale[k] + (ruddy[k] - pale[k]) * f["red"]
            out[2 + k] = grass * open_light
            out[5 + k] = 0.8 * (soil - grass) * open_light
            out[8 + k] = (leaf[k] + (leaf_other[k] - leaf[k]) * hue) * leaf_light
        return out

    def _land_tile(self, tile: PixelWindow, slow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colours of the land without what lies over it, and the height of the canopy in metres."""
        t, place = self.textures, (tile.zoom, tile.col, tile.row, tile.width, tile.height)
        clump, fine = t.clump.cut(*place), t.grass.cut(*place)
        cover = slow[0] + 0.085 * clump
        forest = smoothstep(0.40, 0.52, cover)
        savanna = 1 - forest
        wood = smoothstep(0.14, 0.30, cover) * savanna
        light = savanna - wood
        park = smoothstep(-0.5, 0.0, cover) * light
        light -= park
        shade, tone, tall = np.zeros_like(cover), np.zeros_like(cover), np.zeros_like(cover)
        for share, texture, height in ((forest, t.forest, 17.0), (wood, t.woodland, 5.0), (park, t.parkland, 1.0)):
            if not share.any():
                continue
            light += share * texture.ground.cut(*place)
            piece = share * texture.shade.cut(*place)
            shade += piece
            tone += share * texture.tone.cut(*place)
            tall += height * np.minimum(piece, 1.25 * share)
        light *= 1 + 0.06 * fine + 0.055 * clump
        thin = smoothstep(0.15, 0.6, slow[1] + 0.10 * clump + 0.05 * fine)
        savanna *= shade
        out = np.empty((3, tile.height, tile.width), np.float32)
        for k, (speckle, bright) in enumerate(((5.5, 5.0), (4.2, 2.0), (1.8, 1.0))):
            ground = slow[5 + k] * thin
            ground += slow[2 + k]
            ground *= light
            ground += slow[8 + k] * shade
            ground += speckle * tone
            ground += bright * savanna
            out[k] = ground
        return out, tall

    def _light(self, tall: np.ndarray, where: tuple[slice, slice], zoom: int) -> np.ndarray:
        """Light (0..1) on a part of the ground beside a canopy of heights in metres."""
        sx, sy = self.sun.towards
        res, drop = resolution_m(zoom), float(np.tan(np.radians(self.sun.elevation_deg)))
        soft = int(zoom >= BASE_ZOOM - 1)  # half-shadow, in pixels
        rows, cols = (slice(part.start - soft, part.stop + soft) for part in where)
        dark = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.float32)
        for metres in SHADOW_STEPS_M:
            dx, dy = round(sx * metres / res), round(sy * metres / res)
            if dx or dy:
                above = tall[rows.start + dy : rows.stop + dy, cols.start + dx : cols.stop + dx]
                np.maximum(dark, above - metres * drop, out=dark)
        dark -= 0.5
        dark *= 1 / 7.0
        dark = np.clip(dark, 0, 1, out=dark)
        if soft:
            dark = dark[:-2] + 2 * dark[1:-1] + dark[2:]
            dark = (dark[:, :-2] + 2 * dark[:, 1:-1] + dark[:, 2:]) * np.float32(1 / 16)
        return 1 - 0.55 * dark

    def _draw_stamps(self, over: Overlay, *, layer: int) -> None:
        win = over.win
        west, south, east, north = win.bounds_m
        x, y, reach = self._thing_at.T
        near = (x + reach > west) & (x - reach < east) & (y + reach > south) & (y - reach < north)
        drawn_at = BASE_ZOOM if win.zoom >= BASE_ZOOM - 2 else BASE_ZOOM - 1
        level = drawn_at - win.zoom
        for k in np.flatnonzero(near):
            thing = self._things[k]
            if _layer(thing) != layer:
                continue
            makers = self._lasting if isinstance(thing, (IndustrialMine, Settlement)) else self._changing
            stamp = makers[drawn_at].of(thing)
            if stamp is None:
                continue
            picture = stamp.levels[level]
            col, row = (stamp.col >> level) - win.col, (stamp.row >> level) - win.row
            c0, r0 = max(0, col), max(0, row)
            c1, r1 = min(win.width, col + picture.shape[2]), min(win.height, row + picture.shape[1])
            if c1 <= c0 or r1 <= r0:
                continue
            part = picture[:, r0 - row : r1 - row, c0 - col : c1 - col].astype(np.float32)
            where = slice(r0, r1), slice(c0, c1)
            opacity = part[3] * np.float32(1 / 255)
            if layer == 2 and thing.setting != "dredge" and over.water is not None:
                dry = 1 - 0.95 * over.water[where]  # the river runs past the workings
                part, opacity = part * dry, opacity * dry
            over.lay_premultiplied(where, opacity, part[:3])

    def _develop(self, picture: np.ndarray, win: PixelWindow) -> np.ndarray:
        """What air and sensor do to the light."""
        look = self.look
        shift = int(hash_uniform(self.on.toordinal(), 7) * TILE_PX)
        grain = self.textures.grain.levels[0]
        noise = cut_torus(grain, win.col + 3 * shift, win.row + shift, win.width, win.height)
        for k in range(3):
            clear = look.gain[k] * (1 - look.haze_share)
            picture[k] *= look.contrast * clear
            picture[k] += 88.0 * (1 - look.contrast) * clear + look.haze[k] * look.haze_share
            picture[k] += noise * (look.noise * (0.8 + 0.2 * k))
        return picture


def _layer(thing) -> int:
    """0 under water and roads, 1 the ground of industrial mines, 2 artisanal workings, which may lie on that."""
    return {IndustrialMine: 1, Mine: 2}.get(type(thing), 0)


def render(
    country: Country,
    bounds_m: tuple[float, float, float, float],
    resolution: float,
    on: date,
    *,
    painter: Painter | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Picture of a window.

    Parameters
    ----------
    country : Country
    bounds_m : tuple of float
        West, south, east, north, EPSG:3857; moved to whole pixels.
    resolution : float
        Metres per pixel, moved to the nearest web-mercator zoom (17: 1.19 m, 16: 2.39 m, 14: 9.55 m).
    on : date
        Capture date.

    Returns
    -------
    rgb : uint8 array of shape (3, height, width)
    mask : uint8 array of shape (height, width)
        255 where there is a picture.
    """
    painter = painter or Painter(country, on)
    whole = PixelWindow.covering(bounds_m, zoom_for(resolution))
    rgb = np.empty((3, whole.height, whole.width), np.uint8)
    for win in whole.blocks(BLOCK_PX):
        r, c = win.row - whole.row, win.col - whole.col
        rgb[:, r : r + win.height, c : c + win.width] = to_bytes(painter.draw(win))
    return rgb, np.full(rgb.shape[1:], 255, np.uint8)


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """Round to uint8 of 1..255: 0 stays free to mean no data."""
    rounded = np.rint(picture)
    return np.clip(rounded, 1, 255, out=rounded).astype(np.uint8)


def write_scene(
    path: Path,
    country: Country,
    bounds_m: tuple[float, float, float, float],
    resolution: float,
    on: date,
    *,
    painter: Painter | None = None,
    quality: int = 85,
) -> None:
    """Draw a window by blocks into a tiled GeoTIFF (EPSG:3857, JPEG) with an internal mask."""
    painter = painter or Painter(country, on)
    whole = PixelWindow.covering(bounds_m, zoom_for(resolution))
    res = resolution_m(whole.zoom)
    west, _, _, north = whole.bounds_m
    profile = {
        "driver": "GTiff", "width": whole.width, "height": whole.height, "count": 3, "dtype": "uint8",
        "crs": "EPSG:3857", "transform": from_origin(west, north, res, res), "tiled": True,
        "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "compress": "JPEG", "photometric": "YCBCR",
        "jpeg_quality": quality,
    }  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as dst:
        dst.update_tags(TIFFTAG_DATETIME=on.strftime("%Y:%m:%d 10:30:00"))
        for win in whole.blocks(BLOCK_PX):
            at = Window(win.col - whole.col, win.row - whole.row, win.width, win.height)
            dst.write(to_bytes(painter.draw(win)), window=at)
            dst.write_mask(np.full((win.height, win.width), 255, np.uint8), window=at)
