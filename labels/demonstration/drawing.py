"""The country as a satellite would see it: any window, at a web-mercator zoom, on a date.

A pixel belongs to the world, not to the window: it depends on the country's seed, its own place, the zoom and the
date, so overlapping windows agree to the last bit and a scene can be drawn in blocks.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, pi
from pathlib import Path
from weakref import WeakKeyDictionary, proxy

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window
from scipy.spatial import cKDTree

from labels.demonstration.noise import hash_uniform, smoothstep
from labels.demonstration.stamps import HALF_WORLD_M, StampMaker, segment_distance, stamp_reach_m
from labels.demonstration.terrain import Country, IndustrialMine, Mine, years_since_epoch
from labels.demonstration.textures import BASE_M, BASE_ZOOM, TILE_PX, Sun, ground_textures

MIN_ZOOM = 13
LATTICE_M = 16 * BASE_M  # spacing of the nodes on which slow fields are computed
CHUNK = 64  # nodes
BLOCK_PX = 512
KEEP_CHUNKS = 1400


def resolution_m(zoom: int) -> float:
    """Ground size of a pixel at a web-mercator zoom, metres at the equator."""
    return BASE_M * 2.0 ** (BASE_ZOOM - zoom)


def zoom_for(resolution: float) -> int:
    """The zoom whose pixels come nearest to a resolution in metres.

    Raises
    ------
    ValueError
        If it is finer than zoom 17 or coarser than zoom 13 draws.
    """
    zoom = round(BASE_ZOOM - np.log2(resolution / BASE_M))
    if not MIN_ZOOM <= zoom <= BASE_ZOOM:
        raise ValueError(f"Resolutions from {resolution_m(17):.2f} to {resolution_m(13):.1f} m can be drawn.")
    return int(zoom)


@dataclass(frozen=True)
class PixelWindow:
    """Pixels of a web-mercator zoom: first column and row counted from the north-west corner of the world."""

    zoom: int
    col: int
    row: int
    width: int
    height: int

    @classmethod
    def covering(cls, bounds_m: tuple[float, float, float, float], zoom: int) -> "PixelWindow":
        """The pixels whose centres lie within EPSG:3857 bounds."""
        res = resolution_m(zoom)
        col, row = round((bounds_m[0] + HALF_WORLD_M) / res), round((HALF_WORLD_M - bounds_m[3]) / res)
        right, bottom = round((bounds_m[2] + HALF_WORLD_M) / res), round((HALF_WORLD_M - bounds_m[1]) / res)
        return cls(zoom, col, row, max(1, right - col), max(1, bottom - row))

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """EPSG:3857 bounds of the pixels' outer edges."""
        res = resolution_m(self.zoom)
        west, north = self.col * res - HALF_WORLD_M, HALF_WORLD_M - self.row * res
        return west, north - self.height * res, west + self.width * res, north

    def blocks(self, size: int):
        """Yield windows of at most `size` pixels a side that tile this one."""
        for row in range(self.row, self.row + self.height, size):
            for col in range(self.col, self.col + self.width, size):
                width, height = min(size, self.col + self.width - col), min(size, self.row + self.height - row)
                yield PixelWindow(self.zoom, col, row, width, height)


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


FIELDS = ("forest", "tone", "hue", "red", "shade", "farm", "shore", "river_gap", "patch")


