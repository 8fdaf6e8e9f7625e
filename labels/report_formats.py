"""A reliability report for programs and terminals: JSON, CSV and an aligned table, all in English."""

import csv
import io
from dataclasses import asdict

from django.utils import translation

from labels.groupings import GROUP_KEYS
from labels.reports import REJECT_KINDS, VERDICTS, Estimate, Group, Rate, Report
from labels.spreadsheets import safe_text

DEFINITIONS = {
    "unit": "A record of the register with a position, as drawn for the audit. Only the probability sample enters; "
    "reviews of the suggested queue never do.",
    "confirm": "A mine within the tolerance of the reported point.",
    "move": "A mine within the search radius, beyond the tolerance.",
    "reject": "The whole search disc was seen on an image later than the report, and no artisanal mine is visible.",
    "unsure": "Could not be judged, or its reviews disagree and nobody has settled it yet (n_disputed).",
    "wrong": "Rejects less those that do not speak against the record: field_verified and no_activity (see rejects).",
    "nearby_at_least, nearby_at_most": "A mine at or near the point: confirm and move, with every unsure counted as "
    "no mine, or as one.",
    "low, high": "95 % interval. Where interval is 'sampling': Wilson's at the effective size of a finite population "
    "(exact where none or all units count); the judged units came in shuffled order and are a random part of the "
    "frame. Where it is 'census': every unit is judged and no sampling error remains; Wilson's for n then says how "
    "far chance alone moves the share in another list of that size made the same way.",
    "reader_low, reader_high": "Limits of the true share given how often readers of the same unit disagree, from "
    "units planned for two or more reviews; null without such units.",
    "rejects": "field_verified: visited on site with GPS, not visible in the imagery; "
    "no_activity: a licence area without visible activity; natural_ground, other_land_use, "
    "industrial_only: what is there instead.",
    "displacement": "Metres on the ellipsoid from the reported point to the mine, of moved units; moves beyond the "
    "search radius are not seen. ce90_m: 90 % lie within. near_search_end: share beyond 0.8 of the search radius.",
    "within": "Share of all judged units with a mine within that distance of the reported point; "
    "n_searched_less units were not searched that far.",
    "group": "A record with several minerals counts in the group of each.",
    "is_small": "Fewer than 30 units judged, and not all of them: too few to rank.",
}


def as_json(report: Report) -> dict:
    """The whole report as plain values; a date is ISO 8601 in UTC."""
    with translation.override("en"):
        values = asdict(report)
        del values["choices"], values["told"]
        values["computed_at"] = report.computed_at.isoformat(timespec="seconds")
        for group, plain in zip([report.overall, *report.groups], [values["overall"], *values["groups"]], strict=True):
            plain["is_small"] = group.is_small
        return values | {"definitions": DEFINITIONS}


# ---- CSV ----


