"""Tiny rasters built in code: asymmetrical on purpose, so that a swapped axis or sign cannot pass."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.warp import transform

# West of Greenwich, south of the equator, no two numbers alike.
LON, LAT = -60.127, -5.213
WIDTH, HEIGHT = 61, 43  # pixels


def geotransform(crs: str, pixel: tuple[float, float], lon: float = LON, lat: float = LAT) -> Affine:
    """North-up pixels of the size (width, height) in units of the CRS, with their north-west corner at the place."""
    (x,), (y,) = transform(CRS.from_epsg(4326), CRS.from_string(crs), [lon], [lat])
    return Affine(pixel[0], 0, x, 0, -pixel[1], y)


def colours(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Three smooth bands that tell every direction: red grows eastward, green southward, blue is even."""
    red = np.tile(np.linspace(30, 220, width), (height, 1))
    green = np.tile(np.linspace(40, 200, height)[:, None], (1, width))
    return np.stack([red, green, np.full((height, width), 90)]).round().astype("uint8")


def write(
    path: Path,
    bands: np.ndarray,
    *,
    crs: str | None = "EPSG:4326",
    pixel: tuple[float, float] = (0.0007, 0.0004),
    place: Affine | None = None,
    roles: list[ColorInterp] | None = None,
    mask: np.ndarray | None = None,
    tags: dict[str, str] | None = None,
    **profile,
) -> Path:
    """A GeoTIFF of the bands (bands, height, width)."""
    if crs:
        profile |= {"crs": crs, "transform": place or geotransform(crs, pixel)}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=bands.shape[0],
            height=bands.shape[1],
            width=bands.shape[2],
            dtype=bands.dtype,
            **profile,
        ) as dataset,
    ):
        if roles:
            dataset.colorinterp = roles
        dataset.write(bands)
        dataset.update_tags(**tags or {})
        if mask is not None:
            dataset.write_mask(mask)
    return path


def picture(folder: Path, name: str = "picture.tif", **options) -> Path:
    """A plain colour picture, with pixels that are not square."""
    return write(folder / name, colours(), **options)


RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def with_hole(hole: tuple[slice, slice] = (slice(0, 12), slice(0, 20))) -> np.ndarray:
    """Where `colours` has data when its north-west corner is missing."""
    shown = np.ones((HEIGHT, WIDTH), dtype=bool)
    shown[hole] = False
    return shown


def flood(path: Path) -> Path:
    """A small file that claims 200,000 x 200,000 x 3 pixels."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=200_000,
        height=200_000,
        count=3,
        dtype="uint8",
        crs="EPSG:4326",
        transform=Affine(1e-5, 0, -11, 0, -1e-5, 7),
        tiled=True,
        blockxsize=4096,
        blockysize=4096,
        sparse_ok=True,
        bigtiff="YES",
    ):
        pass
    return path


def vrt_that_reads(path: Path, secret: Path) -> Path:
    """A VRT named .tif whose pixels are the bytes of another file."""
    path.write_text(
        f"""<VRTDataset rasterXSize="8" rasterYSize="8"><SRS>EPSG:4326</SRS>
<GeoTransform>-11, 0.001, 0, 7, 0, -0.001</GeoTransform>
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativetoVRT="0">{secret}</SourceFilename><ImageOffset>0</ImageOffset>
<PixelOffset>1</PixelOffset><LineOffset>8</LineOffset></VRTRasterBand></VRTDataset>"""
    )
    return path


def wms_that_asks(path: Path, port: int) -> Path:
    """A description of a tile service named .tif: opening it makes a request."""
    path.write_text(
        f"""<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:{port}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service>
<DataWindow><UpperLeftX>-20037508.34</UpperLeftX><UpperLeftY>20037508.34</UpperLeftY><LowerRightX>20037508.34</LowerRightX>
<LowerRightY>-20037508.34</LowerRightY><TileLevel>3</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY>
<YOrigin>top</YOrigin></DataWindow><Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>
<BandsCount>3</BandsCount></GDAL_WMS>"""
    )
    return path


def mrf_that_writes(path: Path, data: Path, port: int) -> Path:
    """An MRF named .tif that keeps its data in a file the attacker names, filled from elsewhere."""
    path.write_text(
        f"""<MRF_META><CachedSource><Source>/vsicurl/http://127.0.0.1:{port}/x.tif</Source></CachedSource>
<Raster><Size x="512" y="512" c="1"/><PageSize x="256" y="256" c="1"/><Compression>NONE</Compression>
<DataFile>{data}</DataFile><IndexFile>{data.with_suffix(".idx")}</IndexFile></Raster>
<GeoTags><BoundingBox minx="-11" miny="6" maxx="-10" maxy="7"/>
<Projection>EPSG:4326</Projection></GeoTags></MRF_META>"""
    )
    return path
