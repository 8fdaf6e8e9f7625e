"""What a provider sent as a tile: is it a picture, and does it show anything? Pure."""

import hashlib
import io
import warnings
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from labels.imagery.providers.errors import Unreadable

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"RIFF": "WEBP"}
MAX_SIDE = 1024
SIDE = 256
FLAT = 2  # a picture whose values differ by no more is of one colour


@dataclass(frozen=True)
class Picture:
    """A checked picture. `shows` is full, partial (some of it transparent) or none (blank)."""

    content: bytes
    content_type: str
    shows: str


def read(content: bytes, *, blanks: frozenset[str] = frozenset()) -> Picture:
    """Check what came: its first bytes, its format, its size, and that it can be decoded. Raises Unreadable.

    `blanks` are SHA-256 of pictures by which this provider says that it has none.
    """
    if hashlib.sha256(content).hexdigest() in blanks:
        return Picture(b"", "", "none")
    image = opened(content)
    shows = _shows(image)
    return Picture(content if shows != "none" else b"", FORMATS[image.format], shows)


def opened(content: bytes) -> Image.Image:
    """The decoded picture. Raises Unreadable."""
    named = next((name for magic, name in MAGIC.items() if content.startswith(magic)), None)
    if named is None or (named == "WEBP" and content[8:12] != b"WEBP"):
        raise Unreadable(_("The provider answered with something that is no picture."))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=[named])
            if not 1 <= min(image.size) <= max(image.size) <= MAX_SIDE:
                raise Unreadable(_("The provider answered with a picture that is no tile."))
            if image.format not in FORMATS:  # several pictures in one file call themselves something else
                raise Unreadable(_("The provider answered with a picture that is no tile."))
            image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, Warning, Image.DecompressionBombError):
        raise Unreadable(_("The provider answered with a picture that cannot be read.")) from None
    return image


def _shows(image: Image.Image) -> str:
    has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if has_alpha:
        lowest, highest = image.convert("RGBA").getchannel("A").getextrema()
        if highest == 0:
            return "none"
        if lowest < 255:
            return "partial"
    extrema = image.convert("RGB").getextrema()
    return "none" if all(high - low <= FLAT for low, high in extrema) else "full"


def pixels(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Colours as uint8 (3, 256, 256) and, as bool (256, 256), where the picture shows something."""
    image = opened(content).convert("RGBA")
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    values = np.moveaxis(np.asarray(image), -1, 0)
    return np.ascontiguousarray(values[:3]), values[3] > 127


def written(colours: np.ndarray, is_there: np.ndarray) -> tuple[bytes, str, str]:
    """Content, type and what it shows, of pixels as `pixels` gives them."""
    file = io.BytesIO()
    if is_there.all():
        Image.fromarray(np.moveaxis(colours, 0, -1)).save(file, "JPEG", quality=88)
        return file.getvalue(), FORMATS["JPEG"], "full"
    if not is_there.any():
        return b"", "", "none"
    values = np.concatenate([colours, is_there[None].astype("uint8") * 255])
    Image.fromarray(np.moveaxis(values, 0, -1), "RGBA").save(file, "WEBP", quality=85)
    return file.getvalue(), FORMATS["WEBP"], "partial"
