"""The data dictionary: every column of every format, in order; docs/data-dictionary.md shows the same."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    # text, number, integer, date or list (of text; joined with "; " in CSV and GeoPackage).
    type: str
    unit: str
    meaning: str


def text(name: str, meaning: str) -> Column:
    return Column(name, "text", "", meaning)


def number(name: str, unit: str, meaning: str) -> Column:
    return Column(name, "number", unit, meaning)


def integer(name: str, meaning: str) -> Column:
    return Column(name, "integer", "", meaning)


MAY_TRAIN = (
    "1 when, on the day of the release and for its purpose, models might be trained on labels from this imagery, "
    "else 0. A right can end later: ask again before training."
)

LABEL_COLUMNS = [
    text("content_sha256", "Content hash of the release: the same labels have the same hash, on any machine."),
    text("register", "Short name of the register; the data card names its publisher and licence."),
    text("source_id", "The register's own id of the site."),
    text("site_record", "Our id (UUID) of the site's record."),
    text("unit", "Our id (UUID) of what was judged: this record in this audit."),
    text("audit", "Short name of the audit."),
    text("queue", "sample: part of a probability sample. suggested: picked by a model; leave out of any rate."),
    text("sample_type", "record_census, record_sample or suggested."),
    text("design", "Design of the audit: census, srs, stratified, systematic or cluster."),
    text("stratum", "Stratum of the unit in the design."),
    number("inclusion_probability", "0 to 1", "Probability that the unit was drawn; empty for suggested units."),
    number("reported_lon", "degrees, WGS84", "Longitude the register published, 7 decimals."),
    number("reported_lat", "degrees, WGS84", "Latitude the register published, 7 decimals."),
    number("corrected_lon", "degrees, WGS84", "Longitude of the mine as marked, 7 decimals; empty without a mine."),
    number("corrected_lat", "degrees, WGS84", "Latitude of the mine as marked, 7 decimals; empty without a mine."),
    number("displacement_m", "m", "Distance from the reported to the corrected point on the ellipsoid, to 0.1 m."),
    number("tolerance_m", "m", "Up to this displacement a mine counts as at the point."),
    number("search_radius_m", "m", "Radius of the disc that was searched."),
    text(
        "verdict",
        "confirm (mine at the point), move (mine elsewhere in the disc), reject (no mine visible) or unsure; confirm "
        "and move are computed from displacement and tolerance, and a dispute counts as unsure. A reject is no proof "
        "of absence.",
    ),
    text("given_verdict", "The verdict as given by the annotators or the adjudicator; empty while disputed."),
    text("state", "agreed (by all current reviews, be it one), disputed, or adjudicated."),
    text("reason", "Reason of a reject or an unsure."),
    integer("n_reviews", "Number of current reviews of the unit."),
    text("mine_type", "artisanal, commercial or both; empty when not stated or without a mine."),
    text("activity", "active, abandoned or cannot_tell; empty when not stated or without a mine."),
    integer("confidence", "1 (doubtful) to 5 (unmistakable on two dates); empty when not stated."),
    integer("confidence_stated", "1 when a confidence was stated, else 0."),
    integer("is_same_mine", "1 when the mine belongs to another, nearer record, else 0."),
    number("share_seen", "0 to 1", "Share of the search disc seen at a useful zoom by the chosen review."),
    integer("field_verified", "1 when the register's report is of a visit on site with GPS, else 0."),
    Column("imagery", "list", "", "Names of the imagery sources the reviews saw, one per source and date."),
    Column("imagery_dates", "list", "", "Capture dates of those images in the same order: ISO 8601 or unknown."),
    Column("imagery_sources", "list", "", "Short names of those sources in the same order, as in the data card."),
    Column("imagery_keys", "list", "", "A provider's own names of those images in the same order; empty for pictures."),
    Column(
        "imagery_offsets_m",
        "list",
        "m",
        "Measured shift, east and north, added to every position read from those images, in the same order.",
    ),
    Column("observed_on", "date", "", "Date of the register's report, as precise as date_precision says."),
    text("date_precision", "day, month, year or unknown."),
    Column("minerals", "list", "", "Harmonised codes of the minerals the register names."),
    text("region", "Top-level admin area that holds the reported point."),
    text("grid_cell", "Grid cell (0.01 degrees) of the corrected point; empty without a mine."),
    integer("may_train", MAY_TRAIN),
]

CELL_COLUMNS = [
    number("lon", "degrees, WGS84", "Longitude of the cell's centre."),
    number("lat", "degrees, WGS84", "Latitude of the cell's centre."),
    text("unique_id", "Name of the grid cell, e.g. lon_-0.125__lat_11.135; one row per cell."),
    text("country", "ISO 3166 alpha-3 code of the project's country."),
    text(
        "sample_type",
        "Where the label comes from: record_census, record_sample, random_cell, stratified_cell, suggested, "
        "commercial_polygon or field.",
    ),
    text("mine_type", "artisanal, commercial or both; empty when not stated (counted as artisanal) or without a mine."),
    integer("confidence", "1 to 5; a confidence that was not stated is written as 3."),
    integer(
        "label",
        "1: a marked artisanal mine has dug ground in the cell. 0: a person searched at least 80 % of the cell and "
        "marked nothing. Empty: only commercial mines were marked, which says nothing of artisanal ones. Rejected "
        "records give no row.",
    ),
    number(
        "proportion_inspected",
        "0 to 1",
        "Share of the cell that the reviews together saw at a useful zoom, where imagery has data; empty if not known.",
    ),
    integer("confidence_stated", "1 when the confidence was stated, else 0. Further mines marked never state one."),
    text("image_id", "The cell as MOSAIKS feature files write it, e.g. lat_8--505__lon_-11--995."),
    integer("may_train", MAY_TRAIN),
]


def as_json(columns: list[Column]) -> list[dict]:
    """The dictionary for the data card."""
    return [{"name": c.name, "type": c.type, "unit": c.unit, "meaning": c.meaning} for c in columns]


def as_markdown(columns: list[Column]) -> str:
    """The dictionary as the table of docs/data-dictionary.md."""
    rows = [f"| `{c.name}` | {c.type} | {c.unit} | {c.meaning} |" for c in columns]
    return "\n".join(["| Column | Type | Unit | Meaning |", "| --- | --- | --- | --- |", *rows])
