"""Which area holds which: districts hang under provinces by the name or code they state, else by where they lie."""

from django.db import connection
from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.models import Project, ReferenceLayer

# Of each staged area: the parent that holds its inner point (`lies_in`), the one it names (`named`), and which of them
# it hangs under. What is named beats the position, which old and coarse boundaries miss; where they differ it is said.
HANG = """
ALTER TABLE staged_area ADD lies_in bigint, ADD named bigint, ADD parent_id bigint;
UPDATE staged_area staged SET
    lies_in = (
        SELECT parent.id FROM labels_referencearea parent
        WHERE parent.layer_id = %(layer)s AND ST_Covers(parent.geometry, ST_PointOnSurface(staged.geometry))
        ORDER BY parent.area_km2, parent.id LIMIT 1
    )
WHERE NOT ST_IsEmpty(geometry);
UPDATE staged_area staged SET named = coalesce(
    (SELECT parent.id FROM labels_referencearea parent WHERE parent.id = staged.lies_in AND {same}),
    -- Several parents of one name, none of which holds it, are none.
    (SELECT max(parent.id) FROM labels_referencearea parent
     WHERE parent.layer_id = %(layer)s AND {same} HAVING count(*) = 1)
)
WHERE stated_parent <> '';
UPDATE staged_area SET parent_id = coalesce(named, lies_in)
"""
SAME = """(
    labels_folded(parent.name) = labels_folded(staged.stated_parent)
    OR parent.code <> '' AND labels_folded(parent.code) = labels_folded(staged.stated_parent)
)"""

NO_PARENTS = "ALTER TABLE staged_area ADD parent_id bigint"

DOUBTS = """
SELECT staged.file_row, staged.name, staged.stated_parent, coalesce(parent.name, ''), coalesce(around.name, ''),
       CASE WHEN staged.parent_id IS NULL THEN 'outside'
            WHEN staged.stated_parent <> '' AND staged.named IS NULL THEN 'unknown'
            ELSE 'elsewhere' END
FROM staged_area staged
LEFT JOIN labels_referencearea parent ON parent.id = staged.parent_id
LEFT JOIN labels_referencearea around ON around.id = staged.lies_in
WHERE NOT ST_IsEmpty(staged.geometry)
  AND (staged.parent_id IS NULL OR staged.stated_parent <> '' AND staged.named IS DISTINCT FROM staged.lies_in)
ORDER BY staged.file_row
"""

# The areas of layers that hung under the version before: by the old parent's code or name, else by where they lie.
HANG_AGAIN = """
UPDATE labels_referencearea child SET parent_id = coalesce(
    (SELECT min(now.id) FROM labels_referencearea now JOIN labels_referencearea before ON before.id = child.parent_id
     WHERE now.layer_id = %(new)s AND now.code <> '' AND now.code = before.code HAVING count(*) = 1),
    (SELECT min(now.id) FROM labels_referencearea now JOIN labels_referencearea before ON before.id = child.parent_id
     WHERE now.layer_id = %(new)s AND labels_folded(now.name) = labels_folded(before.name) HAVING count(*) = 1),
    (SELECT now.id FROM labels_referencearea now
     WHERE now.layer_id = %(new)s AND ST_Covers(now.geometry, ST_PointOnSurface(child.geometry))
     ORDER BY now.area_km2, now.id LIMIT 1)
)
FROM labels_referencelayer layer
WHERE layer.id = child.layer_id AND layer.parent_id = %(old)s AND layer.retired_at IS NULL
"""


def find_parent(project: Project, name: str, kind: str) -> ReferenceLayer:
    """The current layer of that name, of the same kind where there are several; BadInput lists what there is."""
    current = project.reference_layers.filter(retired_at__isnull=True)
    found = sorted(current.filter(name=name), key=lambda layer: layer.kind != kind)
    if not found:
        known = ", ".join(sorted(set(current.values_list("name", flat=True)))) or _("none yet")
        raise BadInput(
            _("This project has no layer “%(name)s” to hang the areas under. Its layers: %(known)s.")
            % {"name": name, "known": known}
        )
    return found[0]


def hang(parent: ReferenceLayer | None) -> None:
    """Fill `parent_id` of the staged areas, which are mended by now."""
    with connection.cursor() as cursor:
        if parent is None:
            cursor.execute(NO_PARENTS)
        else:
            cursor.execute(HANG.format(same=SAME), {"layer": parent.pk})


def doubts() -> list[dict]:
    """Staged areas outside every parent, or of a parent they do not lie in, or of one that is not there."""
    columns = ("row", "name", "stated", "parent", "lies_in", "doubt")
    with connection.cursor() as cursor:
        cursor.execute(DOUBTS)
        return [dict(zip(columns, row, strict=True)) for row in cursor]


def hang_again(old: ReferenceLayer, new: ReferenceLayer) -> None:
    """Move the current layers that hung under the old version, and their areas, under the new one."""
    with connection.cursor() as cursor:
        cursor.execute(HANG_AGAIN, {"old": old.pk, "new": new.pk})
    ReferenceLayer.objects.filter(parent=old, retired_at__isnull=True).update(parent=new)
