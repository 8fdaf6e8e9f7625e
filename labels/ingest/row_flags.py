"""What the text of a row alone tells of its doubts, before anything is known of its surroundings."""

from collections.abc import Mapping

ZERO_POSITION = "zero_position"

_POSITION_FIELDS = ("longitude", "latitude", "coordinates", "geometry")


def of_row(mapping: Mapping[str, str], values: Mapping[str, str], geometry: object, *, is_located: bool) -> list[str]:
    """Codes of labels.flags for a row that was taken, given its cells and its GeoJSON geometry, if it has one.

    A row comes without a position because it states none or because it states 0, 0, and only the second holds a 0.
    """
    if is_located:
        return []
    columns = [mapping[field] for field in _POSITION_FIELDS if field in mapping]
    stated = [values.get(column, "") for column in columns] if columns else [str(_coordinates(geometry))]
    return [ZERO_POSITION] if any("0" in cell for cell in stated) else []


def _coordinates(geometry: object) -> object:
    """Those of a GeoJSON point; a shape of another type states no position."""
    return geometry.get("coordinates") if isinstance(geometry, dict) and geometry.get("type") == "Point" else None
