"""Learning what a provider offers, and keeping it as dates that annotators step through."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.imagery import rights
from labels.imagery.providers import addresses, cache, guard, ogc, stac, templates
from labels.imagery.providers.asking import Asker
from labels.imagery.providers.errors import Unreadable
from labels.imagery.providers.offers import Description, Offered
from labels.models import ImagerySource, ProviderDate
from labels.models.imagery import DateKnownBy

Kind = ImagerySource.Kind
READERS = {
    Kind.XYZ: templates.of_tiles,
    Kind.TMS: templates.of_tiles,
    Kind.TILEJSON: templates.of_tilejson,
    Kind.WMTS: ogc.of_wmts,
    Kind.WMS: ogc.of_wms,
    Kind.STAC: stac.of_stac,
}
BUDGET_S = 30
FIELDS = ("captured_on", "captured_known_by", "published_on", "resolution_m", "min_zoom", "max_zoom", "address",
          "options")  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """What a refresh changed."""

    created: int
    updated: int
    unchanged: int
    removed: int


def check_address(source: ImagerySource, allowed: frozenset[str]) -> None:
    """Refuse what can be refused without asking anybody: where the address leads, keys in plain sight, gaps."""
    addresses.check_template(source.address)
    addresses.check_template(str(source.options.get("releases") or ""))
    sample = addresses.filled(
        source.address, 1, 0, 0, key="key", date="date", options=source.options
    )  # says which gap nobody fills
    guard.check(sample, allowed)
    if "{key}" in source.address and not source.access_key:
        raise BadInput(_("The address asks for a key: give it in its own field."))
    wants_tiles = source.kind in (Kind.XYZ, Kind.TMS)
    has_place = {"z", "x"} <= addresses.gaps(source.address) or addresses.gaps(source.address) & {
        "q", "quadkey", "bbox", "bbox-epsg-3857", "level"}  # fmt: skip
    if wants_tiles and not (has_place or source.options.get("releases")):
        raise BadInput(_("Write {z}, {x} and {y} where the address names the tile."))


def refresh(source: ImagerySource) -> Listed:
    """Ask the provider what it has, and keep that. Raises a ProviderError with a sentence, within half a minute."""
    asker = Asker(source, budget_s=BUDGET_S)
    return keep(source, READERS[source.kind](source, asker))


def keep(source: ImagerySource, told: Description) -> Listed:
    """Write a description down; rows that say the same are left alone, so that kept tiles stay good."""
    today = rights.today()
    if not told.dates:
        raise Unreadable(_("The provider offers no image of the project's area."))
    with transaction.atomic():
        locked = ImagerySource.objects.select_for_update().get(pk=source.pk)
        there = {date.key: date for date in locked.dates.all()}
        offered = {entry.key: entry for entry in told.dates}
        counts = {"created": 0, "updated": 0, "unchanged": 0}
        for key, entry in offered.items():
            counts[_keep_one(locked, there.get(key), entry, today)] += 1
        gone = [date.pk for key, date in there.items() if key not in offered]
        ProviderDate.objects.filter(pk__in=gone).delete()
        _keep_words(locked, told)
    source.refresh_from_db()
    return Listed(removed=len(gone), **counts)


def _keep_one(source: ImagerySource, row: ProviderDate | None, entry: Offered, today) -> str:
    day = entry.captured_on if entry.captured_on and entry.captured_on <= today else None
    known_by = DateKnownBy.UNKNOWN if day is None else DateKnownBy.STATED if entry.is_stated else DateKnownBy.PROVIDER
    values = {name: getattr(entry, name) for name in FIELDS if hasattr(entry, name)}
    values |= {"captured_on": day, "captured_known_by": known_by}
    if row is None:
        ProviderDate.objects.create(source=source, key=entry.key, footprint=entry.footprint, **values)
        return "created"
    same_place = (row.footprint is None) == (entry.footprint is None) and (
        row.footprint is None or row.footprint.equals_exact(entry.footprint, 1e-9)
    )
    if same_place and all(getattr(row, name) == value for name, value in values.items()):
        return "unchanged"
    for name, value in values.items():
        setattr(row, name, value)
    row.footprint = entry.footprint
    row.save()
    return "updated"


def _keep_words(source: ImagerySource, told: Description) -> None:
    options = {**source.options, **told.options}
    changed = []
    if options != source.options:
        source.options = options
        changed.append("options")
    if told.attribution and not source.attribution:
        source.attribution = told.attribution
        changed.append("attribution")
    if changed:
        source.save(update_fields=changed)


def remove(source: ImagerySource) -> None:
    """Take a provider away with its dates and kept tiles. One that people judged with stays: their reviews name it."""
    uuid = source.uuid
    try:
        source.delete()
    except ProtectedError:
        raise BadInput(
            _("People judged with this source, and their reviews name it: take away its right to be viewed instead.")
        ) from None
    cache.forget(uuid)
