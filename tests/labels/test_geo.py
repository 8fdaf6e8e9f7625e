import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from labels import geo

lons = st.floats(-180, 180, allow_nan=False)
lats = st.floats(-90, 90, allow_nan=False)
points = st.tuples(lons, lats)
low_points = st.tuples(lons, st.floats(-60, 60))

# lat1, lon1, azi1, lat2, lon2, s12: from GeographicLib's own test set (geodtest, C. Karney, MIT licence).
GEOGRAPHICLIB = [
    (35.60777, -139.44815, 111.098748429560326, -11.17491, -69.95921, 8935244.5604818305),
    (55.52454, 106.05087, 22.020059880982801, 77.03196, 197.18234, 4105086.1713924406),
    (-21.97856, 142.59065, -32.44456876433189, 41.84138, 98.56635, 8394328.894657671),
    (-66.99028, 112.2363, 173.73491240878403, -12.70631, 285.90344, 11150344.2312080241),
    (-17.42761, 173.34268, -159.033557661192928, -15.84784, 5.93557, 16076603.1631180673),
]


class TestDisplacement:
    @pytest.mark.parametrize(("lat1", "lon1", "azimuth", "lat2", "lon2", "expected"), GEOGRAPHICLIB)
    def test_it_agrees_with_geographiclib(self, lat1, lon1, azimuth, lat2, lon2, expected):
        start, end = (lon1, lat1), (lon2, lat2)
        assert geo.displacement_m(start, end) == pytest.approx(expected, abs=1e-4)
        assert geo.bearing_deg(start, end) == pytest.approx(azimuth % 360, abs=1e-8)

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            ((0, -30), (179.8, 29.9), 19989832.827610),  # Karney (2013), Table 5
            ((0, 0), (179.5, 0), 19980861.9088909),
            ((0, 0), (180, 0), 20003931.4586254),
            ((0, 0), (180, 1), 19893357.0700676),
            ((0, 90), (33, -90), 20003931.4586254),
            ((0, 56.320923501171), (179.664747671772880215, -56.320923501171), 19993558.287),  # GeodSolve9
            ((0, 88.202499451857), (179.981022032992859592, -88.202499451857), 20003898.214),  # GeodSolve6
        ],
    )
    def test_it_is_right_near_the_antipode(self, start, end, expected):
        assert geo.displacement_m(start, end) == pytest.approx(expected, abs=1e-3)

    def test_bearing_is_right_near_the_antipode(self):
        assert geo.bearing_deg((0, -30), (179.8, 29.9)) == pytest.approx(161.890524736, abs=1e-6)
        assert geo.bearing_deg((179.8, 29.9), (0, -30)) == pytest.approx(360 - 161.909262754, abs=1e-6)
        assert geo.bearing_deg((0, -30), (-179.8, 29.9)) == pytest.approx(360 - 161.890524736, abs=1e-6)

    def test_it_agrees_with_proj(self):
        pyproj = pytest.importorskip("pyproj")
        rng = np.random.default_rng(20240601)
        lon, lat = rng.uniform(-180, 180, 20_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
        length, azimuth = 10 ** rng.uniform(-2, 6, lon.size), rng.uniform(0, 360, lon.size)
        lon2, lat2, _ = map(np.asarray, pyproj.Geod(ellps="WGS84").fwd(lon, lat, azimuth, length))
        here, there = np.column_stack([lon, lat]), np.column_stack([lon2, lat2])
        assert np.abs(geo.displacement_m(here, there) - length).max() < 1e-5
        assert np.abs((geo.bearing_deg(here, there) - azimuth + 180) % 360 - 180)[length > 1].max() < 1e-6
        reached = np.column_stack(geo.destination(lon, lat, azimuth, length))
        assert geo.displacement_m(reached, there).max() < 1e-5
        antipode = np.column_stack([lon2 + 180, -lat2])
        expected = pyproj.Geod(ellps="WGS84").inv(*here.T, *antipode.T)[2]
        assert np.abs(geo.displacement_m(here, antipode) - expected).max() < 1e-4

    def test_a_degree_is_shorter_east_of_accra_than_north_of_it(self):
        """West of Greenwich, lon unlike lat: a swap of the axes would show."""
        assert geo.displacement_m((-1.0, 7.0), (0.0, 7.0)) == pytest.approx(110_495.2045, abs=1e-4)
        assert geo.displacement_m((-1.0, 7.0), (-1.0, 8.0)) == pytest.approx(110_593.2227, abs=1e-4)

    @given(points, points)
    def test_it_is_symmetric(self, a, b):
        there, back = geo.displacement_m([a, b], [b, a])
        assert there == pytest.approx(back, abs=1e-5)
        assert 0 <= there <= 20_003_931.4587

    @given(points, points, points)
    def test_a_detour_is_never_shorter(self, a, b, c):
        ab, bc, ac = geo.displacement_m([a, b, a], [b, c, c])
        assert ac <= ab + bc + 1e-3

    @given(low_points, st.floats(0, 360, exclude_max=True), st.floats(0.01, 1e6))
    def test_destination_undoes_it(self, start, bearing, distance):
        end = geo.destination(*start, bearing, distance)
        assert geo.displacement_m(start, end) == pytest.approx(distance, abs=1e-5)
        turn = (geo.bearing_deg(start, end) - bearing + 180) % 360 - 180
        assert abs(turn) * distance < 1e-3

    def test_a_point_is_at_no_distance_and_in_no_direction_from_itself(self):
        assert geo.displacement_m((28.5, -11.2), (28.5, -11.2)) == 0
        assert np.isnan(geo.bearing_deg((28.5, -11.2), (28.5, -11.2)))

    def test_destination_knows_the_published_direct_problem(self):
        """Karney (2013), Table 2: 10,000 km from 40 N on bearing 30."""
        lon, lat = geo.destination(0, 40, 30, 1e7)
        assert (lon, lat) == pytest.approx((137.84490004377, 41.79331020506), abs=1e-9)

    def test_it_keeps_the_shape_of_what_it_gets(self):
        assert np.ndim(geo.displacement_m((1, 2), (3, 4))) == 0
        assert geo.displacement_m(np.zeros((3, 2)), np.ones((3, 2))).shape == (3,)
        assert geo.displacement_m(np.empty((0, 2)), np.empty((0, 2))).shape == (0,)

    @pytest.mark.parametrize(
        ("reported", "corrected"),
        [((0, 91), (0, 0)), ((np.nan, 0), (0, 0)), ((0, 0), [(0, 0), (0, 0)]), ((0, 0, 0), (0, 0, 0))],
    )
    def test_it_refuses_what_is_no_pair_of_points(self, reported, corrected):
        with pytest.raises(ValueError):
            geo.displacement_m(reported, corrected)

    @pytest.mark.parametrize(("bearing", "distance"), [(np.nan, 1), (0, -1), (0, np.inf)])
    def test_destination_refuses_what_is_no_course(self, bearing, distance):
        with pytest.raises(ValueError):
            geo.destination(0, 0, bearing, distance)


class TestGrid:
    @pytest.mark.parametrize(
        ("lon", "lat", "cell"),
        [
            (-0.1234, 11.1399, "lon_-0.125__lat_11.135"),  # the example of the MOSAIKS notebooks
            (-11.991, 8.509, "lon_-11.995__lat_8.505"),
            (25.47, -10.71, "lon_25.475__lat_-10.705"),  # south of the equator: an edge, then an edge
            (0.29, -1.1, "lon_0.295__lat_-1.095"),  # 0.29 * 100 and -1.1 * 100 both fall just short
            (-1.1, 0.29, "lon_-1.095__lat_0.295"),
            (0.0, -0.0, "lon_0.005__lat_0.005"),
            (-1e-5, -1e-5, "lon_-0.005__lat_-0.005"),
            (-1e-12, 0.0, "lon_0.005__lat_0.005"),  # rounding noise, not a place west of Greenwich
            (-180, -90, "lon_-179.995__lat_-89.995"),
            (180, 90, "lon_-179.995__lat_89.995"),  # the date line has one name, the pole a row
        ],
    )
    def test_a_point_has_a_cell(self, lon, lat, cell):
        assert geo.grid_cell_id(lon, lat) == cell

    def test_every_edge_belongs_to_the_cell_east_and_north_of_it(self):
        index = np.arange(-8999, 8999)
        edges = np.array([float(f"{i / 100:.2f}") for i in index])
        ids = geo.grid_cell_ids(edges, edges)
        expected = np.array([f"lon_{(2 * i + 1) / 200:.3f}__lat_{(2 * i + 1) / 200:.3f}" for i in index])
        assert (ids == expected).all()

    @given(st.integers(-18000, 17999), st.integers(-9000, 8999))
    def test_a_centre_names_its_own_cell(self, column, row):
        lon, lat = (2 * column + 1) / 200, (2 * row + 1) / 200
        cell = geo.grid_cell_id(lon, lat)
        assert cell == f"lon_{lon:.3f}__lat_{lat:.3f}"
        assert geo.grid_cell_centre(cell) == (lon, lat)
        west, south, east, north = geo.grid_cell_bounds(cell)
        assert west < lon < east and south < lat < north

    @given(points)
    def test_a_cell_holds_its_point(self, point):
        assume(point[0] < 180 - 1e-9)  # the date line goes by its western name
        west, south, east, north = geo.grid_cell_bounds(geo.grid_cell_id(*point))
        assert west - 1e-9 <= point[0] <= east and south - 1e-9 <= point[1] <= north

    def test_bounds_are_the_hundredths_themselves(self):
        assert geo.grid_cell_bounds("lon_-0.125__lat_11.135") == (-0.13, 11.13, -0.12, 11.14)

    @pytest.mark.parametrize(
        "name",
        [
            "lon_-0.120__lat_11.135",
            "lon_-0.125",
            "lon_180.005__lat_0.005",
            "lon_0.005__lat_90.005",
            "lon_-0.125__lat_11.135 ",
        ],
    )
    def test_what_is_no_cell_is_refused(self, name):
        with pytest.raises(ValueError):
            geo.grid_cell_centre(name)

    @pytest.mark.parametrize(("lon", "lat"), [(180.1, 0), (0, -90.1), (np.nan, 0), (7.0, 200.0)])
    def test_a_point_off_the_globe_has_no_cell(self, lon, lat):
        with pytest.raises(ValueError):
            geo.grid_cell_id(lon, lat)

    def test_feature_files_write_cells_their_own_way(self):
        assert geo.mosaiks_image_id("lon_-11.995__lat_8.505") == "lat_8--505__lon_-11--995"
        assert geo.mosaiks_image_id("lon_-0.005__lat_-0.005") == "lat_-0--005__lon_-0--005"

    def test_a_box_holds_the_cells_whose_centre_it_holds(self):
        assert geo.cells_in_bounds((-0.01, 8.5, 0.014, 8.51)) == ["lon_-0.005__lat_8.505", "lon_0.005__lat_8.505"]
        assert geo.cell_centres_in_bounds((-0.01, 8.5, 0.014, 8.51)).tolist() == [[-0.005, 8.505], [0.005, 8.505]]
        assert geo.cells_in_bounds((0.001, 0.001, 0.002, 0.002)) == []
        assert geo.cells_in_bounds((0.005, 0.005, 0.015, 0.015)) == ["lon_0.005__lat_0.005"]  # west and south are in

    @given(st.integers(-300, 300), st.integers(1, 40), st.integers(1, 40))
    def test_boxes_side_by_side_share_no_cell(self, south, split, width):
        """The split falls on centres (odd) and on edges (even) alike."""
        west, south = -0.3, south / 200
        middle, east = west + split / 200, west + (split + width) / 200
        left = geo.cells_in_bounds((west, south, middle, south + 0.02))
        right = geo.cells_in_bounds((middle, south, east, south + 0.02))
        assert sorted(left + right) == sorted(geo.cells_in_bounds((west, south, east, south + 0.02)))

    @pytest.mark.parametrize("box", [(1, 0, 0, 1), (0, 1, 1, 0), (170, 0, 190, 1), (0, 0, np.nan, 1)])
    def test_what_is_no_box_is_refused(self, box):
        with pytest.raises(ValueError):
            geo.cells_in_bounds(box)


def box(west, south, east, north):
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


class TestCellsInAreas:
    def names(self, *areas):
        return geo.grid_cell_ids(*geo.cell_centres_in_areas(areas).T).tolist()

    @given(st.integers(-300, 300), st.integers(-300, 300), st.integers(1, 40), st.integers(1, 40))
    def test_a_box_holds_the_same_cells_either_way(self, west, south, width, height):
        """Its edges fall on centres (odd) and on edges of cells (even) alike."""
        bounds = (west / 200, south / 200, (west + width) / 200, (south + height) / 200)
        assert geo.cell_centres_in_areas([[box(*bounds)]]).tolist() == geo.cell_centres_in_bounds(bounds).tolist()

    @given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3, max_size=3), st.floats(0, 1))
    def test_areas_side_by_side_share_no_cell_and_lose_none(self, corners, split):
        """A triangle cut from a corner to the opposite side."""
        a, b, c = corners
        d = (b[0] + split * (c[0] - b[0]), b[1] + split * (c[1] - b[1]))
        whole = [[a, b, d, c, a]]
        left, right = [[a, b, d, a]], [[a, c, d, a]]
        together = sorted(self.names(left) + self.names(right))
        assert together == sorted(self.names(whole))

    def test_it_agrees_with_geos_on_a_crooked_area_with_a_hole(self):
        from django.contrib.gis.geos import Point, Polygon

        rng = np.random.default_rng(7)
        angles, radii = np.sort(rng.uniform(0, 2 * np.pi, 90)), rng.uniform(0.3, 1, 90)
        star = np.column_stack([-10.7 + 1.3 * radii * np.cos(angles), -3.2 + radii * np.sin(angles)])
        rings = [np.vstack([star, star[:1]]), np.array(box(-10.75, -3.24, -10.62, -3.15))]
        area = Polygon(*[ring.tolist() for ring in rings])
        candidates = geo.cell_centres_in_bounds((-12.1, -4.3, -9.3, -2.1))
        inside = [area.contains(Point(*centre)) for centre in candidates.tolist()]
        assert geo.cell_centres_in_areas([rings]).tolist() == candidates[inside].tolist()

    def test_areas_that_overlap_give_each_cell_once(self):
        assert self.names([box(0, 0, 0.02, 0.01)], [box(0.01, 0, 0.03, 0.01)]) == [
            "lon_0.005__lat_0.005",
            "lon_0.015__lat_0.005",
            "lon_0.025__lat_0.005",
        ]

    def test_no_area_and_a_tiny_one_hold_none(self):
        assert geo.cell_centres_in_areas([]).shape == (0, 2)
        assert geo.cell_centres_in_areas([[box(0.001, 0.001, 0.002, 0.002)]]).shape == (0, 2)

    def test_the_last_cell_before_the_date_line_is_there(self):
        assert self.names([box(179.985, -0.01, 180, 0)]) == ["lon_179.985__lat_-0.005", "lon_179.995__lat_-0.005"]

    @pytest.mark.parametrize(
        "ring", [[(0, 0), (1, 0), (1, 1)], [(0, 0), (1, 0), (1, 1), (0, 1)], box(170, 0, 190, 1), box(0, 0, 1, 91)]
    )
    def test_what_is_no_ring_is_refused(self, ring):
        with pytest.raises(ValueError):
            geo.cell_centres_in_areas([[ring]])


