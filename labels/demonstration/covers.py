"""What lies over the vegetation: fields, rivers, the sea, roads. Each is laid on an `Overlay`, tile by tile."""

from math import ceil, floor, pi

import numpy as np

from labels.demonstration.land import MARGIN_NODES
from labels.demonstration.noise import between, hash_uniform, smoothstep
from labels.demonstration.textures import TILE_PX, cut_torus
from labels.demonstration.windows import BASE_M, BASE_ZOOM, HALF_WORLD_M, PixelWindow, resolution_m, segment_distance

WORK_PX = 128  # side of the tiles on which pixels are computed: what fits a core's cache
PARCEL_REACH_PX = 80  # from a parcel's centre to its farthest pixel, at zoom 17
LEAST_FARM = 0.18  # below it nobody tills


class Overlay:
    """Colour times opacity, and opacity, of what lies over the land in a window."""

    def __init__(self, win: PixelWindow):
        self.win = win
        self.rgb = np.zeros((3, win.height, win.width), np.float32)
        self.alpha = np.zeros((win.height, win.width), np.float32)
        self.water: np.ndarray | None = None  # where a river runs

    def tiles(self):
        """Parts of the window to compute at once."""
        return self.win.blocks(WORK_PX)

    def lay(self, tile: PixelWindow, opacity: np.ndarray, colour, shade: np.ndarray) -> None:
        """Cover a tile with a colour (three numbers or arrays) times a shade."""
        if not opacity.any():
            return
        where = tile.within(self.win)
        keep, light = 1 - opacity, opacity * shade
        for band, value in zip(self.rgb, colour, strict=True):
            part = band[where]
            part *= keep
            part += light * value
        alpha = self.alpha[where]
        alpha *= keep
        alpha += opacity

    def lay_premultiplied(self, where: tuple[slice, slice], opacity: np.ndarray, rgb: np.ndarray) -> None:
        """Cover a part with a colour that is already times its opacity."""
        keep = 1 - opacity
        part, alpha = self.rgb[(slice(None), *where)], self.alpha[where]
        part *= keep
        part += rgb
        alpha *= keep
        alpha += opacity


# fields -------------------------------------------------------------------------------------------------------------

# tilled, green crop, stubble, fallow, burnt
CROP_RGB = np.array([[160, 130, 100], [108, 120, 70], [172, 156, 112], [132, 130, 84], [104, 94, 80]], float)


