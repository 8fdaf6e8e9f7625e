"""What a person may ask of a picture's preparation beyond its own words: bands and stretch. Knows no Django."""

import math
import re
from dataclasses import dataclass

from labels.errors import BadInput

_BANDS = re.compile(r"(?:(\d{1,2})|(\d{1,2}),(\d{1,2}),(\d{1,2}))?(?:,?nir=(\d{1,2}))?")


@dataclass(frozen=True)
class Wish:
    """Bands count from 1; what is left out is chosen by looking at the picture."""

    # One band (grey) or three (red, green, blue); empty: chosen.
    bands: tuple[int, ...] = ()
    near_infrared: int | None = None
    # Original values that become black and white in every shown band; empty: chosen.
    stretch: tuple[float, ...] = ()

    def is_met_by(self, preparation: dict) -> bool:
        """Whether a picture that was prepared so (`Scene.preparation`) is what is asked for."""
        bands, stretch = preparation.get("bands", []), preparation.get("stretch", [])
        infrared = preparation.get("false_colour", {}).get("bands", [None])[0]
        return (
            (not self.bands or list(self.bands) == bands)
            and (not self.stretch or (bool(stretch) and all(list(self.stretch) == pair for pair in stretch)))
            and (not self.near_infrared or self.near_infrared == infrared)
        )


def wish(bands: str = "", stretch: str = "") -> Wish:
    """From words such as "3,2,1", "3,2,1,nir=4" or "nir=4", and "200,3500"."""
    shown, near_infrared = _bands(bands)
    return Wish(shown, near_infrared, _stretch(stretch))


def _bands(text: str) -> tuple[tuple[int, ...], int | None]:
    found = _BANDS.fullmatch(text.replace(" ", "").lower())
    if not found or "0" in found.groups():
        raise BadInput(
            f"{text!r} does not name bands: write one (grey) or three (red, green, blue), counted from 1, and nir= for"
            " a near-infrared one, for example 3,2,1,nir=4."
        )
    *shown, near_infrared = (int(number) if number else None for number in found.groups())
    return tuple(number for number in shown if number), near_infrared


def _stretch(text: str) -> tuple[float, ...]:
    if not text.strip():
        return ()
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadInput(f"{text!r} is no stretch: write the value that becomes black and the one that becomes white.")
    return low, high