class TestCellsTouchingADisc:
    def test_a_disc_of_no_size_touches_one_cell_or_four_at_a_corner(self):
        assert geo.cells_touching_disc(-11.993, 8.504, 0) == ["lon_-11.995__lat_8.505"]
        assert len(geo.cells_touching_disc(-11.99, 8.51, 0)) == 4
        assert len(geo.cells_touching_disc(-0.125, -1.1, 0)) == 2

    @given(st.tuples(st.floats(-170, 170), st.floats(-40, 40)), st.floats(0, 6000), st.integers(0, 2**32 - 1))
    def test_it_holds_the_cell_of_every_point_of_the_disc(self, centre, radius, seed):
        rng = np.random.default_rng(seed)
        lon, lat = geo.destination(*centre, rng.uniform(0, 360, 40), radius * np.sqrt(rng.uniform(0, 1, 40)))
        assert set(geo.grid_cell_ids(lon, lat)) <= set(geo.cells_touching_disc(*centre, radius))

    def test_it_holds_no_cell_that_the_disc_misses(self):
        """Against a fine sampling of the edges of the cells around; cells within a metre of the rim are left out."""
        centre, radius = (25.4712, -10.7129), 5000
        touched = set(geo.cells_touching_disc(*centre, radius)) - {geo.grid_cell_id(*centre)}
        side = np.linspace(0, 0.01, 101)
        along, across = np.r_[side, side, 0 * side, 0 * side + 0.01], np.r_[0 * side, 0 * side + 0.01, side, side]
        middles = geo.cell_centres_in_bounds((25.4, -10.8, 25.55, -10.65))
        edges = (middles - 0.005)[:, None, :] + np.column_stack([along, across])
        nearest = geo.displacement_m(np.broadcast_to(centre, edges.shape), edges).min(axis=1)
        cells = geo.grid_cell_ids(*middles.T)
        assert set(cells[(nearest < radius - 1)]) - {geo.grid_cell_id(*centre)} <= touched
        assert touched <= set(cells[(nearest < radius + 1)])

    def test_it_crosses_the_date_line(self):
        cells = geo.cells_touching_disc(179.999, 10.005, 500)
        assert cells == ["lon_179.995__lat_10.005", "lon_-179.995__lat_10.005"]

    @pytest.mark.parametrize(("lon", "lat", "radius"), [(0, 88.9, 20_000), (0, 0, -1), (0, 0, np.nan), (181, 0, 1)])
    def test_it_refuses_what_is_no_disc(self, lon, lat, radius):
        with pytest.raises(ValueError):
            geo.cells_touching_disc(lon, lat, radius)