class Land:
    """The slow fields of a country under one sun, on a lattice, kept in chunks; dates share it."""

    _kept: WeakKeyDictionary = WeakKeyDictionary()

    def __init__(self, country: Country, sun: Sun):
        self.country, self.sun = proxy(country), sun
        settled = country.settlements
        self._settlement_tree = cKDTree([(s.x, s.y) for s in settled])
        self._settlement_radius = np.array([s.radius_m for s in settled])
        self._chunks: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    @classmethod
    def of(cls, country: Country, sun: Sun) -> "Land":
        """The one Land of a country and sun."""
        suns = cls._kept.setdefault(country, {})
        if sun not in suns:
            suns[sun] = cls(country, sun)
        return suns[sun]

    def chunk(self, i: int, j: int) -> np.ndarray:
        """Fields on CHUNK x CHUNK lattice nodes: (field, row, column); rows run south."""
        key = (i, j)
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        c, margin = self.country, 1
        n = CHUNK + 2 * margin
        x = ((i * CHUNK - margin + np.arange(n)) * LATTICE_M - HALF_WORLD_M)[None, :]
        y = (HALF_WORLD_M - (j * CHUNK - margin + np.arange(n)) * LATTICE_M)[:, None]
        x, y = (np.broadcast_to(v, (n, n)) for v in (x, y))
        shore = c.shore_m(x, y)
        height = c.elevation_m(x, y, shore)
        gy, gx = np.gradient(height, LATTICE_M)
        sx, sy = self.sun.towards
        shade = 1 - 1.15 * (gx * sx + gy * sy)
        # over the slope of the field: metres to the water's edge, also where the shore lies flat
        gy, gx = np.gradient(shore, LATTICE_M)
        shore = np.clip(shore / np.maximum(np.hypot(gx, gy), 0.3), -20_000, 20_000)  # kept in half precision
        x, y, shore = (a[1:-1, 1:-1] for a in (x, y, shore))
        points = c.river_points
        gap, which = points["tree"].query(np.stack([x, y], axis=-1), distance_upper_bound=700)
        gap = np.where(np.isfinite(gap), gap - points["half_width_m"][np.minimum(which, len(points["bend"]) - 1)], 700)
        north = (y - c.y0) / (c.y1 - c.y0)
        forest = 0.62 - 0.55 * (north - 0.35) + 0.62 * c.noise(20)(x, y, 9000, 6, 0.55)
        forest += 0.55 * np.exp(-np.maximum(gap, 0) / 90.0) * smoothstep(0.75, 0.25, forest)
        farm = self.farming(x, y, shore)
        forest -= 0.75 * smoothstep(0.25, 0.85, farm)
        out = np.stack(
            [
                forest,
                c.noise(21)(x, y, 2600, 6, 0.6),
                c.noise(22)(x, y, 3800, 5, 0.55),
                np.clip(0.5 + 0.9 * c.noise(13)(x, y, 8000, 3), 0, 1),
                np.clip(shade[1:-1, 1:-1], 0.7, 1.22),
                farm,
                shore,
                gap,
                c.noise(23)(x, y, 700, 5, 0.6),
            ]
        ).astype(np.float16)
        self._chunks[key] = out
        if len(self._chunks) > KEEP_CHUNKS:
            self._chunks.popitem(last=False)
        return out

    def farming(self, x: np.ndarray, y: np.ndarray, shore: np.ndarray | float = 1e9) -> np.ndarray:
        """Share of the land under fields, 0..1: around settlements and along roads."""
        at = np.stack([x, y], axis=-1)
        gap, which = self._settlement_tree.query(at)
        gap = np.maximum(gap - self._settlement_radius[which], 0)
        reach = 2.3 * self._settlement_radius[which] + 260
        shifting = self.country.noise(24)(x, y, 2200, 5, 0.65)
        near = np.exp(-((gap / reach) ** 1.2) * np.exp(-2.4 * shifting))
        belt = np.clip(1 - shore / 300, 0, 1)
        return np.clip(0.95 * near + 0.35 * shifting * (0.25 + near) + 0.05 - belt, 0, 1)


