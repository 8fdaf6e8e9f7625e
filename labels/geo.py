"""Where things are: distances on WGS84, the MOSAIKS grid, web map tiles. Coordinates are (lon, lat)."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labels import geodesic
from labels.geodesic import EQUATORIAL_RADIUS_M, FLATTENING, POLAR_RADIUS_M

BBox = tuple[float, float, float, float]  # west, south, east, north

CELLS_PER_DEGREE = 100  # the MOSAIKS grid: 0.01 degree cells
MERCATOR_HALF_WIDTH_M = float(np.pi) * EQUATORIAL_RADIUS_M
MERCATOR_LIMIT_DEG = float(np.degrees(np.arctan(np.sinh(np.pi))))

# A coordinate this close to a cell edge, as a share of the cell, is on it: decimal degrees have no exact binary form
# (0.29 * 100 is 28.999999999999996). On the MOSAIKS grid it is a tenth of a millimetre.
EDGE_TOLERANCE = 1e-7

# --- distances and directions ----------------------------------------------------------------------------------------


def displacement_m(reported: ArrayLike, corrected: ArrayLike) -> NDArray[np.float64]:
    """Geodesic distance from reported to corrected points.

    Parameters
    ----------
    reported, corrected : array of shape (..., 2)
        Longitude and latitude, degrees, WGS84. One pair of points is allowed: shape (2,).

    Returns
    -------
    array of shape (...)
        Metres, never negative; 0 for coincident points. A scalar for one pair.

    Raises
    ------
    ValueError
        If the shapes differ or do not end in 2, a coordinate is not finite, or a latitude is outside [-90, 90].

    Notes
    -----
    Vincenty's formulas, and Karney's form of the problem near the antipode: see `labels.geodesic`. Against Karney's
    own code: within 0.01 mm below 1,000 km, 0.1 mm anywhere.
    """
    lon1, lat1 = _points(reported)
    lon2, lat2 = _points(corrected)
    if lon1.shape != lon2.shape:
        raise ValueError(f"reported and corrected points differ in shape: {lon1.shape} and {lon2.shape}")
    return geodesic.inverse(lon1, lat1, lon2, lat2)[0]


def bearing_deg(origin: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Direction in which the geodesic from origin to target sets out.

    Arguments, errors and source as for `displacement_m`.

    Returns
    -------
    array of shape (...)
        Degrees clockwise from north, in [0, 360). NaN where the points coincide: no direction is defined.
    """
    lon1, lat1 = _points(origin)
    lon2, lat2 = _points(target)
    if lon1.shape != lon2.shape:
        raise ValueError(f"origin and target points differ in shape: {lon1.shape} and {lon2.shape}")
    distance, azimuth = geodesic.inverse(lon1, lat1, lon2, lat2)
    # A tiny negative azimuth rounds to 360 under one modulo; the second brings it home to 0.
    return np.where(distance > 0, np.degrees(azimuth) % 360 % 360, np.nan)[()]