def as_csv(report: Report) -> str:
    """One row per group, the first for all units; shares from 0 to 1, distances in metres, empty where undefined."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_header(report))
    for group in [report.overall, *report.groups]:
        writer.writerow(_row(report, group))
    return out.getvalue()


def _header(report: Report) -> list[str]:
    rates = [*VERDICTS, "wrong", "nearby_at_least", "nearby_at_most"]
    return [
        "group",
        *report.by,
        *("n_units", "n_judged", "n_open", "n_disputed", "all_judged"),
        *(f"{name}_{part}" for name in rates for part in ("n", "k", "share", "low", "high")),
        *(f"reject_{kind}_k" for kind in REJECT_KINDS),
        "moved_n",
        *(f"{name}{limit}_m" for name in ("median", "ce90") for limit in ("", "_low", "_high")),
        "moved_near_search_end_share",
        *(
            f"within_{item.distance_m:g}m_{part}"
            for item in report.overall.within
            for part in ("k", "share", "low", "high")
        ),
        "tolerance_m",
        "computed_at",
    ]


def _row(report: Report, group: Group) -> list:
    rates = [rate for _, rate in group.rates] + [group.wrong, group.nearby_at_least, group.nearby_at_most]
    moved = group.displacement
    return [
        safe_text(", ".join(group.words) or "all"),
        *(safe_text(group.key.get(name, "")) for name in report.by),
        *(group.n_units, group.n_judged, group.n_open, group.n_disputed, str(group.all_judged).lower()),
        *(value for rate in rates for value in (rate.n, *_rate_cells(rate))),
        *group.rejects.values(),
        moved.n,
        *_estimate_cells(moved.median_m),
        *_estimate_cells(moved.ce90_m),
        _rounded(moved.near_search_end.share, 6),
        *(value for item in group.within for value in _rate_cells(item.rate)),
        "as the audit" if report.tolerance_m is None else report.tolerance_m,
        report.computed_at.isoformat(timespec="seconds"),
    ]


def _rate_cells(rate: Rate) -> list:
    return [rate.k, *(_rounded(value, 6) for value in (rate.share, rate.low, rate.high))]


def _estimate_cells(estimate: Estimate) -> list:
    return [_rounded(value, 1) for value in (estimate.value, *(estimate.interval or (None, None)))]


def _rounded(value: float | None, digits: int) -> float | str:
    return "" if value is None else round(value, digits)


# ---- the terminal ----


def as_table(report: Report) -> str:
    """The report for a terminal: what it is on, the answer, and one aligned line per group."""
    with translation.override("en"):
        lines = _about(report)
        if report.overall.n_judged:
            lines += ["", *_aligned(_table_rows(report)), "", *_remarks(report)]
        return "\n".join(lines) + "\n"


def _about(report: Report) -> list[str]:
    every = report.overall
    if not report.audits:
        return [f"{report.project} has no audit of records yet: open one, and its reviews will be reported here."]
    names = "; ".join(
        f"{_plain(audit['name'])} ({_plain(audit['register'])}, {audit['n_units']:,} units)" for audit in report.audits
    )
    lines = [f"Audit: {names}"]
    if report.where:
        lines.append(
            "Only: " + ", ".join(f"{name} = {_plain(value) or '(none)'}" for name, value in report.where.items())
        )
    if not every.n_judged:
        return [*lines, f"Nothing is judged yet: {every.n_units:,} units wait for their first review."]
    lines.append(
        f"Judged: {every.n_judged:,} of {every.population:,} units"
        + (" (all of them: no sampling error). " if every.all_judged else ", in shuffled order. ")
        + f"Computed {report.computed_at:%Y-%m-%d %H:%M} UTC."
    )
    at_least, at_most = every.nearby_at_least, every.nearby_at_most
    lines.append(
        f"A mine at or near the point: at least {rate_text(at_least)}, at most {rate_text(at_most)} "
        f"if every unsure were one."
    )
    return lines


def rate_text(rate: Rate) -> str:
    if rate.share is None:
        return "-"
    return f"{rate.share * 100:.1f} % ({rate.low * 100:.1f}-{rate.high * 100:.1f})"


def _metres(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    limits = " ({:.0f}-{:.0f})".format(*estimate.interval) if estimate.interval else ""
    return f"{estimate.value:.0f}{limits}"


def _plain(word: str) -> str:
    """A published word on one line, without anything a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in word).split())


def _table_rows(report: Report) -> list[list[str]]:
    headings = [str(GROUP_KEYS[name].heading) for name in report.by] or ["Group"]
    rows = [[*headings, "units", "n", "confirm", "move", "reject", "unsure", "median m", "CE90 m", ""]]
    for group in [report.overall, *report.groups]:
        words = group.words or ["all", *[""] * (len(headings) - 1)]
        moved = group.displacement
        rows.append(
            [
                *map(_plain, words),
                f"{group.n_units:,}",
                f"{group.n_judged:,}",
                *(rate_text(rate) for _, rate in group.rates),
                _metres(moved.median_m),
                _metres(moved.ce90_m),
                "n under 30" if group.is_small else "",
            ]
        )
    return rows


def _aligned(rows: list[list[str]]) -> list[str]:
    n_words = len(rows[0]) - 9
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place < n_words or place == len(widths) - 1 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _remarks(report: Report) -> list[str]:
    every = report.overall
    remarks = ["Shares with 95 % intervals in brackets (Wilson; --format json holds every definition)."]
    if every.n_disputed:
        remarks.append(f"{every.n_disputed:,} disputed units count as unsure until settled.")
    if every.rejects["field_verified"]:
        remarks.append(
            f"{every.rejects['field_verified']:,} of {every.reject.k:,} rejects were visited on site with GPS: "
            f"not visible is not wrong there."
        )
    if report.n_unlocated:
        remarks.append(f"{report.n_unlocated:,} records without a position are in no unit.")
    if "mineral" in report.by:
        remarks.append("A record with several minerals counts in each.")
    if report.n_repeated:
        remarks.append(f"{report.n_repeated:,} records stand in more than one audit and count in each.")
    return remarks
