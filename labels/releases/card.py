"""The data card: what a stranger needs to use the files, machine-readable. Holds no coordinates and no people."""

from collections import Counter
from datetime import datetime

from labels.imagery.rights import Lack
from labels.models import Audit, ImagerySource, Project
from labels.releases.columns import CELL_COLUMNS, LABEL_COLUMNS, as_json
from labels.releases.snapshot import Snapshot
from labels.workflow import APP_VERSION

# Why a label may not be shared (rights.Lack): no such right, limited to another purpose, or expired.
REASONS = (Lack.NO_RIGHT, Lack.OTHER_PURPOSE, Lack.EXPIRED)

WARNINGS = [
    "Exact locations of mines can endanger the people who work there. Do not pass these files on beyond the purpose "
    "they were released for, and do not publish positions.",
    "A reject means that no mine was visible in the imagery seen. It is no proof of absence.",
    "Rows with may_train = 0 rest on imagery that lets no model be trained: leave them out of any training.",
    "Rows with queue = suggested were picked by a model: leave them out of any rate or area estimate.",
]


def data_card(
    project: Project, audits: list[Audit], snapshot: Snapshot, *, number: int, purpose: str, made_at: datetime
) -> dict:
    return {
        "title": f"{project.name}, release {number}",
        "project": project.slug,
        "country": project.country,
        "release": number,
        "made_at": made_at.isoformat(timespec="seconds"),
        "purpose": purpose,
        "content_sha256": snapshot.content_sha256,
        "software": f"asm_audit {APP_VERSION}",
        "n_labels": len(snapshot.labels),
        "n_cells": len(snapshot.cells),
        "n_units_not_judged": _left_out(snapshot, "n_not_judged"),
        "n_left_out_for_rights": n_without_rights(snapshot),
        "left_out_for_rights": {str(reason): snapshot.without_rights.get(reason, 0) for reason in REASONS},
        "left_out_for_rights_by_source": snapshot.without_rights_of,
        "n_cells_left_out_for_rights": snapshot.n_cells_left_out,
        "n_labels_that_may_not_train": sum(not row["may_train"] for row in snapshot.labels),
        "n_cells_that_may_not_train": sum(not row["may_train"] for row in snapshot.cells),
        "n_labels_without_recorded_imagery": sum(not row["imagery"] for row in snapshot.labels),
        "labels_by_verdict": _counts(snapshot, "verdict"),
        "labels_by_state": _counts(snapshot, "state"),
        "labels_by_queue": _counts(snapshot, "queue"),
        "cells_by_label": dict(sorted(Counter(_cell_word(row["label"]) for row in snapshot.cells).items())),
        "audits": [_audit(audit, snapshot) for audit in audits],
        "registers": _registers(audits),
        "imagery": [_imagery(source) for source in _sources(snapshot)],
        "crs": "WGS 84, longitude and latitude (OGC:CRS84)",
        "columns": as_json(LABEL_COLUMNS),
        "columns_mosaiks": as_json(CELL_COLUMNS),
        "warnings": WARNINGS,
    }


def n_without_rights(snapshot: Snapshot) -> int:
    return _left_out(snapshot, "n_without_rights")


def _left_out(snapshot: Snapshot, why: str) -> int:
    return sum(counts[why] for counts in snapshot.left_out.values())


def _counts(snapshot: Snapshot, column: str) -> dict[str, int]:
    return dict(sorted(Counter(row[column] for row in snapshot.labels).items()))


def _cell_word(label: int | None) -> str:
    return "unknown (commercial only)" if label is None else str(label)


def _audit(audit: Audit, snapshot: Snapshot) -> dict:
    counts = snapshot.left_out[audit.slug]
    cells = {"searched_cells": snapshot.searched[audit.slug]} if audit.is_of_cells else {}
    return {
        "audit": audit.slug,
        "name": audit.name,
        "frame": audit.frame,
        "design": audit.design,
        "seed": audit.seed,
        "reviews_per_unit": audit.reviews_per_unit,
        "is_blind": audit.is_blind,
        "search_rules": audit.search_rules,
        "same_site_m": audit.same_site_m,
        "guideline_version": audit.guideline_version,
        "opened_at": audit.opened_at.isoformat(timespec="seconds"),
        "closed_at": audit.closed_at.isoformat(timespec="seconds") if audit.closed_at else None,
        "n_population": audit.n_population,
        "n_records_without_position": audit.n_unlocated,
        "n_labels": sum(row["audit"] == audit.slug for row in snapshot.labels),
        "n_units_not_judged": counts["n_not_judged"],
        "n_left_out_for_rights": counts["n_without_rights"],
        **cells,
    }


def _registers(audits: list[Audit]) -> list[dict]:
    registers = {audit.register.slug: audit.register for audit in audits if audit.register}
    return [
        {
            "register": slug,
            "name": register.name,
            "publisher": register.publisher,
            "licence": register.licence,
            "already_public_source": register.already_public_source,
            "destroy_by": register.destroy_by.isoformat() if register.destroy_by else None,
        }
        for slug, register in sorted(registers.items())
    ]


def _sources(snapshot: Snapshot):
    return ImagerySource.objects.filter(pk__in=snapshot.source_ids).order_by("name", "slug")


def _imagery(source: ImagerySource) -> dict:
    return {
        "source": source.slug,
        "name": source.name,
        "attribution": source.attribution,
        "offset_east_m": source.offset_east_m,
        "offset_north_m": source.offset_north_m,
        "may_derive_labels": source.may_derive_labels,
        "may_share_labels": source.may_share_labels,
        "may_train": source.may_train,
        "purpose": source.purpose,
        "rights_expire_on": source.rights_expire_on.isoformat() if source.rights_expire_on else None,
    }
