"""The catalogue of flags: what each code is called, what it means, and what it says of one record.

A flag is a doubt, never a repair: none of them alters what a register published. Sentences name regions and distances,
never coordinates.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labels.ingest.rows import ZERO_POSITION

OUTSIDE_COUNTRY = "outside_country"
AXES_SWAPPED = "axes_swapped"
SIGN_LOST = "sign_lost"
LATTICE = "lattice"
MINUTES_AS_DECIMALS = "minutes_as_decimals"
ON_CENTROID = "on_centroid"
REGION_UNLIKE = "region_unlike"
REGION_UNKNOWN = "region_unknown"
REPEATED_ID = "repeated_id"

# How a record comes to state another region than it lies in, of `region_unlike`.
SWAPPED_COLUMNS, NEAR_BORDER, FURTHER = "swapped_columns", "near_border", "further"
SPLITS = {
    SWAPPED_COLUMNS: gettext_lazy("another column of the row names the region it lies in"),
    NEAR_BORDER: gettext_lazy("within 5 km of the stated region"),
    FURTHER: gettext_lazy("further away"),
}

Detail = Mapping[str, object]


@dataclass(frozen=True)
class Flag:
    code: str
    label: str
    # One sentence on what the flag means, the same for every record.
    meaning: str
    # What it says of one record, given the row's `detail`.
    sentence: Callable[[Detail], str]


def distance(metres: object) -> str:
    """A distance as people say it: `40 m`, `4.2 km`, `3,120 km`."""
    metres = float(metres)
    if metres < 1000:
        return _("%(n)s m") % {"n": number_format(round(metres))}
    places = 1 if metres < 100_000 else 0
    return _("%(n)s km") % {"n": number_format(round(metres / 1000, places), places, force_grouping=True)}


def _zero_position(detail: Detail) -> str:
    return _("The register states the position 0, 0, which is how forms write that they do not know.")


def _outside_country(detail: Detail) -> str:
    if "outside_m" not in detail:
        return _("The position lies in none of the admin areas.")
    return _("The position lies in none of the admin areas; the nearest, %(area)s, is %(distance)s away.") % {
        "area": detail.get("nearest", ""),
        "distance": distance(detail["outside_m"]),
    }


def _axes_swapped(detail: Detail) -> str:
    if detail.get("lands_in") == "region":
        return _("With longitude and latitude exchanged it would lie in the stated region, %(stated)s.") % detail
    return _("With longitude and latitude exchanged it would lie in the country.")


def _sign_lost(detail: Detail) -> str:
    signs = {
        "latitude": _("the sign of its latitude"),
        "longitude": _("the sign of its longitude"),
        "both": _("both its signs"),
    }
    told = {"sign": signs[str(detail["sign"])], "stated": detail.get("stated", "")}
    if detail.get("lands_in") == "region":
        return _("With %(sign)s turned round it would lie in the stated region, %(stated)s.") % told
    return _("With %(sign)s turned round it would lie in the country.") % told


def _lattice(detail: Detail) -> str:
    if "step_min" in detail:
        n = int(detail["step_min"])
        if n == 1:
            return _("Both coordinates are whole minutes.")
        return _("Both coordinates are multiples of %(n)s minutes.") % {"n": n}
    return _("Both coordinates are rounded to multiples of %(step)s degrees.") % {
        "step": number_format(detail["step_deg"])
    }


def _minutes_as_decimals(detail: Detail) -> str:
    if "n_records" in detail:
        return _(
            "Of %(n_records)s records of this register nearly all have decimals below .60 on both axes, which minutes "
            "have and decimals do not: the decimals may be minutes."
        ) % {"n_records": number_format(detail["n_records"], force_grouping=True)}
    return _("With its decimals read as minutes it would lie in the stated region, %(stated)s.") % detail


def _on_centroid(detail: Detail) -> str:
    return _(
        "The position is within %(distance)s of the centre of %(area)s: the area may be all that was known of it."
    ) % {"area": detail["area"], "distance": distance(100)}


def _region_unlike(detail: Detail) -> str:
    told = {"stated": detail["stated"], "lies_in": detail["lies_in"]}
    if detail["split"] == SWAPPED_COLUMNS:
        return (
            _(
                "The stated region is %(stated)s, the position lies in %(lies_in)s, and another column of the row says "
                "%(lies_in)s: the columns may be swapped."
            )
            % told
        )
    told["distance"] = distance(detail["stated_m"])
    return _("The stated region is %(stated)s, the position lies in %(lies_in)s, %(distance)s from it.") % told


def _region_unknown(detail: Detail) -> str:
    if "old_layer" in detail:
        return _(
            "No current admin area is called %(stated)s; it is an old name, of the retired layer %(old_layer)s."
        ) % {"stated": detail["stated"], "old_layer": detail["old_layer"]}
    return _("No admin area is called %(stated)s.") % {"stated": detail["stated"]}


def _repeated_id(detail: Detail) -> str:
    n = int(detail["n_rows"])
    return ngettext(
        "%(n)s row of the register gives this id and date with another position or spelling of the name.",
        "%(n)s rows of the register give one id and date with different positions or spellings of the name.",
        n,
    ) % {"n": n}


# In the order in which pages list them: what is least likely to be right first.
CATALOGUE = (
    Flag(
        ZERO_POSITION,
        gettext_lazy("position 0, 0"),
        gettext_lazy("The register states 0, 0; the record is kept without a position."),
        _zero_position,
    ),
    Flag(
        OUTSIDE_COUNTRY,
        gettext_lazy("outside the country"),
        gettext_lazy("No current admin area holds the position."),
        _outside_country,
    ),
    Flag(
        AXES_SWAPPED,
        gettext_lazy("axes probably swapped"),
        gettext_lazy("The position lies elsewhere; with longitude and latitude exchanged it would lie where stated."),
        _axes_swapped,
    ),
    Flag(
        SIGN_LOST,
        gettext_lazy("sign probably lost"),
        gettext_lazy("The position lies elsewhere; with a sign turned round it would lie where stated."),
        _sign_lost,
    ),
    Flag(
        MINUTES_AS_DECIMALS,
        gettext_lazy("minutes probably read as decimals"),
        gettext_lazy("The decimals of both coordinates look like minutes."),
        _minutes_as_decimals,
    ),
    Flag(
        REGION_UNLIKE,
        gettext_lazy("stated region unlike the one it lies in"),
        gettext_lazy("The position lies in another admin area than the row states."),
        _region_unlike,
    ),
    Flag(
        REGION_UNKNOWN,
        gettext_lazy("stated region unknown"),
        gettext_lazy("No current admin area has the stated name."),
        _region_unknown,
    ),
    Flag(
        LATTICE,
        gettext_lazy("rounded to a lattice"),
        gettext_lazy("Both coordinates are multiples of 0.01 degrees, of whole minutes, or of more."),
        _lattice,
    ),
    Flag(
        ON_CENTROID,
        gettext_lazy("on the centre of an area"),
        gettext_lazy("The position is within 100 m of the centre of an admin area."),
        _on_centroid,
    ),
    Flag(
        REPEATED_ID,
        gettext_lazy("repeated id"),
        gettext_lazy("Rows of one id and date differ in position or in the spelling of the name."),
        _repeated_id,
    ),
)
BY_CODE = {flag.code: flag for flag in CATALOGUE}
CODES = tuple(BY_CODE)


def label_of(code: str) -> str:
    return str(BY_CODE[code].label) if code in BY_CODE else code


def split_label(split: str) -> str:
    return str(SPLITS[split])


def meaning_of(code: str) -> str:
    """One sentence on what the flag means of any record; empty for a code of nobody's."""
    return str(BY_CODE[code].meaning) if code in BY_CODE else ""


def sentence(code: str, detail: Detail) -> str:
    """What the flag says of one record."""
    return BY_CODE[code].sentence(detail) if code in BY_CODE else code


def in_order(codes: Iterable[str]) -> list[str]:
    """The codes in the order in which pages list them."""
    return sorted(codes, key=lambda code: (CODES.index(code) if code in BY_CODE else len(CODES), code))