class Painter:
    """Draws one country on one date; keeps slow fields and stamps between windows."""

    def __init__(self, country: Country, on: date, *, look: Look | None = None):
        self.country, self.on = country, on
        self.look = look or Look.of_day(on)
        self.sun = sun_on(on)
        self.textures = ground_textures(country.seed, self.sun)
        self.land = Land.of(country, self.sun)
        # coarse scenes take stamps drawn at zoom 16, four times faster
        self._stamps = {
            zoom: StampMaker(country, self.textures, self.sun, on, zoom) for zoom in (BASE_ZOOM, BASE_ZOOM - 1)
        }
        self._cuts_of: PixelWindow | None = None
        self._cuts: dict[str, np.ndarray] = {}
        self._turbidity = country.turbidity(on)
        self._segments = self._road_segments()
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

    # slow fields ----------------------------------------------------------------------------------------------------

    def _fields(self, win: PixelWindow) -> dict[str, np.ndarray]:
        """Fields at every pixel, linear between nodes: name to (height, width)."""
        per = 2.0 ** (BASE_ZOOM - win.zoom) / 16.0  # nodes per pixel
        u = (win.col + np.arange(win.width) + 0.5) * per
        v = (win.row + np.arange(win.height) + 0.5) * per
        i0, j0 = floor(u[0]), floor(v[0])
        ni, nj = floor(u[-1]) + 2 - i0, floor(v[-1]) + 2 - j0
        nodes = np.empty((len(FIELDS), nj, ni), np.float32)
        for cj in range(j0 // CHUNK, (j0 + nj - 1) // CHUNK + 1):
            for ci in range(i0 // CHUNK, (i0 + ni - 1) // CHUNK + 1):
                a, b = max(j0, cj * CHUNK), min(j0 + nj, (cj + 1) * CHUNK)
                e, f = max(i0, ci * CHUNK), min(i0 + ni, (ci + 1) * CHUNK)
                part = self.land.chunk(ci, cj)[:, a - cj * CHUNK : b - cj * CHUNK, e - ci * CHUNK : f - ci * CHUNK]
                nodes[:, a - j0 : b - j0, e - i0 : f - i0] = part
        iu, jv = np.floor(u).astype(int), np.floor(v).astype(int)
        fu, fv = (u - iu).astype(np.float32), (v - jv).astype(np.float32)
        return {name: between(nodes[k], jv - j0, fv, iu - i0, fu) for k, name in enumerate(FIELDS)}

    # the picture ----------------------------------------------------------------------------------------------------

    def _cut(self, win: PixelWindow, name: str) -> np.ndarray:
        """One of the shared textures (fine, clump, ripple) over a window, kept while that window is drawn."""
        if self._cuts_of != win:
            self._cuts_of, self._cuts = win, {}
        if name not in self._cuts:
            mip = {"fine": self.textures.grass, "clump": self.textures.clump, "ripple": self.textures.ripple}[name]
            self._cuts[name] = mip.cut(win.zoom, win.col, win.row, win.width, win.height)
        return self._cuts[name]

    def draw(self, win: PixelWindow) -> np.ndarray:
        """Colours (3, height, width), float32 0..255, of one window (of about BLOCK_PX pixels a side)."""
        margin = max(0, 20 >> (BASE_ZOOM - win.zoom))
        wide = PixelWindow(
            win.zoom, win.col - margin, win.row - margin, win.width + 2 * margin, win.height + 2 * margin
        )
        fields = self._fields(wide)
        land, tall = self._land(wide, fields)
        over, alpha = self._overlays(wide, fields)
        if alpha is not None:
            if margin:
                over *= self._cast_shadow(tall * (1 - alpha), win.zoom)
            land *= 1 - alpha
            land += over
        picture = land[:, margin : margin + win.height, margin : margin + win.width]
        return self._develop(picture, win)

    def _land(self, win: PixelWindow, f: dict) -> tuple[np.ndarray, np.ndarray]:
        """Vegetation and open ground, and the height of the canopy in metres."""
        t, green = self.textures, self.look.green

        def cut(mip):
            return mip.cut(win.zoom, win.col, win.row, win.width, win.height)

        clump, fine = self._cut(win, "clump"), self._cut(win, "fine")
        cover = f["forest"] + 0.085 * clump + 0.16 * f["patch"]
        forest = smoothstep(0.40, 0.52, cover)
        wood = smoothstep(0.14, 0.30, cover) * (1 - forest)
        park = smoothstep(-0.5, 0.0, cover) * (1 - forest - wood)

        light = np.ones_like(cover) - forest - wood - park
        shade, tone, tall = np.zeros_like(cover), np.zeros_like(cover), np.zeros_like(cover)
        for share, texture, height in ((forest, t.forest, 17.0), (wood, t.woodland, 5.0), (park, t.parkland, 1.0)):
            if share.max() < 1e-3:
                continue
            light += share * cut(texture.ground)
            piece = share * cut(texture.shade)
            shade += piece
            tone += share * cut(texture.tone)
            tall += height * np.minimum(piece, 1.25 * share)
        # open ground: dry grass, greener where it is wet, bare soil where it is thin
        moist = np.clip(0.30 + 0.55 * green + 0.5 * np.exp(-np.maximum(f["river_gap"], 0) / 70) + 0.55 * f["hue"], 0, 1)
        thin = smoothstep(0.15, 0.6, f["patch"] - 0.35 * f["hue"] + 0.10 * clump + 0.05 * fine)
        red = f["red"]
        ground_texture = 1 + 0.06 * fine + 0.055 * clump + 0.22 * f["tone"]
        shade_by_relief = f["shade"]
        macro = (1 + 0.34 * f["tone"]) * shade_by_relief
        dry, wet, pale, ruddy = (164, 146, 96), (112, 122, 66), (196, 172, 132), (178, 128, 90)
        leaf, leaf_other = (57, 76, 44), (76, 87, 50)
        hue = np.clip(0.5 + 0.9 * f["hue"] + 0.25 * (1 - green), 0, 1)
        savanna = 1 - forest
        out = np.empty((3, win.height, win.width), np.float32)
        for k in range(3):
            ground = dry[k] + (wet[k] - dry[k]) * moist
            soil = pale[k] + (ruddy[k] - pale[k]) * red
            ground += (soil - ground) * (0.8 * thin)
            ground *= ground_texture * light * shade_by_relief
            trees = leaf[k] + (leaf_other[k] - leaf[k]) * hue
            trees += savanna * (5.0, 2.0, 1.0)[k]
            speckle = (5.5, 4.2, 1.8)[k]
            out[k] = ground + (trees * shade + speckle * tone) * macro
        return out, tall

    def _cast_shadow(self, tall: np.ndarray, zoom: int) -> np.ndarray:
        """Light (0..1) on low ground beside a canopy of heights in metres."""
        sx, sy = self.sun.towards
        res = resolution_m(zoom)
        drop = np.tan(np.radians(self.sun.elevation_deg))
        dark = np.zeros_like(tall)
        h, w = tall.shape
        for metres in (2.4, 4.8, 7.2, 9.6, 12.0):
            dx, dy = round(sx * metres / res), round(sy * metres / res)
            if dx == 0 and dy == 0:
                continue
            over = np.zeros_like(tall)
            rows, cols = slice(max(0, -dy), h - max(0, dy)), slice(max(0, -dx), w - max(0, dx))
            from_rows, from_cols = slice(max(0, dy), h - max(0, -dy)), slice(max(0, dx), w - max(0, -dx))
            over[rows, cols] = tall[from_rows, from_cols] - metres * drop
            np.maximum(dark, over, out=dark)
        return 1 - 0.52 * np.clip((dark - 0.5) / 3.0, 0, 1)

    def _overlays(self, win: PixelWindow, f: dict) -> tuple[np.ndarray | None, np.ndarray | None]:
        """What lies over the vegetation: colour times opacity (3, h, w) and opacity, or None twice."""
        pad = _Overlay(win.height, win.width)
        self._draw_fields(win, f, pad)
        self._draw_stamps(win, pad, layer=0)
        self._draw_rivers(win, f, pad)
        self._draw_sea(win, f, pad)
        self._draw_roads(win, pad)
        self._draw_stamps(win, pad, layer=1)
        self._draw_stamps(win, pad, layer=2)
        return pad.rgb, pad.alpha

    def _draw_fields(self, win: PixelWindow, f: dict, pad: "_Overlay") -> None:
        inside = f["farm"] > 0.01
        if not inside.any():
            return
        outer, (win, f, where) = win, _narrow(win, f, inside)
        t, step = self.textures, 2 ** (BASE_ZOOM - win.zoom)
        rows = (win.row + np.arange(win.height)) * step + step // 2
        cols = (win.col + np.arange(win.width)) * step + step // 2
        at = np.ix_(rows % TILE_PX, cols % TILE_PX)
        ident = t.parcel_id[at]
        centre = t.parcel_centre_px
        # a parcel that crosses the seam of the torus belongs to the tile its centre lies in
        home_r = (rows // TILE_PX).astype(np.int32)[:, None] + t.parcel_home[0][at]
        home_c = (cols // TILE_PX).astype(np.int32)[None, :] + t.parcel_home[1][at]
        first_r, first_c = int(home_r.min()), int(home_c.min())
        n_r, n_c = int(home_r.max()) - first_r + 1, int(home_c.max()) - first_c + 1
        local = (((home_r - first_r) * n_c + (home_c - first_c)) * len(centre)) + ident
        tile_r, tile_c = np.divmod(np.arange(n_r * n_c), n_c)
        row = ((tile_r + first_r)[:, None] * TILE_PX + centre[None, :, 0]).ravel()
        col = ((tile_c + first_c)[:, None] * TILE_PX + centre[None, :, 1]).ravel()
        present = np.zeros(len(centre) * n_r * n_c, bool)
        present[local.ravel()] = True
        used = np.flatnonzero(present)
        x, y = col[used] * BASE_M - HALF_WORLD_M, HALF_WORLD_M - row[used] * BASE_M
        key = (np.int64(self.country.seed), np.floor(row[used]), np.floor(col[used]))
        farm = self.land.farming(x, y)
        active = (hash_uniform(*key, 1) < 0.94 * smoothstep(0.18, 0.9, farm)) & (self.country.shore_m(x, y) > 120)
        if not active.any():
            return
        # 0 tilled, 1 green crop, 2 stubble, 3 fallow, 4 burnt; each parcel has its habit, each year its chance
        habit = hash_uniform(*key, 2)
        year = hash_uniform(*key, 3, self.on.year)
        g = self.look.green
        odds = np.cumsum([0.22 - 0.06 * g, 0.16 + 0.22 * g, 0.30 - 0.14 * g, 0.30, 0.025 - 0.015 * g])
        state = np.searchsorted(odds, np.where(year < 0.6, hash_uniform(*key, 4, self.on.year), habit) * odds[-1])
        colours = np.array([[160, 130, 100], [108, 120, 70], [172, 156, 112], [132, 130, 84], [104, 94, 80]], float)
        rgb = colours[np.clip(state, 0, 4)] * (0.90 + 0.22 * hash_uniform(*key, 5))[:, None]
        red = np.clip(0.5 + 0.9 * self.country.noise(13)(x, y, 8000, 3), 0, 1)
        rgb = np.where((state == 0)[:, None], rgb * (1 + (red[:, None] - 0.5) * np.array([0.05, -0.06, -0.12])), rgb)
        solid = np.where(state == 3, 0.55, 0.94) * active
        angle = hash_uniform(*key, 6) * 0.9 + 2 * np.round(hash_uniform(*key, 7)) * pi / 4
        pitch = 3.2 + 1.6 * hash_uniform(*key, 8)

        lut = np.zeros((len(centre) * n_r * n_c, 8), np.float32)
        strength = np.where((state == 0) | (state == 1), 0.12, 0.07)
        rowed = np.stack([np.cos(angle) * 2 * pi / pitch, np.sin(angle) * 2 * pi / pitch, strength], axis=1)
        lut[used] = np.concatenate([rgb, solid[:, None], rowed, (state == 2)[:, None]], axis=1)
        value = lut[local]
        fine, clump = self._cut(outer, "fine")[where], self._cut(outer, "clump")[where]
        brightness = 1 + 0.055 * fine + 0.05 * clump
        if win.zoom >= BASE_ZOOM - 1:
            res = resolution_m(win.zoom)
            px = ((win.col + np.arange(win.width) + 0.5) * res - HALF_WORLD_M)[None, :] % 4096.0
            py = (HALF_WORLD_M - (win.row + np.arange(win.height) + 0.5) * res)[:, None] % 4096.0
            k = 0.5 if win.zoom < BASE_ZOOM else 1.0
            phase = (px.astype(np.float32) * value[..., 4] + py.astype(np.float32) * value[..., 5]) * k + 0.5 * clump
            brightness += value[..., 6] * np.sin(phase) * k
        trees = t.parkland.cover.cut(win.zoom, win.col, win.row, win.width, win.height)
        alpha = value[..., 3] * smoothstep(0.4, 1.6, t.parcel_edge_px[at] + 0.25 * fine)
        alpha = alpha * (1 - 0.92 * smoothstep(0.3, 0.7, trees))
        pad.lay(alpha, np.moveaxis(value[..., :3], -1, 0) * (brightness * f["shade"]), where)

    def _draw_stamps(self, win: PixelWindow, pad: "_Overlay", *, layer: int) -> None:
        west, south, east, north = win.bounds_m
        x, y, reach = self._thing_at.T
        near = (x + reach > west) & (x - reach < east) & (y + reach > south) & (y - reach < north)
        maker = self._stamps[BASE_ZOOM if win.zoom >= BASE_ZOOM - 2 else BASE_ZOOM - 1]
        level = maker.zoom - win.zoom
        for k in np.flatnonzero(near):
            thing = self._things[k]
            if _layer(thing) != layer:
                continue
            stamp = maker.of(thing)
            if stamp is None:
                continue
            picture = stamp.levels[level]
            col, row = (stamp.col >> level) - win.col, (stamp.row >> level) - win.row
            c0, r0 = max(0, col), max(0, row)
            c1, r1 = min(win.width, col + picture.shape[2]), min(win.height, row + picture.shape[1])
            if c1 > c0 and r1 > r0:
                part = picture[:, r0 - row : r1 - row, c0 - col : c1 - col].astype(np.float32)
                where = slice(r0, r1), slice(c0, c1)
                opacity = part[3] / 255
                if layer == 2 and thing.setting != "dredge" and pad.water is not None:
                    dry = 1 - 0.95 * pad.water[where]  # the river runs past the workings
                    part, opacity = part * dry, opacity * dry
                pad.lay_premultiplied(where, opacity, part[:3])

    def _draw_rivers(self, win: PixelWindow, f: dict, pad: "_Overlay") -> None:
        inside = f["river_gap"] < 60
        if not inside.any():
            return
        outer, (win, f, where) = win, _narrow(win, f, inside)
        points = self.country.river_points
        # a finer lattice: 4.8 m, or a pixel where pixels are larger
        level = BASE_ZOOM - win.zoom
        px_per_node = max(1, 4 >> level)
        node_m = resolution_m(win.zoom) * px_per_node
        u = (win.col + np.arange(win.width) + 0.5) / px_per_node
        v = (win.row + np.arange(win.height) + 0.5) / px_per_node
        if px_per_node == 1:
            u, v = u - 0.5, v - 0.5
        i0, j0 = floor(u[0]), floor(v[0])
        ni, nj = floor(u[-1]) + 2 - i0, floor(v[-1]) + 2 - j0
        off = 0.5 if px_per_node == 1 else 0.0
        x = (i0 + np.arange(ni) + off) * node_m - HALF_WORLD_M
        y = HALF_WORLD_M - (j0 + np.arange(nj) + off) * node_m
        at = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)
        # ask the tree only near rivers: the gap at the pixel of each node tells
        row_at = np.clip(np.floor((j0 + np.arange(nj) + off) * px_per_node).astype(int) - win.row, 0, win.height - 1)
        col_at = np.clip(np.floor((i0 + np.arange(ni) + off) * px_per_node).astype(int) - win.col, 0, win.width - 1)
        close = f["river_gap"][np.ix_(row_at, col_at)] < 75
        gap, which = np.full((nj, ni), np.inf), np.zeros((nj, ni), int)
        gap[close], which[close] = points["tree"].query(at[close], distance_upper_bound=130)
        far = ~np.isfinite(gap)
        which = np.where(far, 0, which)
        hw = points["half_width_m"][which]
        delta = at - points["xy"][which]
        tangent = points["tangent"][which]
        side = tangent[..., 0] * delta[..., 1] - tangent[..., 1] * delta[..., 0]  # positive on the left bank
        # distance across the line rather than to its sampled points
        along = tangent[..., 0] * delta[..., 0] + tangent[..., 1] * delta[..., 1]
        gap = np.where(np.abs(along) < 9, np.abs(side), gap)
        edge = np.where(far, 130, gap - hw)
        inner = np.clip(points["bend"][which], -1, 1) * np.sign(side) * smoothstep(0.0, 0.6, np.abs(side) / (hw + 1))
        mud = self._turbidity[which]
        iu, jv = np.floor(u).astype(int), np.floor(v).astype(int)
        fu, fv = (u - iu).astype(np.float32), (v - jv).astype(np.float32)
        spread = lambda a: between(a.astype(np.float32), jv - j0, fv, iu - i0, fu)  # noqa: E731
        edge, inner, mud, hw = (spread(np.where(far, z, a)) for a, z in ((edge, 130), (inner, 0), (mud, 0), (hw, 5)))
        clump, fine, ripple = (self._cut(outer, name)[where] for name in ("clump", "fine", "ripple"))
        res = resolution_m(win.zoom)
        soft = max(1.0, 0.75 * res)

        wobble = np.minimum(0.10 * hw, 1.6) * clump + 0.35 * fine
        edge = edge + wobble
        # reeds and young growth on the banks, then sand, then water
        bank = smoothstep(14 + 0.35 * hw, 1.0, edge + 5 * f["patch"]) * 0.62
        pad.lay(
            bank, np.array([104, 122, 62.0], np.float32)[:, None, None] * (0.94 + 0.07 * clump + 0.07 * fine), where
        )
        low_water = 1.15 - 0.5 * self.look.green
        bar = smoothstep(0.06, 0.75, inner + 0.30 * f["patch"]) * hw * 1.05 * low_water * smoothstep(4.0, 12.0, hw)
        sand = smoothstep(3.5, 0.5, edge - 0.10 * bar) * smoothstep(0.4, 2.0, bar)
        damp = smoothstep(-0.75, -0.15, (edge + 0.0) / (bar + 0.5))
        tone = (0.80 + 0.20 * damp) * (1 + 0.035 * clump + 0.03 * fine + 0.02 * ripple)
        pad.lay(sand, np.array([206, 188, 154.0], np.float32)[:, None, None] * tone, where)
        water = smoothstep(soft, -soft, edge + bar)
        deep = smoothstep(0.0, -0.9, (edge + bar) / (hw + 0.1))
        clear, muddy = np.array([62, 70, 54.0], np.float32), np.array([166, 122, 82.0], np.float32)
        mix = np.clip(0.10 + 0.95 * mud + 0.03 * clump * mud, 0, 1)
        colour = clear[:, None, None] + mix * (muddy - clear)[:, None, None]
        colour = colour * (1.06 - 0.15 * deep * (1 - 0.5 * mud) + 0.020 * clump + 0.018 * ripple)
        pad.lay(water, colour, where)
        pad.water = np.zeros((outer.height, outer.width), np.float32)
        pad.water[where] = water

    def _draw_sea(self, win: PixelWindow, f: dict, pad: "_Overlay") -> None:
        shore = f["shore"]
        if shore.min() > 120:
            return
        clump, fine, ripple = (self._cut(win, name) for name in ("clump", "fine", "ripple"))
        line = shore + 7 * f["patch"] + 1.6 * clump + 0.5 * fine
        soft = max(1.2, 0.8 * resolution_m(win.zoom))
        sand = smoothstep(np.maximum(48.0 + 40 * f["tone"], 22.0), 14.0, line)
        pad.lay(
            0.95 * sand,
            np.array([222, 206, 172.0], np.float32)[:, None, None]
            * (0.98 + 0.03 * fine + 0.03 * clump - 0.14 * smoothstep(9, 0, line)),
        )
        depth = np.maximum(-line, 0)
        near, far = np.array([96, 142, 128.0]), np.array([20, 52, 70.0])
        share = 1 - np.exp(-depth / 320.0)
        colour = near[:, None, None] + share * (far - near)[:, None, None]
        colour = colour * (1 + 0.05 * ripple + 0.025 * clump + 0.06 * f["patch"])
        pad.lay(smoothstep(soft, -soft, line), colour)
        # breakers: bright broken lines that follow the shore
        swell = np.sin(depth / 17.0 * 2 * pi / 2.2 + 2.2 * f["patch"] + 0.5 * clump)
        surf = smoothstep(0.72, 1.0, swell + 0.22 * fine) * smoothstep(110, 5, depth) * (depth > 0.5)
        surf = np.maximum(surf, smoothstep(7, 1, depth + 1.5 * fine) * (line < 0.5))
        pad.lay(0.8 * surf, np.array([232, 238, 236.0], np.float32)[:, None, None])

    def _draw_roads(self, win: PixelWindow, pad: "_Overlay") -> None:
        west, south, east, north = win.bounds_m
        s, reach = self._segments, 14.0
        near = (np.maximum(s[:, 0], s[:, 2]) > west - reach) & (np.minimum(s[:, 0], s[:, 2]) < east + reach)
        near &= (np.maximum(s[:, 1], s[:, 3]) > south - reach) & (np.minimum(s[:, 1], s[:, 3]) < north + reach)
        if not near.any():
            return
        res = resolution_m(win.zoom)
        x = ((win.col + np.arange(win.width) + 0.5) * res - HALF_WORLD_M)[None, :]
        y = (HALF_WORLD_M - (win.row + np.arange(win.height) + 0.5) * res)[:, None]
        away = np.full((win.height, win.width), 60.0, np.float32)  # metres beyond the road's edge
        broad = np.zeros((win.height, win.width), np.float32)
        for ax, ay, bx, by, half, is_road in s[near]:
            c0 = max(0, floor((min(ax, bx) - reach - west) / res))
            c1 = min(win.width, ceil((max(ax, bx) + reach - west) / res))
            r0 = max(0, floor((north - max(ay, by) - reach) / res))
            r1 = min(win.height, ceil((north - min(ay, by) + reach) / res))
            if c1 <= c0 or r1 <= r0:
                continue
            d = segment_distance(x[:, c0:c1], y[r0:r1], ax, ay, bx, by) - half
            part = away[r0:r1, c0:c1]
            nearer = d < part
            part[nearer] = d[nearer]
            broad[r0:r1, c0:c1][nearer] = is_road
        fine, clump = self._cut(win, "fine"), self._cut(win, "clump")
        verge = smoothstep(5.5, 0.5, away + 1.5 * clump + 0.6 * fine) * (0.35 + 0.3 * broad)
        pad.lay(verge, np.array([136, 128, 78.0], np.float32)[:, None, None] * (1 + 0.08 * fine))
        edge = away + 0.35 * fine
        # a line thinner than a pixel covers its share of it
        cover = np.clip(0.5 - edge / max(res, 1.4), 0, 1) * np.clip(3.4 / res + 0.35, 0.55, 1)
        worn = np.array([184, 132, 90.0], np.float32)[:, None, None] * (
            0.97 + 0.05 * clump + 0.04 * fine + 0.08 * broad
        )
        pad.lay(cover * (0.80 + 0.15 * broad), worn)

    def _develop(self, picture: np.ndarray, win: PixelWindow) -> np.ndarray:
        """What air and sensor do to the light."""
        look = self.look
        shift = int(hash_uniform(self.on.toordinal(), 7) * TILE_PX)
        grain = self.textures.grain.levels[0]
        size = grain.shape[0]
        rows, cols = (
            (win.row + shift + np.arange(win.height)) % size,
            (win.col + 3 * shift + np.arange(win.width)) % size,
        )
        noise = grain[np.ix_(rows, cols)]
        out = np.empty((3, win.height, win.width), np.float32)
        for k in range(3):
            band = (picture[k] - 88.0) * look.contrast + 88.0
            band = band * (look.gain[k] * (1 - look.haze_share)) + look.haze[k] * look.haze_share
            out[k] = band + look.noise * noise * (0.8 + 0.2 * k)
        return out


def _layer(thing) -> int:
    """0 under water and roads, 1 the ground of industrial mines, 2 artisanal workings, which may lie on that."""
    return {IndustrialMine: 1, Mine: 2}.get(type(thing), 0)


def _narrow(win: PixelWindow, f: dict, inside: np.ndarray) -> tuple[PixelWindow, dict, tuple[slice, slice]]:
    """The part of a window and its fields that holds all pixels of a mask, and where that part lies."""
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    where = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
    size = where[1].stop - where[1].start, where[0].stop - where[0].start
    part = PixelWindow(win.zoom, win.col + where[1].start, win.row + where[0].start, *size)
    return part, {name: values[where] for name, values in f.items()}, where


class _Overlay:
    """Colour times opacity and opacity of what lies over the land, both None until something does."""

    def __init__(self, height: int, width: int):
        self._shape = (height, width)
        self.rgb: np.ndarray | None = None
        self.alpha: np.ndarray | None = None
        self.water: np.ndarray | None = None  # where a river runs

    def _begin(self) -> None:
        if self.rgb is None:
            self.rgb = np.zeros((3, *self._shape), np.float32)
            self.alpha = np.zeros(self._shape, np.float32)

    def lay(self, opacity: np.ndarray, colour: np.ndarray, where=(slice(None), slice(None))) -> None:
        if not (opacity > 0).any():
            return
        self._begin()
        keep = 1 - opacity
        part, alpha = self.rgb[(slice(None), *where)], self.alpha[where]
        part *= keep
        part += opacity * colour
        alpha *= keep
        alpha += opacity

    def lay_premultiplied(self, where, opacity: np.ndarray, colour: np.ndarray) -> None:
        self._begin()
        keep = 1 - opacity
        part, alpha = self.rgb[(slice(None), *where)], self.alpha[where]
        part *= keep
        part += colour
        alpha *= keep
        alpha += opacity


def between(nodes: np.ndarray, j: np.ndarray, fv: np.ndarray, i: np.ndarray, fu: np.ndarray) -> np.ndarray:
    """Linear interpolation of nodes (rows, columns) at fractions `fv` past rows `j` and `fu` past columns `i`."""
    across = nodes[:, i] * (1 - fu) + nodes[:, i + 1] * fu
    return across[j] * (1 - fv)[:, None] + across[j + 1] * fv[:, None]


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
    return np.clip(np.round(picture), 1, 255).astype(np.uint8)


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
