"""Which records of a register are asked for: what the address of a list, a map or a count may say, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.flags import codes as flag_codes
from labels.models import Placement, RecordFlag, Register, SiteRecord
from labels.models.registers import LegalStatus, LocationPrecision, TradeStatus

# A search that finds more than this is no search: the first so many stand for it, and the page says so.
MOST_FOUND = 10_000
# The value of a filter that asks for what states nothing.
NOTHING = "none"
YES, NO = "yes", "no"
LATEST, MISSING = "latest", "missing"

CODES = {
    "legal_status": LegalStatus.values,
    "trade_status": TradeStatus.values,
    "location": LocationPrecision.values,
    "split": flag_codes.SPLITS,
    "edition": [LATEST, MISSING],
    "position": [YES, NO],
    "protected": [YES, NO],
    "commercial": [YES, NO],
}
MAX_LENGTH = 200


@dataclass(frozen=True)
class Filters:
    """What is asked; an empty text asks for everything. Names are those of the address."""

    q: str = ""
    region: str = ""
    mineral: str = ""
    year: str = ""
    legal_status: str = ""
    trade_status: str = ""
    location: str = ""
    flag: str = ""
    # How the flag `region_unlike` came about.
    split: str = ""
    edition: str = ""
    position: str = ""
    protected: str = ""
    commercial: str = ""
    # Found once by `searched`: the records that `q` names.
    found: tuple[int, ...] | None = field(default=None, compare=False)

    @property
    def asked(self) -> dict[str, str]:
        """Only what is asked, as the address says it."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name)}

    @property
    def is_cut(self) -> bool:
        return self.found is not None and len(self.found) > MOST_FOUND


NAMES = [each.name for each in fields(Filters) if each.name != "found"]


def filters_of(asked: Mapping[str, str], register: Register) -> Filters:
    """The filters of an address; other names in it are not ours. BadInput says which value is none."""
    values = {name: asked.get(name, "").replace("\0", "").strip()[:MAX_LENGTH] for name in NAMES}
    for name, codes in CODES.items():
        if values[name] and values[name] not in codes:
            _refuse(name, values[name])
    for name in ("region", "year"):
        if values[name] not in ("", NOTHING) and not (values[name].isascii() and values[name].isdecimal()):
            _refuse(name, values[name])
        if len(values[name]) > 9:
            _refuse(name, values[name])
    return searched(register, Filters(**values))


def _refuse(name: str, value: str) -> None:
    raise BadInput(
        _("The address asks for %(name)s = “%(value)s”, which is none of its values. Leave that out of the address.")
        % {"name": name, "value": value}
    )


def searched(register: Register, filters: Filters) -> Filters:
    """The same filters with the records that their words name.

    Asked first and by itself, or the planner walks a whole register in search of a rare name.
    """
    if not filters.q:
        return filters
    names = Placement.objects.filter(register=register, observation__name__icontains=filters.q)
    ids = SiteRecord.objects.filter(register=register, source_id__icontains=filters.q)
    found = dict.fromkeys(ids.values_list("pk", flat=True)[: MOST_FOUND + 1])
    found |= dict.fromkeys(names.values_list("pk", flat=True)[: MOST_FOUND + 1])
    return Filters(**filters.asked, found=tuple(found)[: MOST_FOUND + 1])


def matching(register: Register, filters: Filters) -> QuerySet[Placement]:
    """The placed records that the filters ask for, in no order."""
    records = register.placements.order_by()
    for name, value in filters.asked.items():
        records = records.filter(_condition(name, value, register, filters))
    return records


def _condition(name: str, value: str, register: Register, filters: Filters) -> Q:
    if name == "q":
        return Q(pk__in=filters.found[:MOST_FOUND])
    if name == "region":
        return Q(region=None) if value == NOTHING else Q(region_id=int(value))
    if name == "mineral":
        return Q(minerals=[]) if value == NOTHING else Q(minerals__contains=[value])
    if name == "year":
        return Q(observed_year=None) if value == NOTHING else Q(observed_year=int(value))
    if name == "flag":
        flagged = RecordFlag.objects.filter(register=register, code=value)
        return Q(pk__in=flagged.values("site_record_id"))
    if name == "split":
        unlike = RecordFlag.objects.filter(register=register, code=flag_codes.REGION_UNLIKE, detail__split=value)
        return Q(pk__in=unlike.values("site_record_id"))
    if name == "edition":
        latest = register.latest_edition()
        return Q(edition=latest) if value == LATEST else ~Q(edition=latest)
    column = {
        "legal_status": "legal_status_code",
        "trade_status": "trade_status_code",
        "location": "location_precision",
    }.get(name)
    if column:
        return Q(**{column: value})
    area = {"position": "reported_point", "protected": "protected_area", "commercial": "commercial_area"}[name]
    return Q(**{f"{area}__isnull": value == NO})