def destination(
    lon: ArrayLike, lat: ArrayLike, bearing: ArrayLike, distance_m: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a geodesic of a given direction and length ends.

    Parameters
    ----------
    lon, lat, bearing : arrays that broadcast together
        Degrees; the bearing clockwise from north.
    distance_m : array that broadcasts with them
        Metres, finite, not negative.

    Returns
    -------
    lon, lat : arrays of the broadcast shape
        Degrees, longitude in [-180, 180).

    Raises
    ------
    ValueError
        If a coordinate, bearing or distance is not finite, a latitude is outside [-90, 90], or a distance is negative.

    Notes
    -----
    Vincenty's direct solution: see `labels.geodesic`. Within 0.1 mm of Karney's up to 20,000 km.
    """
    lon, lat = _checked(lon, lat)
    azimuth, distance = np.radians(np.asarray(bearing, float)), np.asarray(distance_m, float)
    if not (np.isfinite(azimuth).all() and np.isfinite(distance).all() and (distance >= 0).all()):
        raise ValueError("a bearing must be finite, and a distance finite and not negative")
    return geodesic.direct(lon, lat, azimuth, distance)


def _points(points: ArrayLike):
    pairs = np.asarray(points, dtype=float)
    if pairs.ndim == 0 or pairs.shape[-1] != 2:
        raise ValueError(f"points have shape (..., 2), lon and lat; got {pairs.shape}")
    return _checked(pairs[..., 0], pairs[..., 1])


def _checked(lon: ArrayLike, lat: ArrayLike):
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise ValueError("a coordinate is missing or not finite")
    if (np.abs(lat) > 90).any():
        raise ValueError("a latitude is outside [-90, 90]; are longitude and latitude swapped?")
    return lon, lat


# --- the MOSAIKS grid ------------------------------------------------------------------------------------------------
# Cells of 0.01 degrees whose edges lie on whole hundredths, named for their centres, in longitudes [-180, 180). A cell
# holds its west and south edge; the north pole joins the last row. Rolf et al. (2021), doi:10.1038/s41467-021-24638-z.

_CELL_ID = re.compile(r"lon_(-?\d{1,3}\.\d\d5)__lat_(-?\d{1,2}\.\d\d5)")
_COLUMNS, _ROWS = 360 * CELLS_PER_DEGREE, 180 * CELLS_PER_DEGREE


def grid_cell_id(lon: float, lat: float) -> str:
    """Name of the grid cell that holds a point: 'lon_-0.125__lat_11.135'. Errors as for `grid_cell_ids`."""
    return str(grid_cell_ids([lon], [lat])[0])


def grid_cell_ids(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.str_]:
    """Names of the grid cells that hold points.

    Parameters
    ----------
    lon, lat : arrays of shape (n_points,)
        Degrees. A point within 1e-9 degrees of an edge is on it, and belongs to the cell east or north of it.

    Returns
    -------
    array of str, shape (n_points,)

    Raises
    ------
    ValueError
        If a coordinate is not finite, a longitude is outside [-180, 180] or a latitude outside [-90, 90].
    """
    columns, rows = _cell_indices(lon, lat, CELLS_PER_DEGREE)
    return np.array([_cell_name(column, row) for column, row in zip(columns, rows, strict=True)], dtype=np.str_)


def grid_cell_centre(cell_id: str) -> tuple[float, float]:
    """Lon and lat of a cell's centre, the floats nearest to x.xx5; ValueError if the name is not of a cell."""
    named = _CELL_ID.fullmatch(cell_id)
    lon, lat = map(float, named.groups()) if named else (np.nan, np.nan)
    if not (abs(lon) < 180 and abs(lat) < 90 and _cell_name(*_cell_index(lon, lat)) == cell_id):
        raise ValueError(f"not the name of a grid cell: {cell_id!r}")
    return lon, lat


def grid_cell_bounds(cell_id: str) -> BBox:
    """West, south, east and north edge of a cell, degrees; ValueError if the name is not of a cell."""
    column, row = _cell_index(*grid_cell_centre(cell_id))
    return tuple(edge / CELLS_PER_DEGREE for edge in (column, row, column + 1, row + 1))


def mosaiks_image_id(cell_id: str) -> str:
    """A cell as the MOSAIKS feature files write it: 'lat_8--505__lon_-11--995'; ValueError as `grid_cell_centre`."""
    lon, lat = grid_cell_centre(cell_id)
    return f"lat_{lat:.3f}__lon_{lon:.3f}".replace(".", "--")


def cell_centres_in_bounds(bounds: BBox) -> NDArray[np.float64]:
    """Centres of the cells that belong to a box: those whose centre it holds.

    Parameters
    ----------
    bounds : BBox
        Degrees. West and south edge are in, east and north edge out, so boxes side by side share no cell.

    Returns
    -------
    array of shape (n_cells, 2)
        Lon and lat, row by row from the south west; empty if the box holds no centre.

    Raises
    ------
    ValueError
        If the box is upside down or crosses the date line (west > east), or a corner is off the globe.
    """
    west, south, east, north = _checked_bounds(bounds)
    columns = np.arange(*_ceil_to_cell(np.array([west, east]) * CELLS_PER_DEGREE - 0.5))
    rows = np.arange(*_ceil_to_cell(np.array([south, north]) * CELLS_PER_DEGREE - 0.5))
    lon, lat = np.meshgrid(_middle(columns), _middle(rows))
    return np.column_stack([lon.ravel(), lat.ravel()])


def cells_in_bounds(bounds: BBox) -> list[str]:
    """Names of the cells that belong to a box; see `cell_centres_in_bounds`."""
    lon, lat = cell_centres_in_bounds(bounds).T
    return grid_cell_ids(lon, lat).tolist()


def cell_centres_in_areas(areas: Iterable[Sequence[ArrayLike]]) -> NDArray[np.float64]:
    """Centres of the cells that belong to areas: those whose centre an area holds.

    Parameters
    ----------
    areas : iterable of sequences of rings
        Each area as the rings of all its polygons, holes among them in any order; a ring has shape (n_points, 2), lon
        and lat in degrees, its first point repeated at the end. The polygons of one area do not overlap; areas may.

    Returns
    -------
    array of shape (n_cells, 2)
        Lon and lat, each cell once, row by row from the south west; empty if the areas hold no centre.

    Raises
    ------
    ValueError
        If a ring has another shape or is not closed, or a point is off the globe.

    Notes
    -----
    Even-odd rule along the line of each row's centres. A border on a centre counts as in `cell_centres_in_bounds`:
    west and south in, east and north out, so areas side by side share no cell and lose none between them.
    """
    keys = [_keys_in_rings(rings) for rings in areas]
    rows, columns = np.divmod(np.unique(np.concatenate([np.empty(0, np.int64), *keys])), _COLUMNS)
    return np.column_stack([_middle(columns - _COLUMNS // 2), _middle(rows - _ROWS // 2)])


def _keys_in_rings(rings: Sequence[ArrayLike]) -> NDArray[np.int64]:
    """Cells of one area, numbered row by row from the south west of the globe."""
    ends = (np.concatenate(parts) for parts in zip(*map(_edges, rings), strict=True))
    x0, y0, x1, y1 = (each * CELLS_PER_DEGREE - 0.5 for each in ends)  # centres of cells on whole numbers
    upward = y0 <= y1  # a border that two areas share is crossed at the same place, whichever way they go round
    x0, x1 = np.where(upward, x0, x1), np.where(upward, x1, x0)
    y0, y1 = np.minimum(y0, y1), np.maximum(y0, y1)

    edge, row = _ranges(_ceil_to_cell(y0), _ceil_to_cell(y1))
    share = np.clip((row - y0[edge]) / (y1 - y0)[edge], 0, 1)
    crossing = x0[edge] + share * (x1 - x0)[edge]
    order = np.lexsort([crossing, row])
    crossing, row = crossing[order], row[order]
    span, column = _ranges(_ceil_to_cell(crossing[::2]), _ceil_to_cell(crossing[1::2]))
    return (row[::2][span] + _ROWS // 2) * _COLUMNS + column + _COLUMNS // 2


def _edges(ring: ArrayLike) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    lon, lat = _points(ring)
    if lon.ndim != 1 or len(lon) < 4 or (lon[0], lat[0]) != (lon[-1], lat[-1]):
        raise ValueError("a ring has at least four points, the last of them the first")
    if (np.abs(lon) > 180).any():
        raise ValueError("a longitude is outside [-180, 180]")
    return lon[:-1], lat[:-1], lon[1:], lat[1:]


def _ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The whole numbers from each start to before its end, one after another, and which range each is of."""
    lengths = ends - starts
    of = np.repeat(np.arange(len(starts)), lengths)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[of]


def cells_touching_disc(lon: float, lat: float, radius_m: float) -> list[str]:
    """Names of the cells of which any part lies within a distance of a point, row by row from the south west.

    Parameters
    ----------
    lon, lat : float
        Centre of the disc, degrees.
    radius_m : float
        Metres, finite, not negative. At 0 the one cell that holds the point (and any it is on the edge of).

    Raises
    ------
    ValueError
        If the coordinate or radius is out of range, or the disc comes within a degree of a pole.

    Notes
    -----
    A cell counts by the geodesic distance to the point of it nearest in degrees, which is the nearest point on the
    ground to within a millimetre for 5 km discs near the equator and 2 m for 50 km discs at 60 degrees.
    """
    _cell_indices([lon], [lat], CELLS_PER_DEGREE)  # refuses a point off the globe
    if not (np.isfinite(radius_m) and radius_m >= 0):
        raise ValueError(f"a radius must be finite and not negative: {radius_m}")
    reach_lat = np.degrees(radius_m / (POLAR_RADIUS_M * (1 - FLATTENING)))  # the meridian curves most at the equator
    if abs(lat) + reach_lat > 89:
        raise ValueError("the disc comes too near a pole for a grid in degrees")
    reach_lon = np.degrees(np.arcsin(np.sin(np.radians(reach_lat)) / np.cos(np.radians(abs(lat) + reach_lat))))
    columns = _indices_around(lon, reach_lon)
    rows = _indices_around(lat, reach_lat)

    nearest_lon = np.clip(lon, columns / CELLS_PER_DEGREE, (columns + 1) / CELLS_PER_DEGREE)
    nearest_lat = np.clip(lat, rows / CELLS_PER_DEGREE, (rows + 1) / CELLS_PER_DEGREE)
    nearest = np.stack(np.meshgrid(nearest_lon, nearest_lat), axis=-1)
    touching = displacement_m(np.broadcast_to((lon, lat), nearest.shape), nearest) <= radius_m + 1e-4
    row_at, column_at = np.nonzero(touching)
    return [_cell_name(columns[i], rows[j]) for i, j in zip(column_at, row_at, strict=True)]


def snap(lon: ArrayLike, lat: ArrayLike, cell_deg: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points generalised to the centres of the fixed cells that hold them, so that repeating a release tells no more.

    Parameters
    ----------
    lon, lat : arrays of shape (n_points,)
        Degrees; edges are treated as on the MOSAIKS grid.
    cell_deg : float
        Side of a cell, degrees. Must go into 90 a whole number of times, so that all cells are alike.

    Returns
    -------
    lon, lat : arrays of shape (n_points,)
        Rounded to 1e-9 degrees.

    Raises
    ------
    ValueError
        If a point is off the globe (as for `grid_cell_ids`) or `cell_deg` does not divide 90.
    """
    cells = 90 / cell_deg if cell_deg > 0 else 0.0
    if cells < 1 or abs(cells - round(cells)) > EDGE_TOLERANCE:
        raise ValueError(f"cells of {cell_deg} degrees do not divide the globe evenly")
    columns, rows = _cell_indices(lon, lat, round(cells) / 90)
    return tuple(np.round((index + 0.5) * 90 / round(cells), 9) for index in (columns, rows))


def _cell_indices(lon: ArrayLike, lat: ArrayLike, cells_per_degree: float) -> tuple[NDArray, NDArray]:
    """Column and row of points on a grid of square cells, counted from (0, 0)."""
    lon, lat = _checked(lon, lat)
    if (np.abs(lon) > 180).any():
        raise ValueError("a longitude is outside [-180, 180]")
    last_row = round(90 * cells_per_degree) - 1
    columns = _floor_to_cell(lon * cells_per_degree)
    half_way = round(180 * cells_per_degree)
    columns = np.where(columns == half_way, -half_way, columns)
    return columns, np.minimum(_floor_to_cell(lat * cells_per_degree), last_row)


def _cell_index(lon: float, lat: float) -> tuple[int, int]:
    columns, rows = _cell_indices([lon], [lat], CELLS_PER_DEGREE)
    return int(columns[0]), int(rows[0])


def _floor_to_cell(scaled: NDArray[np.float64]) -> NDArray[np.int64]:
    """Floor, except that a number a hair below a whole one is that whole number."""
    return np.floor(scaled + EDGE_TOLERANCE).astype(np.int64)


def _ceil_to_cell(scaled: NDArray[np.float64]) -> NDArray[np.int64]:
    """Ceiling, except that a number a hair above a whole one is that whole number."""
    return -_floor_to_cell(-scaled)


def _indices_around(coordinate: float, reach_deg: float) -> NDArray[np.int64]:
    """Indices of the cells within a reach of a coordinate, and one more on either side."""
    low, high = np.floor(np.array([coordinate - reach_deg, coordinate + reach_deg]) * CELLS_PER_DEGREE)
    return np.arange(int(low) - 1, int(high) + 2)


def _middle(index):
    return (2 * index + 1) / (2 * CELLS_PER_DEGREE)


def _cell_name(column: int, row: int) -> str:
    column = (column + _COLUMNS // 2) % _COLUMNS - _COLUMNS // 2
    return f"lon_{_middle(column):.3f}__lat_{_middle(row):.3f}"


def _checked_bounds(bounds: BBox) -> BBox:
    west, south, east, north = bounds
    _checked([west, east], [south, north])
    if not (-180 <= west <= east <= 180 and south <= north):
        raise ValueError(f"not west, south, east, north in degrees: {bounds}")
    return west, south, east, north


# --- web map tiles ---------------------------------------------------------------------------------------------------
# Tiles are (z, x, y), y growing southward (OGC WebMercatorQuad). Latitudes end at MERCATOR_LIMIT_DEG, 85.0511.


def tile_of(lon: float, lat: float, z: int) -> tuple[int, int, int]:
    """The tile (z, x, y) that holds a point; a point on an edge is in the tile east or south of it.

    Raises ValueError if the zoom is outside [0, 30], the longitude outside [-180, 180] or the latitude beyond the
    tiled world.
    """
    _checked([lon], [lat])
    if abs(lon) > 180 or abs(lat) > MERCATOR_LIMIT_DEG + 1e-9:
        raise ValueError(f"no tile holds lon {lon}, lat {lat}")
    n = _tiles_across(z)
    x = (lon / 360 + 0.5) * n
    y = (0.5 - np.arcsinh(np.tan(np.radians(lat))) / (2 * np.pi)) * n
    return z, *(int(np.clip(np.floor(place), 0, n - 1)) for place in (x, y))


def tile_bounds(z: int, x: int, y: int) -> BBox:
    """West, south, east and north edge of a tile, degrees; ValueError if there is no such tile."""
    _, south_m, _, north_m = tile_bounds_m(z, x, y)
    south, north = (np.degrees(np.arctan(np.sinh(edge / EQUATORIAL_RADIUS_M))) for edge in (south_m, north_m))
    n = _tiles_across(z)
    return 360 * x / n - 180, float(south), 360 * (x + 1) / n - 180, float(north)


def tile_bounds_m(z: int, x: int, y: int) -> BBox:
    """West, south, east and north edge of a tile in EPSG:3857, metres; ValueError if there is no such tile."""
    n = _tiles_across(z)
    if not (0 <= x < n and 0 <= y < n):
        raise ValueError(f"no tile {z}/{x}/{y}")
    side = 2 * MERCATOR_HALF_WIDTH_M / n
    west, north = side * x - MERCATOR_HALF_WIDTH_M, MERCATOR_HALF_WIDTH_M - side * y
    east, south = side * (x + 1) - MERCATOR_HALF_WIDTH_M, MERCATOR_HALF_WIDTH_M - side * (y + 1)
    return west, south, east, north


def ground_resolution_m(lat: float, z: int, tile_px: int = 256) -> float:
    """Metres on the ground to one pixel of a tile at a latitude (on the sphere: true to 0.7 % on WGS84).

    Raises ValueError if the zoom is outside [0, 30] or the latitude outside [-90, 90].
    """
    _checked([0.0], [lat])
    return float(2 * MERCATOR_HALF_WIDTH_M * np.cos(np.radians(lat)) / (tile_px * _tiles_across(z)))


def _tiles_across(z: int) -> int:
    if not 0 <= z <= 30:
        raise ValueError(f"a zoom is between 0 and 30: {z}")
    return 2**z
