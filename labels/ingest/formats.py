"""Which format a file has, told by how it begins and never by its name."""

import codecs

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

KNOWN_FORMATS = [
    (b"\xd0\xcf\x11\xe0", gettext_lazy("an old Excel workbook")),
    (b"\x00\x00\x27\x0a", gettext_lazy("a shapefile without its other files; zip them together")),
    (b"%PDF", gettext_lazy("a PDF")),
    (b"II*\0", gettext_lazy("an image (TIFF)")),
    (b"MM\0*", gettext_lazy("an image (TIFF)")),
    (b"\x89PNG", gettext_lazy("an image (PNG)")),
    (b"\xff\xd8\xff", gettext_lazy("an image (JPEG)")),
    (b"{\\rtf", gettext_lazy("a text document (RTF)")),
    (b"Rar!", gettext_lazy("a RAR archive")),
    (b"7z\xbc\xaf", gettext_lazy("a 7z archive")),
    (b"\x1f\x8b", gettext_lazy("a gzip archive")),
]


def gdal_kind(head: bytes) -> str:
    """`zip`, `gpkg` or `kml` where the file is of a format that GDAL reads for us; empty for any other."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"SQLite format 3\0"):
        return "gpkg"
    return "kml" if is_xml(head) and b"<kml" in head[:5000] else ""


def is_geojson(head: bytes) -> bool:
    return head.removeprefix(codecs.BOM_UTF8).lstrip(b"\x1e \t\r\n")[:1] == b"{" and not head.startswith(b"{\\rtf")


def is_table(head: bytes) -> bool:
    """Whether it may be a delimited text: no null bytes, unless it is UTF-16."""
    if is_xml(head) or head.startswith(tuple(magic for magic, name in KNOWN_FORMATS)):
        return False
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" not in head


def is_xml(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head[:1000].decode("utf-16", errors="ignore").lstrip().startswith("<")
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


def not_readable(head: bytes) -> str:
    """Why a file that is none of these cannot be read, in a sentence."""
    for magic, name in KNOWN_FORMATS:
        if head.startswith(magic):
            return _("This is %(name)s, which cannot be read yet. Save it as CSV or GeoJSON.") % {"name": name}
    if is_xml(head):
        return _("This is XML other than KML, which is no register. Save it as CSV or GeoJSON.")
    return _("This is neither a table (CSV) nor GeoJSON: it holds null bytes. Save it as CSV in UTF-8.")
