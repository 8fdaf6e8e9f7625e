"""GDAL's own copy of a raster with its progress told, which rasterio's does not. Knows no Django."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import rasterio

_OF_RASTER, _OF_VERBOSE_ERROR = 0x02, 0x40
_Progress = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p)


class CopyFailed(Exception):
    """GDAL could not write the copy; its words."""


def copy(source: Path, target: Path, *, driver: str, told: Callable[[float], None], **options: str) -> None:
    """Copy a GeoTIFF; `told` hears the share that is done, 0 to 1. Call it inside `rasterio.Env`."""
    gdal = _gdal()
    # The COG driver turns alpha into a mask through a VRT in memory. Any warp registers that driver by itself; a
    # process that only copies must do so, after its other files were opened by name of driver.
    gdal.GDALRegister_VRT()
    allowed = (ctypes.c_char_p * 2)(b"GTiff", None)
    words = [f"{name.upper()}={value}".encode() for name, value in options.items()]
    opened = gdal.GDALOpenEx(bytes(source), _OF_RASTER | _OF_VERBOSE_ERROR, allowed, None, None)
    if not opened:
        raise CopyFailed(_last_words(gdal))

    @_Progress
    def progress(share, _message, _data):
        told(share)
        return 1

    try:
        made = gdal.GDALCreateCopy(
            gdal.GDALGetDriverByName(driver.encode()),
            bytes(target),
            opened,
            0,
            (ctypes.c_char_p * (len(words) + 1))(*words, None),
            progress,
            None,
        )
        # What a full disk did not take may come to light only when the file is closed.
        if not made or gdal.GDALClose(made):
            raise CopyFailed(_last_words(gdal))
    finally:
        gdal.GDALClose(opened)


def _last_words(gdal: ctypes.CDLL) -> str:
    return gdal.CPLGetLastErrorMsg().decode(errors="replace")


@cache
def _gdal() -> ctypes.CDLL:
    """The library that rasterio has loaded, not another of the system."""
    loaded = next((Path(rasterio.__file__).parent.parent / "rasterio.libs").glob("libgdal*.so*"))
    gdal = ctypes.CDLL(str(loaded))
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    gdal.GDALOpenEx.restype, gdal.GDALOpenEx.argtypes = handle, [text, ctypes.c_uint, handle, handle, handle]
    gdal.GDALGetDriverByName.restype, gdal.GDALGetDriverByName.argtypes = handle, [text]
    gdal.GDALCreateCopy.restype = handle
    gdal.GDALCreateCopy.argtypes = [handle, text, handle, ctypes.c_int, handle, _Progress, handle]
    gdal.GDALClose.restype, gdal.GDALClose.argtypes = ctypes.c_int, [handle]
    gdal.GDALRegister_VRT.restype, gdal.GDALRegister_VRT.argtypes = None, []
    gdal.CPLGetLastErrorMsg.restype, gdal.CPLGetLastErrorMsg.argtypes = text, []
    return gdal