def draw_fields(painter, over: Overlay, slow) -> None:
    """Parcels with rows, around settlements and along roads."""
    if slow.at["farm"].max() <= LEAST_FARM:
        return
    win, t, step = over.win, painter.textures, 2 ** (BASE_ZOOM - over.win.zoom)
    n = len(t.parcel_centre_px)
    first_r, first_c = ((at * step - PARCEL_REACH_PX) // TILE_PX for at in (win.row, win.col))
    last_r = ((win.row + win.height) * step + PARCEL_REACH_PX) // TILE_PX
    last_c = ((win.col + win.width) * step + PARCEL_REACH_PX) // TILE_PX
    n_c = last_c - first_c + 1
    tile_r, tile_c = np.divmod(np.arange((last_r - first_r + 1) * n_c), n_c)
    row = ((tile_r + first_r)[:, None] * TILE_PX + t.parcel_centre_px[None, :, 0]).ravel()
    col = ((tile_c + first_c)[:, None] * TILE_PX + t.parcel_centre_px[None, :, 1]).ravel()
    table = _parcel_table(painter, slow, win, row, col)
    if table is None:
        return
    ident, home_r, home_c, edge_px = t.parcels_at(win.zoom)
    for tile in over.tiles():
        if slow.at["farm"][slow.span(tile, MARGIN_NODES)].max() <= LEAST_FARM:
            continue
        place = tile.col, tile.row, tile.width, tile.height
        # a parcel that crosses the seam of the torus belongs to the tile its centre lies in
        own_r = ((tile.row + np.arange(tile.height)) * step // TILE_PX - first_r).astype(np.int32)[:, None]
        own_c = ((tile.col + np.arange(tile.width)) * step // TILE_PX - first_c).astype(np.int32)[None, :]
        local = (own_r + cut_torus(home_r, *place)) * n_c + (own_c + cut_torus(home_c, *place))
        local = local * n + cut_torus(ident, *place)
        solid = table[3].take(local)
        if not solid.any():
            continue
        fine, clump = (mip.cut(tile.zoom, *place) for mip in (t.grass, t.clump))
        brightness = 1 + 0.055 * fine + 0.05 * clump
        if tile.zoom >= BASE_ZOOM - 1:
            k = 0.5 if tile.zoom < BASE_ZOOM else 1.0
            px, py = (tile.x % 4096.0).astype(np.float32), (tile.y % 4096.0).astype(np.float32)
            phase = (px * table[4].take(local) + py * table[5].take(local)) * k + 0.5 * clump
            brightness += table[6].take(local) * np.sin(phase) * k
        trees = t.parkland.cover.cut(tile.zoom, *place)
        solid *= smoothstep(0.4, 1.6, cut_torus(edge_px, *place) + 0.25 * fine)
        solid *= 1 - 0.92 * smoothstep(0.3, 0.7, trees)
        brightness *= slow.one("shade", tile)
        over.lay(tile, solid, [table[k].take(local) for k in range(3)], brightness)


def _parcel_table(painter, slow, win: PixelWindow, row: np.ndarray, col: np.ndarray) -> np.ndarray | None:
    """What grows on each parcel: (7, n) of colour, opacity, wave numbers and strength of rows; None without fields."""
    step = 2 ** (BASE_ZOOM - win.zoom)
    near = (row > win.row * step - PARCEL_REACH_PX) & (row < (win.row + win.height) * step + PARCEL_REACH_PX)
    near &= (col > win.col * step - PARCEL_REACH_PX) & (col < (win.col + win.width) * step + PARCEL_REACH_PX)
    used = np.flatnonzero(near)
    node = slow.node_of(col[used] * BASE_M - HALF_WORLD_M, HALF_WORLD_M - row[used] * BASE_M)
    tilled = (slow.at["farm"][node] > LEAST_FARM) & (slow.at["shore"][node] > 120)
    used, node = used[tilled], tuple(at[tilled] for at in node)
    key = (np.int64(painter.country.seed), np.floor(row[used]), np.floor(col[used]))
    active = hash_uniform(*key, 1) < 0.94 * smoothstep(LEAST_FARM, 0.9, slow.at["farm"][node])
    if not active.any():
        return None
    used, node, key = used[active], tuple(at[active] for at in node), (key[0], key[1][active], key[2][active])
    # each parcel has its habit, each year its chance
    year = painter.on.year
    habit = hash_uniform(*key, 2)
    g = painter.look.green
    odds = np.cumsum([0.22 - 0.06 * g, 0.16 + 0.22 * g, 0.30 - 0.14 * g, 0.30, 0.025 - 0.015 * g])
    drawn = np.where(hash_uniform(*key, 3, year) < 0.6, hash_uniform(*key, 4, year), habit)
    state = np.clip(np.searchsorted(odds, drawn * odds[-1]), 0, 4)
    rgb = CROP_RGB[state] * (0.90 + 0.22 * hash_uniform(*key, 5))[:, None]
    red = slow.at["red"][node][:, None]
    rgb = np.where((state == 0)[:, None], rgb * (1 + (red - 0.5) * np.array([0.05, -0.06, -0.12])), rgb)
    angle = hash_uniform(*key, 6) * 0.9 + 2 * np.round(hash_uniform(*key, 7)) * pi / 4
    pitch = 3.2 + 1.6 * hash_uniform(*key, 8)
    table = np.zeros((7, len(row)), np.float32)
    table[:3, used] = rgb.T
    table[3, used] = np.where(state == 3, 0.55, 0.94)
    table[4:6, used] = np.cos(angle) * 2 * pi / pitch, np.sin(angle) * 2 * pi / pitch
    table[6, used] = np.where((state == 0) | (state == 1), 0.12, 0.07)
    return table


# water --------------------------------------------------------------------------------------------------------------


def draw_rivers(painter, over: Overlay, slow) -> None:
    """Banks, sand bars on the inner side of bends, and water, muddy below workings."""
    for tile in over.tiles():
        if slow.at["river_gap"][slow.span(tile)].min() < 60:
            _draw_river(painter, over, slow, tile)


def _draw_river(painter, over: Overlay, slow, tile: PixelWindow) -> None:
    edge, inner, mud, hw = _across_river(painter, slow, tile)
    place = tile.zoom, tile.col, tile.row, tile.width, tile.height
    t = painter.textures
    clump, fine, ripple = t.clump.cut(*place), t.grass.cut(*place), t.ripple.cut(*place)
    patch = slow.one("patch", tile)
    soft = max(1.0, 0.75 * resolution_m(tile.zoom))
    edge = edge + np.minimum(0.10 * hw, 1.6) * clump + 0.35 * fine
    # reeds and young growth on the banks, then sand, then water
    bank = smoothstep(14 + 0.35 * hw, 1.0, edge + 5 * patch) * 0.62
    over.lay(tile, bank, (104.0, 122.0, 62.0), 0.94 + 0.07 * clump + 0.07 * fine)
    low_water = 1.15 - 0.5 * painter.look.green
    bar = smoothstep(0.06, 0.75, inner + 0.30 * patch) * hw * (1.05 * low_water) * smoothstep(4.0, 12.0, hw)
    sand = smoothstep(3.5, 0.5, edge - 0.10 * bar) * smoothstep(0.4, 2.0, bar)
    if sand.any():
        damp = smoothstep(-0.75, -0.15, edge / (bar + 0.5))
        tone = (0.80 + 0.20 * damp) * (1 + 0.035 * clump + 0.03 * fine + 0.02 * ripple)
        over.lay(tile, sand, (206.0, 188.0, 154.0), tone)
    water = smoothstep(soft, -soft, edge + bar)
    if not water.any():
        return
    deep = smoothstep(0.0, -0.9, (edge + bar) / (hw + 0.1))
    mix = np.clip(0.10 + 0.95 * mud + 0.03 * clump * mud, 0, 1)
    tone = 1.06 - 0.15 * deep * (1 - 0.5 * mud) + 0.020 * clump + 0.018 * ripple
    over.lay(tile, water, [a + mix * (b - a) for a, b in ((62.0, 166.0), (70.0, 122.0), (54.0, 82.0))], tone)
    if over.water is None:
        over.water = np.zeros_like(over.alpha)
    over.water[tile.within(over.win)] = water


def _across_river(painter, slow, tile: PixelWindow) -> tuple[np.ndarray, ...]:
    """At each pixel: metres beyond the bank, how far on the inner side of a bend (-1..1), mud, half width (m)."""
    # asked on a finer lattice than the land's: every 4.8 m, or at each pixel where pixels are larger
    per_node = max(1, 4 >> (BASE_ZOOM - tile.zoom))
    off = 0.5 if per_node == 1 else 0.0
    u = (tile.col + np.arange(tile.width) + 0.5) / per_node - off
    v = (tile.row + np.arange(tile.height) + 0.5) / per_node - off
    i0, j0 = floor(u[0]), floor(v[0])
    node_m = resolution_m(tile.zoom) * per_node
    x = (i0 + np.arange(floor(u[-1]) + 2 - i0) + off) * node_m - HALF_WORLD_M
    y = HALF_WORLD_M - (j0 + np.arange(floor(v[-1]) + 2 - j0) + off) * node_m
    x, y = np.broadcast_arrays(x[None, :], y[:, None])
    land_node = slow.node_of(x, y)
    close = slow.at["river_gap"][land_node] < 90
    out = np.empty((4, *x.shape), np.float32)
    out[:] = np.array([130.0, 0.0, 0.0, 5.0])[:, None, None]
    if close.any():
        at = np.stack([x[close], y[close]], axis=-1)
        points = painter.country.river_points
        if per_node == 1:
            which = _along(points, slow.nearest[land_node][close], at)
        else:
            which = points["tree"].query(at)[1]
        out[:, close] = _profile(painter, points, which, at)
    if per_node == 1:
        return tuple(out[:, : tile.height, : tile.width])
    iu, jv = np.floor(u).astype(int) - i0, np.floor(v).astype(int) - j0
    fu, fv = (u - np.floor(u)).astype(np.float32), (v - np.floor(v)).astype(np.float32)
    return tuple(between(values, jv, fv, iu, fu) for values in out)


def _along(points: dict, which: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The river point nearest to each place, from the one nearest to a node close by."""
    ahead = ((at - points["xy"][which]) * points["tangent"][which]).sum(axis=1)
    moved = np.clip(which + np.round(ahead / 12.0).astype(int), 0, len(points["xy"]) - 1)
    return np.where(points["river"][moved] == points["river"][which], moved, which)


def _profile(painter, points: dict, which: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(4, n): as `_across_river` gives it, for places and their nearest river points."""
    hw = points["half_width_m"][which]
    delta, tangent = at - points["xy"][which], points["tangent"][which]
    side = tangent[:, 0] * delta[:, 1] - tangent[:, 1] * delta[:, 0]  # positive on the left bank
    along = tangent[:, 0] * delta[:, 0] + tangent[:, 1] * delta[:, 1]
    # distance across the line rather than to its sampled points
    gap = np.where(np.abs(along) < 9, np.abs(side), np.sqrt(side * side + along * along))
    inner = np.clip(points["bend"][which], -1, 1) * np.sign(side) * smoothstep(0.0, 0.6, np.abs(side) / (hw + 1))
    return np.stack([np.minimum(gap - hw, 130), inner, painter.turbidity[which], hw])


def draw_sea(painter, over: Overlay, slow) -> None:
    """Beach, shallows, deep water and breakers that follow the shore."""
    for tile in over.tiles():
        if slow.at["shore"][slow.span(tile)].min() <= 120:
            _draw_sea(painter, over, slow, tile)


def _draw_sea(painter, over: Overlay, slow, tile: PixelWindow) -> None:
    place = tile.zoom, tile.col, tile.row, tile.width, tile.height
    t = painter.textures
    clump, fine, ripple = t.clump.cut(*place), t.grass.cut(*place), t.ripple.cut(*place)
    patch = slow.one("patch", tile)
    line = slow.one("shore", tile) + 7 * patch + 1.6 * clump + 0.5 * fine
    soft = max(1.2, 0.8 * resolution_m(tile.zoom))
    if line.max() > -soft:
        broad = np.maximum(48.0 + 40 * slow.one("tone", tile), 22.0)
        sand = 0.95 * smoothstep(broad, 14.0, line)
        over.lay(tile, sand, (222.0, 206.0, 172.0), 0.98 + 0.03 * fine + 0.03 * clump - 0.14 * smoothstep(9, 0, line))
    water = smoothstep(soft, -soft, line)
    if not water.any():
        return
    depth = np.maximum(-line, 0)
    share = 1 - np.exp(depth * (-1 / 320.0))
    colour = [a + share * (b - a) for a, b in ((96.0, 20.0), (142.0, 52.0), (128.0, 70.0))]
    over.lay(tile, water, colour, 1 + 0.05 * ripple + 0.025 * clump + 0.06 * patch)
    if depth.min() > 120:
        return
    # breakers: bright broken lines that follow the shore
    swell = np.sin(depth * (2 * pi / 2.2 / 17.0) + 2.2 * patch + 0.5 * clump)
    surf = smoothstep(0.72, 1.0, swell + 0.22 * fine) * smoothstep(110, 5, depth) * (depth > 0.5)
    surf = np.maximum(surf, smoothstep(7, 1, depth + 1.5 * fine) * (line < 0.5))
    over.lay(tile, 0.8 * surf, (232.0, 238.0, 236.0), np.ones_like(surf))


# roads --------------------------------------------------------------------------------------------------------------

ROAD_REACH_M = 14.0


def draw_roads(painter, over: Overlay) -> None:
    """Worn earth with a dry verge."""
    win, s = over.win, painter.segments
    west, south, east, north = win.bounds_m
    near = (np.maximum(s[:, 0], s[:, 2]) > west - ROAD_REACH_M) & (np.minimum(s[:, 0], s[:, 2]) < east + ROAD_REACH_M)
    near &= (np.maximum(s[:, 1], s[:, 3]) > south - ROAD_REACH_M) & (
        np.minimum(s[:, 1], s[:, 3]) < north + ROAD_REACH_M
    )
    if not near.any():
        return
    away, broad = _road_distance(win, s[near])
    res = resolution_m(win.zoom)
    for tile in over.tiles():
        where = tile.within(win)
        gap = away[where]
        if gap.min() > ROAD_REACH_M:
            continue
        place = tile.zoom, tile.col, tile.row, tile.width, tile.height
        fine, clump = painter.textures.grass.cut(*place), painter.textures.clump.cut(*place)
        wide = broad[where]
        verge = smoothstep(5.5, 0.5, gap + 1.5 * clump + 0.6 * fine) * (0.35 + 0.3 * wide)
        over.lay(tile, verge, (136.0, 128.0, 78.0), 1 + 0.08 * fine)
        # a line thinner than a pixel covers its share of it
        edge = gap + 0.35 * fine
        cover = np.clip(0.5 - edge / max(res, 1.4), 0, 1) * min(max(3.4 / res + 0.35, 0.55), 1.0)
        worn = 0.97 + 0.05 * clump + 0.04 * fine + 0.08 * wide
        over.lay(tile, cover * (0.80 + 0.15 * wide), (184.0, 132.0, 90.0), worn)


def _road_distance(win: PixelWindow, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres beyond the edge of the nearest road (60 far away), and 1 where that is a broad one."""
    res, (west, _, _, north), reach = resolution_m(win.zoom), win.bounds_m, ROAD_REACH_M
    x, y = win.x, win.y
    away = np.full((win.height, win.width), 60.0, np.float32)
    broad = np.zeros((win.height, win.width), np.float32)
    for ax, ay, bx, by, half, is_road in segments:
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
    return away, broad