class TestTiles:
    def test_it_agrees_with_morecantile(self):
        morecantile = pytest.importorskip("morecantile")
        matrix = morecantile.tms.get("WebMercatorQuad")
        for lon, lat, z in [(-11.995, 8.505, 14), (25.47, -10.71, 18), (-0.001, 0.001, 3), (0, 0, 0), (179.99, -85, 9)]:
            tile = matrix.tile(lon, lat, z)
            assert geo.tile_of(lon, lat, z) == (z, tile.x, tile.y)
            assert geo.tile_bounds(z, tile.x, tile.y) == pytest.approx(tuple(matrix.bounds(tile)), abs=1e-9)
            assert geo.tile_bounds_m(z, tile.x, tile.y) == pytest.approx(tuple(matrix.xy_bounds(tile)), abs=1e-3)

    @given(lons, st.floats(-85, 85), st.integers(0, 22))
    def test_a_tile_holds_its_point(self, lon, lat, z):
        west, south, east, north = geo.tile_bounds(*geo.tile_of(lon, lat, z))
        assert west - 1e-9 <= lon <= east and south - 1e-9 <= lat <= north + 1e-9

    @given(st.integers(1, 20), st.data())
    def test_the_middle_of_a_tile_is_in_it(self, z, data):
        x, y = (data.draw(st.integers(0, 2**z - 1)) for _ in "xy")
        west, south, east, north = geo.tile_bounds(z, x, y)
        assert geo.tile_of((west + east) / 2, (south + north) / 2, z) == (z, x, y)

    def test_the_corners_of_the_tiled_world_are_in_the_corner_tiles(self):
        assert geo.tile_of(-180, geo.MERCATOR_LIMIT_DEG, 4) == (4, 0, 0)
        assert geo.tile_of(180, -geo.MERCATOR_LIMIT_DEG, 4) == (4, 15, 15)
        assert geo.tile_bounds(0, 0, 0) == pytest.approx((-180, -85.0511287798, 180, 85.0511287798))

    def test_a_pixel_covers_less_ground_away_from_the_equator(self):
        assert geo.ground_resolution_m(0, 0) == pytest.approx(156543.0339, abs=1e-4)
        assert geo.ground_resolution_m(-60, 1) == pytest.approx(156543.0339 / 4, abs=1e-4)
        assert geo.ground_resolution_m(8.5, 17, tile_px=512) == pytest.approx(0.5906, abs=1e-4)

    def test_there_are_no_tiles_beyond_the_world(self):
        for bad in [lambda: geo.tile_of(0, 86, 3), lambda: geo.tile_of(181, 0, 3), lambda: geo.tile_of(0, 0, 31)]:
            with pytest.raises(ValueError):
                bad()
        with pytest.raises(ValueError):
            geo.tile_bounds(2, 4, 0)


class TestSnap:
    @given(points)
    def test_at_a_hundredth_it_gives_the_grid_cell(self, point):
        lon, lat = geo.snap([point[0]], [point[1]], 0.01)
        assert (lon[0], lat[0]) == pytest.approx(geo.grid_cell_centre(geo.grid_cell_id(*point)), abs=1e-9)

    @given(points, st.sampled_from([0.05, 0.1, 0.25, 1 / 60, 1.0, 10.0]))
    def test_snapping_twice_moves_nothing(self, point, cell_deg):
        once = geo.snap([point[0]], [point[1]], cell_deg)
        assert np.array_equal(geo.snap(*once, cell_deg), once)

    def test_all_points_of_a_cell_become_one(self):
        lon, lat = geo.snap([-11.99, -11.91, -11.9], [8.5, 8.59, 8.59], 0.1)
        assert lon.tolist() == [-11.95, -11.95, -11.85] and lat.tolist() == [8.55] * 3

    @pytest.mark.parametrize("cell_deg", [0, -1, 0.07, 91, np.nan])
    def test_it_refuses_cells_that_do_not_fit_the_globe(self, cell_deg):
        with pytest.raises(ValueError):
            geo.snap([0], [0], cell_deg)
