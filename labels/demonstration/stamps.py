"""Things drawn by hand, one at a time: workings, industrial pits, houses, kilns.

A stamp is a picture with transparency at zoom 17 (16 for coarse scenes), laid over the landscape by `drawing`. It is
drawn whole, whatever part of it a window shows, so its pixels do not depend on the window; coarser zooms average it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy import ndimage

from labels.demonstration.noise import between, smoothstep
from labels.demonstration.terrain import Country, IndustrialMine, LookAlike, Mine, Settlement, years_since_epoch
from labels.demonstration.textures import Sun, Textures, halve
from labels.demonstration.windows import BASE_M, BASE_ZOOM, HALF_WORLD_M, segment_distance

KEEP_BYTES = 80_000_000
ALIGN_PX = 16  # stamps begin on multiples of this, so that they can be halved four times


@dataclass
class Stamp:
    """Colour times opacity (4, height, width), uint8, last band the opacity; levels by halving."""

    col: int
    row: int
    levels: list[np.ndarray]

    @property
    def n_bytes(self) -> int:
        return sum(level.nbytes for level in self.levels)


class Canvas:
    """Pixels around a place, of zoom 17 or 16, onto which shapes are painted."""

    def __init__(self, x: float, y: float, reach_m: float, zoom: int, reach_y_m: float | None = None):
        reach_y_m = reach_m if reach_y_m is None else reach_y_m
        self.zoom, self.px_m = zoom, BASE_M * 2 ** (BASE_ZOOM - zoom)
        self.col = int(((x - reach_m + HALF_WORLD_M) / self.px_m) // ALIGN_PX * ALIGN_PX)
        self.row = int(((HALF_WORLD_M - y - reach_y_m) / self.px_m) // ALIGN_PX * ALIGN_PX)
        self.width, self.height = (
            int(np.ceil(2 * reach / self.px_m / ALIGN_PX) + 1) * ALIGN_PX for reach in (reach_m, reach_y_m)
        )
        cols, rows = self.col + np.arange(self.width) + 0.5, self.row + np.arange(self.height) + 0.5
        self.dx = (cols * self.px_m - HALF_WORLD_M - x).astype(np.float32)[None, :]
        self.dy = (HALF_WORLD_M - rows * self.px_m - y).astype(np.float32)[:, None]
        self.x, self.y = x, y
        self.rgb = np.zeros((3, self.height, self.width), np.float32)
        self.alpha = np.zeros((self.height, self.width), np.float32)

    def texture(self, mip, shift: int = 0) -> np.ndarray:
        """A ground texture at this place (height, width)."""
        shift >>= BASE_ZOOM - self.zoom
        return mip.cut(self.zoom, self.col + shift, self.row + 2 * shift, self.width, self.height)

    def turned(self, angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along and across a direction, metres, (height, width)."""
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return self.dx * c + self.dy * s, -self.dx * s + self.dy * c

    def window(self, x: float, y: float, reach_m: float) -> tuple[slice, slice]:
        """Rows and columns within a distance of a point (metres from the centre), clipped to the canvas."""
        return self._span(-self.dy[:, 0], -y, reach_m), self._span(self.dx[0], x, reach_m)

    def paint(
        self, opacity: np.ndarray, colour, where: tuple[slice, slice] = (slice(None), slice(None)), *, shade=None
    ) -> None:
        """Lay a colour (three numbers, or (3, height, width)) times a shade over what is there, or a window of it."""
        keep = 1 - opacity
        light = opacity if shade is None else opacity * shade
        part, alpha = self.rgb[(slice(None), *where)], self.alpha[where]
        for k in range(3):
            part[k] *= keep
            part[k] += light * (colour[k] if np.ndim(colour) > 1 else np.float32(colour[k]))
        alpha *= keep
        alpha += opacity

    def box(
        self, x: float, y: float, length: float, width: float, angle: float, colour, sun: Sun, height_m=3.0, ridge=0.14
    ):
        """A roof: two slopes under the sun, and its shadow on the ground. Position in metres from the centre."""
        reach = 0.5 * np.hypot(length, width) + height_m * 1.2 + 2
        rows, cols = self.window(x, y, reach)
        if cols.stop <= cols.start or rows.stop <= rows.start:
            return
        dx, dy = self.dx[:, cols] - x, self.dy[rows] - y
        c, s = np.cos(angle), np.sin(angle)
        sx, sy = sun.towards
        throw = height_m / np.tan(np.radians(sun.elevation_deg))
        for off, is_shadow in ((throw, True), (0.0, False)):
            ox, oy = dx + off * sx, dy - off * sy
            u, v = ox * c + oy * s, -ox * s + oy * c
            edge = np.minimum(length / 2 - np.abs(u), width / 2 - np.abs(v))
            cover = np.clip(edge / self.px_m + 0.5, 0, 1)
            if is_shadow:
                self.rgb[:, rows, cols] *= 1 - 0.5 * cover
                continue
            facing = np.sign(v) * (-s * sx - c * sy) * -1.0
            tint = np.asarray(colour, np.float32)[:, None, None] * (1 + ridge * facing)
            self.paint(cover, tint, (rows, cols))

    @staticmethod
    def _span(axis, centre, reach) -> slice:
        first, last = np.searchsorted(axis, [centre - reach, centre + reach])
        return slice(int(first), int(last))

    def stamp(self) -> Stamp:
        """The finished picture with its coarser copies."""
        level = np.empty((4, self.height, self.width), np.float32)
        np.multiply(self.alpha, 255, out=level[3])
        np.clip(self.rgb, 0, level[3], out=level[:3])
        levels = []
        for k in range(5):
            levels.append(np.round(level).astype(np.uint8))
            if k < 4:
                level = halve(level)
        return Stamp(self.col, self.row, levels)


