"""Numbers of grid cells as a GeoTIFF that other programs open well, and back. Knows no database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from labels.geo import CELLS_PER_DEGREE

BLOCK = 256  # rows and columns; also the rows that are in memory at once
MAX_EXTENT = 400_000_000  # pixels of a map: cells far apart make a large one that is mostly empty
# Whatever they were before, the files of equal numbers are equal: nothing of the day or the machine is in them.
PROFILE = {
    "driver": "GTiff",
    "crs": "EPSG:4326",
    "dtype": "float32",
    "nodata": float("nan"),
    "tiled": True,
    "blockxsize": BLOCK,
    "blockysize": BLOCK,
    "compress": "deflate",
    "zlevel": 6,
    "predictor": 3,
    "interleave": "band",
    "sparse_ok": True,
}


@dataclass(frozen=True)
class Extent:
    """The rectangle of grid cells that a map covers; columns from the west, rows from the north."""

    column: int  # of the westernmost cells on the grid
    row: int  # of the northernmost
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        # Divided, not multiplied: 0.01 has no exact binary form, and edges would drift.
        west, north = self.column / CELLS_PER_DEGREE, (self.row + 1) / CELLS_PER_DEGREE
        return Affine(1 / CELLS_PER_DEGREE, 0, west, 0, -1 / CELLS_PER_DEGREE, north)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north, degrees."""
        edges = (self.column, self.row - self.height + 1, self.column + self.width, self.row + 1)
        return tuple(edge / CELLS_PER_DEGREE for edge in edges)


@dataclass(frozen=True)
class Band:
    description: str
    values: NDArray[np.float32]  # (n_cells,); nan where there is none


def extent_of(cells: NDArray[np.int32]) -> Extent:
    """The smallest rectangle that holds the cells, shape (n, 2); ValueError if there are none, or far too wide."""
    if not len(cells):
        raise ValueError("there are no cells to draw")
    (west, south), (east, north) = cells.min(axis=0).tolist(), cells.max(axis=0).tolist()
    found = Extent(west, north, east - west + 1, north - south + 1)
    if found.width * found.height > MAX_EXTENT:
        raise ValueError(f"the cells lie {found.width} columns and {found.height} rows apart: too wide for one map")
    return found


def write_raster(
    path: Path, cells: NDArray[np.int32], bands: Sequence[Band], *, check: Callable[[], None] = lambda: None
) -> None:
    """Write numbers of grid cells as a GeoTIFF of 0.01 degrees in EPSG:4326.

    Parameters
    ----------
    path : Path
    cells : int array of shape (n_cells, 2)
        Column and row on the MOSAIKS grid, each cell once, sorted by row from the north.
    bands : sequence of Band
        The first is what a program shows by itself.
    check : callable
        Called between blocks of rows; may raise to stop.

    Raises
    ------
    ValueError
        If there are no cells, they are not sorted by row, or they lie too far apart for one file.

    Notes
    -----
    float32, nan is no data, blocks of 256 by 256, each band by itself. At most BLOCK rows of the map are in memory.
    """
    cells = np.asarray(cells)
    extent = extent_of(cells)
    lines = extent.row - cells[:, 1].astype(np.int64)
    if (np.diff(lines) < 0).any():
        raise ValueError("cells are sorted by row from the north")
    columns = cells[:, 0].astype(np.int64) - extent.column
    size = {"width": extent.width, "height": extent.height, "count": len(bands), "transform": extent.transform}
    with rasterio.open(path, "w", **PROFILE | size) as dataset:
        _describe(dataset, bands)
        for top in range(0, extent.height, BLOCK):
            check()
            height = min(BLOCK, extent.height - top)
            first, last = np.searchsorted(lines, [top, top + height])
            if first == last:
                continue
            place = (lines[first:last] - top, columns[first:last])
            for number, band in enumerate(bands, start=1):
                block = np.full((height, extent.width), np.nan, dtype=np.float32)
                block[place] = band.values[first:last]
                dataset.write(block, number, window=Window(0, top, extent.width, height))


def _describe(dataset, bands: Sequence[Band]) -> None:
    dataset.update_tags(AREA_OR_POINT="Area")
    dataset.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * (len(bands) - 1)
    for number, band in enumerate(bands, start=1):
        dataset.set_band_description(number, band.description)
        dataset.update_tags(number, **_statistics(band.values))


def _statistics(values: NDArray[np.float32]) -> dict[str, str]:
    """As GDAL keeps them: programs then stretch colours without reading the file; empty where there is no number."""
    known = values[np.isfinite(values)].astype(np.float64)
    if not known.size:
        return {}
    found = {"MINIMUM": known.min(), "MAXIMUM": known.max(), "MEAN": known.mean(), "STDDEV": known.std()}
    share = {"VALID_PERCENT": f"{100 * known.size / values.size:.4g}"}
    return {
        f"STATISTICS_{name}": text for name, text in ({k: repr(float(v)) for k, v in found.items()} | share).items()
    }


# ---- colours for QGIS ----

# As tokens.css: below the threshold blue-grey, above it magenta.
LOW, MID, ABOVE, HIGH = "#eef0ee", "#5c80a6", "#a8186f", "#5f0a3f"


def qgis_style(low: float, threshold: float, high: float, words: Sequence[str]) -> str:
    """A QGIS style (.qml) for the first band: one ramp up to the threshold, another from it on.

    QGIS takes the file of the map's name beside it by itself. `words` name the lowest colour, the threshold's, the
    highest.
    """
    low, high = min(low, threshold), max(high, threshold)
    just_below = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
    stops = [(low, LOW, words[0]), (just_below, MID, ""), (threshold, ABOVE, words[1]), (high, HIGH, words[2])]
    items = "\n".join(
        f'          <item value="{value!r}" color="{colour}" alpha="255" label={quoteattr(label or f"{value:.3g}")}/>'
        for value, colour, label in stops
    )
    return QML.format(low=repr(low), high=repr(high), items=items)


QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" classificationMin="{low}" \
classificationMax="{high}" nodataColor="">
      <rasterTransparency/>
      <minMaxOrigin><limits>None</limits><extent>WholeRaster</extent><statAccuracy>Exact</statAccuracy></minMaxOrigin>
      <rastershader>
        <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" minimumValue="{low}" \
maximumValue="{high}">
{items}
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>
    <rasterresampler maxOversampling="2" zoomedOutResampler="" zoomedInResampler=""/>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
"""
