"""What a file says before anybody read meaning into it: its facts and its rows. Knows neither database nor files."""

from dataclasses import dataclass, field

from labels.ingest.refusals import Refusal

MAX_COLUMNS = 1000
MAX_CELL = 100_000
MAX_VERTICES = 500_000


@dataclass(slots=True)
class RawRow:
    """One row as the file states it."""

    # Row 1 of a table is its header, so the first row of data is 2; features of GeoJSON count from 1.
    file_row: int
    values: dict[str, str]
    # The feature's own geometry, as GeoJSON; tables have none.
    geometry: dict | None = None
    refusal: Refusal | None = None
    # A spreadsheet may write a date as the number of a day.
    is_spreadsheet: bool = False


@dataclass
class Facts:
    """What was found out about a file, as said to people."""

    format: str
    columns: list[str]
    encoding: str = ""
    delimiter: str = ""
    has_geometry: bool = False
    # The tables of a file that has several, and the one that is read.
    sheets: list[str] = field(default_factory=list)
    sheet: str = ""
    # Sentences about guesses and oddities.
    notes: list[str] = field(default_factory=list)
