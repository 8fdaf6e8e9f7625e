"""What the reviews of an audit looked at, one row per image: a table without verdicts, people or coordinates.

docs/data-dictionary.md shows the same columns.
"""

import csv
import json
from collections.abc import Iterator
from typing import TextIO

from labels.models import Audit, ReviewImage
from labels.releases.columns import Column, integer, number, text
from labels.spreadsheets import safe_text

SEEN_COLUMNS = [
    text("unit", "Our id (UUID) of what was judged: the unit of the label files."),
    text("review", "Our id (UUID) of the review; rows of one review belong together."),
    Column("reviewed_at", "date", "", "Day the verdict was received."),
    text("is_current", "current, replaced (by a later verdict of the same person) or undone."),
    number("proportion_inspected", "0 to 1", "Share of the unit's grid cell that the review saw at a useful zoom."),
    number("share_seen", "0 to 1", "Share of the search disc (or cell) that the review saw at a useful zoom."),
    integer("panes", "Number of panes on the page; empty when not told."),
    text("mode", "panes or swipe; empty when not told."),
    text("is_light", "1 when the page was in its light mode, else 0; empty when not told."),
    integer("pane", "The pane that showed the image, 1 to 4."),
    text("source", "Short name of the imagery source."),
    text("key", "The provider's own name of the image; empty for pictures on our server."),
    text("version", "The source's revision while it was looked at; empty when not told."),
    Column("pictures", "list", "", "SHA-256 of the pictures of that source and date in the disc and the cell."),
    Column("captured_on", "date", "", "Capture date; empty when unknown."),
    text("captured_known_by", "stated, file, provider or unknown."),
    number("resolution_m", "m", "Of the coarsest picture; where a provider does not say, of its finest tiles."),
    number("offset_east_m", "m", "Measured shift that was added to every position read from it, east."),
    number("offset_north_m", "m", "The same, north."),
    number("zoom", "", "Zoom of the pane when the verdict was given."),
    integer("n_views", "Number of settled views."),
    number("finest_zoom", "", "The closest of these views."),
    number("time_s", "s", "Time the image was on screen."),
    integer("was_on_screen_at_verdict", "1 when it was on screen as the verdict was given, else 0."),
    integer("n_tiles", "Tiles asked for."),
    integer("n_tiles_missing", "Tiles that did not come; above 20 % the image counts as not seen."),
    text("adjustments", "Brightness, contrast, gamma and false colour where they were changed, as JSON."),
]


def seen_rows(audit: Audit) -> Iterator[dict]:
    """In the order in which the reviews came."""
    images = ReviewImage.objects.filter(review__unit__audit=audit).order_by("review_id", "pk")
    images = images.select_related("source", "review__unit", "review__retraction", "review__successor")
    for image in images.iterator(chunk_size=2000):
        yield _row(image)


def _row(image: ReviewImage) -> dict:
    review, layout = image.review, image.review.layout
    return {
        "unit": str(review.unit.uuid),
        "review": str(review.uuid),
        "reviewed_at": review.created_at.date().isoformat(),
        "is_current": _state(review),
        "proportion_inspected": review.proportion_inspected,
        "share_seen": None if review.share_seen is None else round(review.share_seen, 4),
        "panes": layout.get("panes"),
        "mode": layout.get("mode", ""),
        "is_light": str(int(layout["light"])) if "light" in layout else "",
        "pane": image.pane,
        "source": image.source.slug,
        "key": image.key,
        "version": image.version,
        "pictures": image.scene_sha256s,
        "captured_on": image.captured_on.isoformat() if image.captured_on else None,
        "captured_known_by": image.captured_known_by,
        "resolution_m": image.resolution_m,
        "offset_east_m": image.offset_east_m,
        "offset_north_m": image.offset_north_m,
        "zoom": image.zoom,
        "n_views": len(image.views),
        "finest_zoom": max((view["zoom"] for view in image.views), default=None),
        "time_s": round(image.dwell_ms / 1000, 1),
        "was_on_screen_at_verdict": int(image.was_on_screen_at_verdict),
        "n_tiles": image.n_tiles,
        "n_tiles_missing": image.n_tiles_missing,
        "adjustments": json.dumps(image.adjustments, sort_keys=True) if image.adjustments else "",
    }


def _state(review) -> str:
    if hasattr(review, "retraction"):
        return "undone"
    return "replaced" if hasattr(review, "successor") else "current"


def write_csv(audit: Audit, file: TextIO) -> int:
    """UTF-8, comma, header; the number of rows."""
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([column.name for column in SEEN_COLUMNS])
    n_rows = 0
    for row in seen_rows(audit):
        writer.writerow([_cell(column, row[column.name]) for column in SEEN_COLUMNS])
        n_rows += 1
    return n_rows


def _cell(column: Column, value) -> str | int | float:
    if value is None:
        return ""
    if column.type == "list":
        return safe_text("; ".join(value))
    return safe_text(value) if column.type == "text" else value