def relief_shade(height_m: np.ndarray, px_m: float, sun: Sun, strength: float = 1.0) -> np.ndarray:
    """Brightness (1 on level ground) of a surface of heights in metres on pixels of `px_m` metres."""
    gy, gx = np.gradient(height_m, px_m)
    sx, sy = sun.towards
    el = np.radians(sun.elevation_deg)
    lit = (np.sin(el) - strength * (gx * sx + gy * sy) * np.cos(el)) / np.sqrt(1 + strength**2 * (gx * gx + gy * gy))
    return np.clip(lit / np.sin(el), 0.25, 1.6)


class StampMaker:
    """Draws the stamps of a country and keeps the latest ones."""

    def __init__(self, country: Country, textures: Textures, sun: Sun, on: date, zoom: int = BASE_ZOOM):
        self.country, self.textures, self.sun, self.on, self.zoom = country, textures, sun, on, zoom
        self._kept: OrderedDict[tuple, Stamp | None] = OrderedDict()
        self._n_bytes = 0

    def of(self, thing) -> Stamp | None:
        """The stamp of a mine, settlement or look-alike on the date, None where nothing shows."""
        key = (type(thing).__name__, thing.ident)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        draw = {
            Mine: self._mine,
            IndustrialMine: self._industrial,
            Settlement: self._settlement,
            LookAlike: self._look_alike,
        }
        stamp = draw[type(thing)](thing)
        self._kept[key] = stamp
        self._n_bytes += stamp.n_bytes if stamp else 0
        while self._n_bytes > KEEP_BYTES:
            _, old = self._kept.popitem(last=False)
            self._n_bytes -= old.n_bytes if old else 0
        return stamp

    def soil(self, x: float, y: float) -> np.ndarray:
        """Colour of freshly dug ground at a place."""
        red = float(np.clip(0.5 + 0.9 * self.country.noise(13)(x, y, 8000, 3), 0, 1))
        return (1 - red) * np.array([204, 188, 154.0], np.float32) + red * np.array([196, 156, 112.0], np.float32)

    # artisanal ------------------------------------------------------------------------------------------------------

    def _mine(self, mine: Mine) -> Stamp | None:
        extent, regrown = mine.activity(self.on)
        if extent <= 0 or regrown >= 0.97:
            return None
        rng = np.random.default_rng([self.country.seed, 61, mine.ident])
        canvas = Canvas(mine.x, mine.y, 0.62 * max(mine.length_m, mine.width_m) + 85, self.zoom)
        t = self.textures
        fine, clump, clump2 = canvas.texture(t.grass, 37), canvas.texture(t.clump, 91), canvas.texture(t.clump, 411)
        ripple = canvas.texture(t.grass, 503)
        u, v = canvas.turned(mine.angle)
        wu, wv = u + 3.0 * clump + 0.7 * fine, v + 3.0 * clump2 + 0.7 * ripple

        n = int(5 + mine.length_m * mine.width_m / 620)
        pu = rng.uniform(-0.5, 0.5, n) * mine.length_m
        bow = rng.normal(0, 0.18) * mine.width_m
        pv = rng.normal(0, 0.24, n) * mine.width_m + bow * ((2 * pu / mine.length_m) ** 2 - 0.5)
        radius = np.clip(rng.lognormal(np.log(8.5), 0.45, n), 3.5, 22) * (1.25 if mine.setting == "dredge" else 1)
        depth = radius * rng.uniform(0.22, 0.42, n)
        pu, pv, radius, depth = (values.astype(np.float32) for values in (pu, pv, radius, depth))
        wet = rng.uniform(0, 1, n) < {"river": 0.55, "dredge": 0.7, "hill": 0.25, "fringe": 0.35}[mine.setting]
        hue = rng.uniform(0, 1, n)
        # digging starts at one place and spreads
        start = rng.uniform(-0.3, 0.3) * mine.length_m
        order = np.argsort(np.abs(pu - start) + rng.uniform(0, 0.25 * mine.length_m, n))
        hue = hue.astype(np.float32)
        opened = np.zeros(n, bool)
        opened[order[: max(3, round(extent * n))]] = True

        ground = np.full(u.shape, -9.0, np.float32)
        height = np.zeros(u.shape, np.float32)
        pond = np.full(u.shape, -9.0, np.float32)
        pond_hue = np.zeros(u.shape, np.float32)
        for k in np.flatnonzero(opened):
            r = radius[k]
            squash = rng.uniform(0.75, 1.3)
            reach = 2.6 * r + 16
            rows, cols = self._near(canvas, mine, pu[k], pv[k], reach)
            if rows.stop <= rows.start or cols.stop <= cols.start:
                continue
            a, b = (wu[rows, cols] - pu[k]) * squash, (wv[rows, cols] - pv[k]) / squash
            d = np.sqrt(a * a + b * b)
            part = ground[rows, cols]
            np.maximum(part, 1 - d / (1.75 * r + 5), out=part)
            h = height[rows, cols]
            h -= depth[k] * np.clip(1 - (d / r) ** 2, 0, 1)
            # spoil thrown to one side, in heaps along the rim
            throw = rng.uniform(0, 2 * np.pi)
            lean = 0.6 + 0.4 * (a * np.cos(throw) + b * np.sin(throw)) / (d + 1)
            h += 0.5 * depth[k] * lean * np.exp(-(((d - 1.28 * r) / (0.24 * r + 1.0)) ** 2))
            if wet[k]:
                level = 1 - d / (0.78 * r)
                w, q = pond[rows, cols], pond_hue[rows, cols]
                q[...] = np.where(level > w, hue[k], q)
                np.maximum(w, level, out=w)
        for _ in range(int(2 + n / 6)):  # washed flats: bare, without a pit
            k = int(rng.integers(n))
            fu, fv, r = pu[k] + rng.normal(0, 12), pv[k] + rng.normal(0, 8), rng.uniform(9, 24)
            if not opened[k]:
                continue
            rows, cols = self._near(canvas, mine, fu, fv, 2 * r + 12)
            if rows.stop > rows.start and cols.stop > cols.start:
                d = np.hypot((wu[rows, cols] - fu) / 1.5, wv[rows, cols] - fv)
                part = ground[rows, cols]
                np.maximum(part, 0.8 - d / (1.2 * r), out=part)
                height[rows, cols] *= 1 - 0.7 * np.exp(-((d / r) ** 2))
                height[rows, cols] += 0.25 * np.exp(-((d / r) ** 2))
        n_heaps = int(n * 1.6)
        hu, hv = rng.uniform(-0.52, 0.52, n_heaps) * mine.length_m, rng.normal(0, 0.27, n_heaps) * mine.width_m
        for k in range(n_heaps):
            r = rng.uniform(2.2, 6.0)
            rows, cols = self._near(canvas, mine, hu[k], hv[k], 3 * r + 8)
            if rows.stop <= rows.start or cols.stop <= cols.start:
                continue
            d2 = (wu[rows, cols] - hu[k]) ** 2 + (wv[rows, cols] - hv[k]) ** 2
            height[rows, cols] += 0.42 * r * np.exp(-d2 / (0.8 * r * r))
        # digging leaves a ragged edge and islands of shrub
        ragged = ground + 0.10 * clump + 0.07 * fine
        bare = smoothstep(0.02, 0.16, ragged) * smoothstep(-2.1, -1.5, clump2 + 2.2 * np.clip(ragged, 0, 0.4))
        height += 0.10 * fine + 0.16 * clump
        shade = relief_shade(ndimage.gaussian_filter(height, 0.8), canvas.px_m, self.sun, 0.72)

        base = self.soil(mine.x, mine.y)
        pale = base + np.array([26, 29, 32], np.float32)
        deep = base * np.array([0.82, 0.75, 0.67], np.float32)
        raised = np.clip(0.5 + 0.30 * height + 0.12 * clump + 0.10 * ripple, 0, 1)
        colour = deep[:, None, None] + raised * (pale - deep)[:, None, None]
        streak = canvas.texture(t.ripple, 233)
        colour = colour * (1 + 0.05 * streak) * shade
        slash = smoothstep(-0.42, -0.05, ragged) * (0.75 if mine.setting != "fringe" else 0.5)
        canvas.paint(
            slash * (1 - regrown),
            np.array([112, 112, 66.0], np.float32)[:, None, None] * (1 + 0.10 * fine + 0.08 * clump),
        )
        canvas.paint(bare, colour)

        water = smoothstep(0.0, 0.09, pond + 0.05 * fine + 0.05 * clump)
        rim = smoothstep(-0.30, 0.02, pond) * (1 - water) * bare
        canvas.paint(0.5 * rim, deep * 0.72)
        muddy = np.array([[182, 142, 88], [150, 148, 108], [112, 156, 142], [96, 104, 66]], np.float32)
        place = np.clip(pond_hue, 0, 0.999) * 3
        low = np.floor(place).astype(int)
        mix = smoothstep(0.3, 0.7, place - low)
        water_rgb = np.moveaxis(
            muddy[low] * (1 - mix[..., None]) + muddy[np.minimum(low + 1, 3)] * mix[..., None], -1, 0
        )
        water_rgb = water_rgb * (0.93 + 0.10 * np.clip(1.2 - pond, 0, 1) + 0.015 * streak)
        if regrown:
            still = np.array([52, 66, 54.0], np.float32)[:, None, None]
            water_rgb = water_rgb * (1 - min(1, 1.4 * regrown)) + still * min(1, 1.4 * regrown)
        canvas.paint(water * bare, water_rgb)
        if mine.setting == "dredge" and regrown == 0:
            self._rafts(canvas, mine, rng)
        if regrown > 0:
            cover = smoothstep(
                0.0, 1.0, np.clip(1.9 * regrown - 0.75 + 0.33 * clump + 0.20 * clump2 + 0.15 * fine, 0, 1)
            )
            bush = canvas.texture(t.forest.shade, 77)
            green = np.array([84, 104, 50.0], np.float32)[:, None, None] * (0.55 + 0.45 * bush) * (1 + 0.06 * clump)
            canvas.paint(cover * (canvas.alpha > 0.02) * (1 - 0.85 * water), green)
            faded = 1 - float(smoothstep(0.6, 1.0, regrown)) * 0.9
            canvas.alpha *= faded
            canvas.rgb *= faded
        else:
            self._camp(canvas, mine, rng, base)
        return canvas.stamp()

    @staticmethod
    def _near(canvas: Canvas, mine: Mine, u: float, v: float, reach: float) -> tuple[slice, slice]:
        c, s = np.cos(mine.angle), np.sin(mine.angle)
        x, y = u * c - v * s, u * s + v * c
        return canvas.window(x, y, reach)

    def _camp(self, canvas: Canvas, mine: Mine, rng, base) -> None:
        x, y = self.country._camp(mine)
        cx, cy = x - mine.x, y - mine.y
        n = int(np.clip(3 + mine.workers / 22, 4, 18))
        spread = 5.5 + 2.3 * n**0.6
        clump, fine = canvas.texture(self.textures.clump, 700), canvas.texture(self.textures.grass, 710)
        d = np.hypot(canvas.dx - cx, canvas.dy - cy)
        yard = smoothstep(1.0, 0.55, d / (spread * 1.7) + 0.10 * clump + 0.10 * fine)
        canvas.paint(0.85 * yard, base[:, None, None] * (0.86 + 0.05 * fine))
        # a path to the workings
        length = np.hypot(cx, cy)
        along = (canvas.dx * cx + canvas.dy * cy) / length
        across = np.abs((canvas.dx * cy - canvas.dy * cx) / length + 3 * np.sin(along / 11.0))
        canvas.paint(smoothstep(2.3, 1.0, across) * ((along > 0) & (along < length)), base * 0.92)
        roofs = np.array([[226, 228, 226], [196, 200, 202], [92, 128, 178], [168, 150, 120], [150, 108, 84]], float)
        turn = rng.uniform(0, np.pi)
        for _ in range(n):
            ox, oy = rng.normal(0, spread * 0.55, 2)
            colour = roofs[rng.choice(5, p=[0.24, 0.28, 0.18, 0.2, 0.1])]
            size = rng.uniform(4.2, 8.0)
            canvas.box(
                cx + ox,
                cy + oy,
                size,
                size * rng.uniform(0.55, 0.8),
                turn + rng.choice([0, np.pi / 2]),
                colour,
                self.sun,
                2.4,
            )

    def _rafts(self, canvas: Canvas, mine: Mine, rng) -> None:
        c, s = np.cos(mine.angle), np.sin(mine.angle)
        for _ in range(int(rng.integers(2, 6))):
            u, v = rng.uniform(-0.45, 0.45) * mine.length_m, rng.normal(0, 4)
            turn = mine.angle + rng.normal(0, 0.3)
            at = u * c - v * s, u * s + v * c
            canvas.box(*at, rng.uniform(10, 16), rng.uniform(5, 7), turn, (92, 80, 70), self.sun, 1.0)
            canvas.box(*at, rng.uniform(6, 9), rng.uniform(4, 5), turn, (206, 208, 206), self.sun, 2.5)

    # industrial -----------------------------------------------------------------------------------------------------

    def _industrial(self, mine: IndustrialMine) -> Stamp:
        rng = np.random.default_rng([self.country.seed, 62, mine.ident])
        # footprint: distance to an ellipse that the polygon of the register of companies follows
        a, b = 0.80 * mine.length_m, 0.78 * mine.width_m
        tt = np.linspace(0, 2 * np.pi, 73)
        wave = 1 + 0.2 * self.country.noise(11)(400 * np.cos(tt), 400 * np.sin(tt) + 5e4 * (600 + mine.ident), 500, 4)
        c, s = np.cos(mine.angle), np.sin(mine.angle)
        far_a, far_b = (1.08 * float(wave.max()) * v + 30 for v in (a, b))
        canvas = Canvas(
            mine.x, mine.y, float(np.hypot(far_a * c, far_b * s)), self.zoom, float(np.hypot(far_a * s, far_b * c))
        )
        t = self.textures
        fine, clump, clump2 = canvas.texture(t.grass, 5), canvas.texture(t.clump, 19), canvas.texture(t.clump, 333)
        u, v = canvas.turned(mine.angle)
        rolling = self._slow(canvas, 140, 260.0)
        angle = np.arctan2(v / b, u / a) % np.float32(2 * np.pi)
        edge = np.interp(angle, tt, wave).astype(np.float32)
        rho = np.sqrt((u / a) ** 2 + (v / b) ** 2) / edge
        del angle, edge
        bare = smoothstep(1.005, 0.975, rho + 0.022 * clump + 0.006 * fine)
        base = (self.soil(mine.x, mine.y) * 0.55 + 0.45 * np.array([176, 160, 142.0])).astype(np.float32)
        canvas.paint(bare, base, shade=0.97 + 0.05 * clump + 0.035 * fine + 0.09 * rolling)
        # patches of grass where nobody drives
        grassy = smoothstep(0.05, 0.85, rolling + 0.45 * clump2) * smoothstep(0.45, 0.85, rho) * bare
        canvas.paint(0.85 * grassy, (122, 124, 78), shade=1 + 0.09 * fine + 0.06 * clump)
        del rho, bare, grassy

        self._haul_roads(canvas, mine, rng, base)
        height = 0.25 * fine + 0.35 * clump
        pv = rng.uniform(-0.1, 0.1) * mine.width_m
        pit = self._pit(canvas, mine, pv, (u, v, fine, clump, rolling, height), base)
        dumps = [(rng.uniform(0.17, 0.23) * mine.length_m, rng.uniform(0.20, 0.26) * mine.width_m) for _ in range(2)]
        self._dump(canvas, mine, dumps[0], (u, v, fine, clump, clump2, rolling, height))
        shade = relief_shade(ndimage.gaussian_filter(height, 0.7), canvas.px_m, self.sun, 0.8)
        canvas.rgb *= np.clip(shade, 0.5, 1.3)
        del height, shade
        at = 0.38 * mine.length_m, -0.36 * mine.width_m
        self._tailings(canvas, u, v, *at, 1.5 * dumps[1][0], 1.55 * dumps[1][1], fine, clump, rolling)
        where, sump = pit
        canvas.paint(0.95 * sump, (74, 122, 118), where, shade=1 + 0.01 * fine[where])
        self._plant(canvas, mine, rng)
        return canvas.stamp()

    def _pit(self, canvas: Canvas, mine: IndustrialMine, pv: float, layers, base):
        """Benches down to a sump, and a ramp that winds down once around; returns where, and the sump's opacity."""
        u, v = layers[:2]
        pu, pa, pb = -0.22 * mine.length_m, 0.40 * mine.length_m, 0.40 * mine.width_m
        where = _around((np.abs(u - pu) < 1.35 * pa) & (np.abs(v - pv) < 1.35 * pb))
        warp = 0.075 * self._slow(canvas, 141, 340.0)[where]
        u, v, fine, clump, rolling, height = (layer[where] for layer in layers)
        u, v = (u - pu) / pa, (v - pv) / pb
        q = np.sqrt(u**2 + v**2) + warp + 0.004 * clump
        n_benches = int(np.clip(pb / 20, 5, 11))
        depth = np.clip(1 - q, 0, 0.92) * (n_benches / 0.92)
        step = np.floor(depth)
        within = depth - step
        face = smoothstep(0.0, 0.05, within) * (1 - smoothstep(0.30, 0.36, within))
        dug = height - 9.0 * (step + smoothstep(0.0, 0.34, within)) * (depth > 0)
        turn = np.arctan2(v, u) * (0.85 * n_benches / (2 * np.pi)) + 0.5 * 0.85 * n_benches
        ramp = smoothstep(0.42, 0.30, np.abs(depth - 0.15 - turn)) * (depth > 0.05)
        dug = dug * (1 - ramp) + ramp * -9.0 * np.clip(turn, 0, n_benches)
        in_pit = smoothstep(0.0, 0.05, depth)
        rock = np.array([150, 140, 128.0], np.float32) * 0.6 + 0.4 * base
        tone = 1.05 + 0.06 * np.sin(step * 2.4 + mine.ident) + 0.04 * rolling + 0.03 * fine + 0.03 * clump
        canvas.paint(in_pit, rock, where, shade=tone - 0.16 * face * (1 - ramp) + 0.10 * ramp)
        sump = smoothstep(n_benches - 1.1, n_benches - 0.9, depth + 0.12 * clump)
        height[...] = np.where(depth > n_benches - 1, dug * (1 - sump) - 9.0 * n_benches * sump, dug)
        return where, sump * in_pit

    def _dump(self, canvas: Canvas, mine: IndustrialMine, size: tuple[float, float], layers) -> None:
        """Waste: a flat top, terraced flanks, gullies."""
        u, v = layers[:2]
        du, dv = 0.38 * mine.length_m, 0.30 * mine.width_m
        where = _around((np.abs(u - du) < 1.6 * size[0]) & (np.abs(v - dv) < 1.6 * size[1]))
        rough = 0.13 * self._slow(canvas, 150, 200.0)[where]
        u, v, fine, clump, clump2, rolling, height = (layer[where] for layer in layers)
        u, v = u - du, v - dv
        rise = np.sqrt((u / size[0]) ** 2 + (v / size[1]) ** 2) + rough + 0.015 * clump
        rise = np.clip(1 - rise, 0, 0.55) * (3 / 0.55)
        step = np.floor(rise)
        height += 11.0 * np.minimum(step + smoothstep(0.0, 0.42, rise - step), 3) * (rise > 0)
        gully = np.sin(46 * np.arctan2(v, u) + 3 * clump2)
        height += 0.5 * gully * smoothstep(0.0, 0.3, rise) * (rise < 2.9)
        tone = np.array([168, 150, 126.0], np.float32) * np.float32(0.9 + 0.01 * (mine.ident % 10))
        canvas.paint(smoothstep(0.0, 0.12, rise), tone, where, shade=1 + 0.04 * clump + 0.03 * fine + 0.05 * rolling)

    def _slow(self, canvas: Canvas, channel: int, wavelength: float) -> np.ndarray:
        """Smooth noise over a canvas, standard deviation about 1, evaluated every 8 pixels."""
        step = 8
        cols = canvas.dx[0, ::step].astype(float) + canvas.x
        rows = canvas.dy[::step, 0].astype(float) + canvas.y
        coarse = self.country.noise(channel % 40 + 100)(cols[None, :], rows[:, None], wavelength, 3) / 0.35
        u, v = ((np.arange(n) / step).clip(0, n // step - 1.001) for n in (canvas.width, canvas.height))
        i, j = u.astype(int), v.astype(int)
        return between(coarse, j, (v - j).astype(np.float32), i, (u - i).astype(np.float32))

    def _tailings(self, canvas, u, v, du, dv, da, db, fine, clump, rolling) -> None:
        """A dam with a beach that darkens towards the pond at its low side."""
        inside = (np.abs(u - du) < 0.75 * da) & (np.abs(v - dv) < 0.75 * db)
        where = _around(inside)
        u, v, fine, clump, rolling = (values[where] for values in (u, v, fine, clump, rolling))
        a, b = np.abs(u - du) / da, np.abs(v - dv) / db
        d = (a**4 + b**4) ** 0.25 + 0.015 * rolling
        dam = smoothstep(0.62, 0.60, d)
        inner = smoothstep(0.565, 0.55, d)
        dust = np.array([182, 164, 140.0], np.float32)[:, None, None]
        canvas.paint(dam, dust * (1 + 0.03 * fine), where)
        low = np.clip(0.5 + ((u - du) / da * 0.55 + (v - dv) / db * 0.4), 0, 1) + 0.05 * rolling
        sand = np.array([196, 190, 180.0], np.float32)[:, None, None]
        canvas.paint(inner, sand * (1 - 0.16 * low) * (1 + 0.02 * clump + 0.015 * fine), where)
        water = smoothstep(0.50, 0.60, low + 0.012 * clump) * inner
        canvas.paint(water, np.array([104, 140, 132.0], np.float32)[:, None, None] * (1.12 - 0.28 * low), where)

    def _haul_roads(self, canvas: Canvas, mine: IndustrialMine, rng, base) -> None:
        pale = base * 1.10 + 8
        c, s = np.cos(mine.angle), np.sin(mine.angle)
        hub = (0.10 * mine.length_m, -0.44 * mine.width_m)
        for target in ((-0.22, 0.36), (0.36, 0.22), (0.30, -0.14), (0.05, 0.55)):
            to = target[0] * mine.length_m, target[1] * mine.width_m
            n = 60
            k = np.linspace(0, 1, n)
            bulge = rng.normal(0, 0.10) * mine.length_m * np.sin(np.pi * k)
            pu, pv = hub[0] + (to[0] - hub[0]) * k, hub[1] + (to[1] - hub[1]) * k + bulge
            x, y = pu * c - pv * s, pu * s + pv * c
            self._stroke(canvas, x, y, 7.0, pale)

    @staticmethod
    def _stroke(canvas: Canvas, x, y, half_width, colour) -> None:
        near = np.full(canvas.alpha.shape, 1e3, np.float32)
        for k in range(len(x) - 1):
            reach = half_width + 4
            cols = Canvas._span(canvas.dx[0], (x[k] + x[k + 1]) / 2, reach + abs(x[k + 1] - x[k]) / 2)
            rows = Canvas._span(-canvas.dy[:, 0], -(y[k] + y[k + 1]) / 2, reach + abs(y[k + 1] - y[k]) / 2)
            if cols.stop <= cols.start or rows.stop <= rows.start:
                continue
            d = segment_distance(canvas.dx[:, cols], canvas.dy[rows], x[k], y[k], x[k + 1], y[k + 1])
            near[rows, cols] = np.minimum(near[rows, cols], d)
        canvas.paint(0.85 * np.clip((half_width - near) / 2.0 + 0.5, 0, 1), colour)

    def _plant(self, canvas: Canvas, mine: IndustrialMine, rng) -> None:
        c, s = np.cos(mine.angle), np.sin(mine.angle)
        for _ in range(int(rng.integers(9, 15))):
            u = (0.05 + rng.normal(0, 0.04)) * mine.length_m
            v = (-0.53 + rng.normal(0, 0.05)) * mine.width_m
            at = u * c - v * s, u * s + v * c
            grey = rng.uniform(165, 222)
            canvas.box(
                *at, rng.uniform(16, 58), rng.uniform(10, 22), mine.angle + rng.choice([0, np.pi / 2]),
                (grey, grey + rng.uniform(-4, 4), grey + rng.uniform(-4, 8)), self.sun, rng.uniform(5, 11), 0.08,
            )  # fmt: skip
        for k in range(3):
            u, v = (-0.16 + 0.035 * k) * mine.length_m, -0.56 * mine.width_m
            x, y = u * c - v * s, u * s + v * c
            d = np.hypot(canvas.dx - x, canvas.dy - y)
            canvas.paint(smoothstep(13.0, 11.5, d), (188, 188, 184))
            canvas.paint(smoothstep(10.5, 9.5, d), (92, 112, 108))

    # settlements and look-alikes ------------------------------------------------------------------------------------

    def _settlement(self, place: Settlement) -> Stamp:
        rng = np.random.default_rng([self.country.seed, 63, place.ident])
        canvas = Canvas(place.x, place.y, place.radius_m * 1.25 + 30, self.zoom)
        t = self.textures
        fine, clump = canvas.texture(t.grass, 3), canvas.texture(t.clump, 55)
        slow = self._slow(canvas, 160, 190.0)
        rho = np.hypot(canvas.dx, canvas.dy) / place.radius_m * (1 + 0.13 * slow)
        base = 0.65 * self.soil(place.x, place.y) + 0.35 * np.array([170, 150, 120.0], np.float32)
        yard = smoothstep(1.05, 0.35 if place.is_town else 0.25, rho + 0.16 * clump)
        canvas.paint(0.80 * yard, base[:, None, None] * (0.93 + 0.06 * clump + 0.05 * fine))
        turn = rng.uniform(0, np.pi / 2)
        pitch = 46.0 if place.is_town else 62.0
        u, v = canvas.turned(turn)
        bent_u, bent_v = u + 9 * slow, v - 8 * slow
        for axis in (bent_u, bent_v):
            off = np.abs((axis + pitch / 2) % pitch - pitch / 2)
            street = smoothstep(3.4, 2.0, off + 0.3 * fine) * smoothstep(0.92, 0.7, rho + 0.08 * clump)
            canvas.paint((0.75 if place.is_town else 0.4) * street, base[:, None, None] * (1.10 + 0.03 * fine))
        tin = np.array(
            [[205, 208, 210], [184, 188, 190], [158, 112, 86], [136, 92, 74], [168, 146, 112], [120, 140, 158]], float
        )
        odds = [0.30, 0.22, 0.22, 0.12, 0.06, 0.08] if place.is_town else [0.2, 0.16, 0.14, 0.08, 0.40, 0.02]
        c, s = np.cos(turn), np.sin(turn)
        placed = 0
        for _ in range(place.houses * 3):
            if placed == place.houses:
                break
            hu, hv = rng.normal(0, 0.46 * place.radius_m, 2)
            if np.hypot(hu, hv) > 1.1 * place.radius_m:
                continue
            # houses face a street: push them off it
            near_u = (hu + pitch / 2) % pitch - pitch / 2
            if abs(near_u) < 9:
                hu += np.sign(near_u + 1e-9) * (9 - abs(near_u)) + np.sign(near_u + 1e-9) * rng.uniform(0, 3)
            near_v = (hv + pitch / 2) % pitch - pitch / 2
            if abs(near_v) < 8:
                hv += np.sign(near_v + 1e-9) * (8 - abs(near_v))
            length = rng.uniform(7.5, 13.0) * (1.9 if place.is_town and rng.uniform() < 0.05 else 1)
            if not place.is_town:
                length *= 0.8
            col = int((hu * c - hv * s - canvas.dx[0, 0]) / canvas.px_m)
            row = int((canvas.dy[0, 0] - hu * s - hv * c) / canvas.px_m)
            lean = float(slow[np.clip(row, 0, canvas.height - 1), np.clip(col, 0, canvas.width - 1)])
            at = (hu - 9 * lean) * c - (hv + 8 * lean) * s, (hu - 9 * lean) * s + (hv + 8 * lean) * c
            canvas.box(
                *at, length, length * rng.uniform(0.5, 0.75), turn + rng.choice([0, np.pi / 2]) + rng.normal(0, 0.06),
                tin[rng.choice(6, p=odds)] * rng.uniform(0.88, 1.05), self.sun, rng.uniform(2.5, 3.5),
            )  # fmt: skip
            placed += 1
        # trees in the yards
        trees = canvas.texture(t.woodland.cover, 120) * smoothstep(0.2, 1.6, slow + 0.4 + 0.3 * rho)
        leaf = canvas.texture(t.woodland.shade, 120) / np.maximum(canvas.texture(t.woodland.cover, 120), 0.2)
        hide = smoothstep(0.35, 0.8, trees) * (0.8 if place.is_town else 0.5)
        canvas.rgb += (
            hide * canvas.alpha * np.array([62, 82, 44.0], np.float32)[:, None, None] * leaf - hide * canvas.rgb
        )
        return canvas.stamp()

    def _look_alike(self, thing: LookAlike) -> Stamp | None:
        if years_since_epoch(self.on) < thing.opened:
            return None
        rng = np.random.default_rng([self.country.seed, 64, thing.ident])
        canvas = Canvas(thing.x, thing.y, thing.size_m * 0.95 + 25, self.zoom)
        t = self.textures
        fine, clump, clump2 = canvas.texture(t.grass, 11), canvas.texture(t.clump, 77), canvas.texture(t.clump, 505)
        u, v = canvas.turned(thing.angle)
        r = thing.size_m / 2
        base = self.soil(thing.x, thing.y)
        if thing.kind == "quarry":
            d = np.sqrt((u / r) ** 2 + (v / (0.72 * r)) ** 2) + 0.07 * clump + 0.02 * fine
            rock = np.array([196, 190, 180.0], np.float32)
            depth = np.clip(1 - d, 0, 0.8) * np.clip(0.6 + 0.7 * u / r, 0, 1) * 3.6
            step = np.floor(depth)
            height = -7.0 * (step + smoothstep(0, 0.35, depth - step)) + 0.35 * fine + 0.3 * clump2
            bare = smoothstep(1.03, 0.95, d)
            canvas.paint(
                bare,
                rock[:, None, None]
                * (1 + 0.05 * clump + 0.04 * fine)
                * relief_shade(height, canvas.px_m, self.sun, 0.8),
            )
            for _ in range(5):
                hu, hv, hr = -0.45 * r + rng.normal(0, 0.16) * r, rng.normal(0, 0.3) * r, rng.uniform(4, 8)
                heap = 0.55 * hr * np.exp(-(((u - hu) ** 2 + (v - hv) ** 2) / (0.5 * hr * hr)))
                lump = smoothstep(0.3, 1.0, heap)
                canvas.paint(lump * bare, rock[:, None, None] * 1.05 * relief_shade(heap, canvas.px_m, self.sun, 0.9))
        elif thing.kind == "kiln":
            d = np.sqrt((u / r) ** 2 + (v / (0.8 * r)) ** 2) + 0.16 * clump + 0.05 * fine
            bare = smoothstep(1.0, 0.8, d)
            canvas.paint(
                bare, np.array([178, 120, 84.0], np.float32)[:, None, None] * (0.98 + 0.06 * clump + 0.05 * fine)
            )
            # rows of drying bricks, stacks that are being fired, a clay pit with water
            rows = np.sin(2 * np.pi * v / 5.5) * (np.abs(u - 0.35 * r) < 0.3 * r) * (np.abs(v) < 0.5 * r)
            canvas.paint(0.55 * np.clip(rows * 2, 0, 1) * bare, (206, 150, 112))
            c, s = np.cos(thing.angle), np.sin(thing.angle)
            for _ in range(int(rng.integers(3, 7))):
                hu, hv = rng.uniform(-0.65, 0.1) * r, rng.uniform(-0.6, 0.6) * r
                tone = rng.choice([0, 1])
                colour = (150, 78, 54) if tone else (120, 96, 86)
                at = hu * c - hv * s, hu * s + hv * c
                canvas.box(*at, rng.uniform(7, 11), rng.uniform(4.5, 6.5), thing.angle, colour, self.sun, 3.5, 0.1)
            pit = smoothstep(1.0, 0.85, np.hypot(u + 0.1 * r, v - 0.62 * r) / (0.26 * r) + 0.08 * clump2)
            canvas.paint(pit, (150, 112, 78))
            canvas.paint(
                smoothstep(0.8, 0.65, np.hypot(u + 0.1 * r, v - 0.62 * r) / (0.26 * r) + 0.05 * clump2), (128, 118, 84)
            )
        else:
            box = np.maximum(np.abs(u) / r, np.abs(v) / (0.7 * r)) + 0.13 * clump + 0.04 * fine
            inside = smoothstep(1.02, 0.93, box)
            if thing.kind == "burn":
                ash = np.clip(0.5 + 0.25 * clump + 0.22 * clump2, 0, 1)
                burnt, dry = np.array([74, 66, 56.0], np.float32), np.array([146, 128, 92.0], np.float32)
                colour = burnt[:, None, None] + ash * (dry - burnt)[:, None, None]
                colour = colour * (1 + 0.09 * fine)
                canvas.paint(inside, colour)
                c, s = np.cos(thing.angle), np.sin(thing.angle)
                for _ in range(int(thing.size_m / 5)):  # felled trunks
                    hu, hv = rng.uniform(-0.85, 0.85) * r, rng.uniform(-0.6, 0.6) * r
                    at = hu * c - hv * s, hu * s + hv * c
                    tint = rng.choice([60, 170])
                    canvas.box(
                        *at,
                        rng.uniform(7, 18),
                        1.3,
                        rng.uniform(0, np.pi),
                        (tint, tint * 0.93, tint * 0.8),
                        self.sun,
                        0.4,
                    )
            else:
                furrow = np.sin(2 * np.pi * (v + 0.8 * clump2) / 4.2)
                red = 0.4 * base + 0.6 * np.array([184, 122, 84.0], np.float32)
                canvas.paint(inside, red[:, None, None] * (0.95 + 0.06 * furrow + 0.05 * clump + 0.04 * fine))
                for _ in range(int(thing.size_m / 12)):
                    hu, hv = rng.uniform(-0.9, 0.9) * r, rng.uniform(-0.62, 0.62) * r
                    d = np.hypot(u - hu, v - hv)
                    canvas.paint(smoothstep(4.2, 3.0, d + 0.5 * clump) * inside, (66, 84, 46))
        return canvas.stamp()


def _around(inside: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask."""
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def stamp_reach_m(thing) -> float:
    """How far from its centre a thing's stamp may paint, metres (larger than the canvas)."""
    if isinstance(thing, Mine):
        return 0.62 * max(thing.length_m, thing.width_m) + 130
    if isinstance(thing, IndustrialMine):
        return 1.2 * thing.length_m + 90
    if isinstance(thing, Settlement):
        return thing.radius_m * 1.25 + 80
    return thing.size_m * 0.95 + 75
