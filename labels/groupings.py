"""By what the units of an audit can be divided in a report, and how each value is said in words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labels.errors import BadInput
from labels.ground_truth import Outcome
from labels.minerals import MINERAL_WORDS
from labels.models import Audit, Observation
from labels.models.registers import LocationPrecision


@dataclass(frozen=True)
class GroupKey:
    """One way to divide units. A unit may have several values (minerals) and then counts in each."""

    heading: str | Promise
    values: Callable[[Outcome], Sequence[str]]
    # What a value is called; values without an entry are words themselves. "" is the missing value.
    words: Mapping[str, str | Promise] = field(default_factory=dict)
    # Values in their natural order, where that is not the alphabet.
    order: Sequence[str] = ()

    def word(self, value: str) -> str:
        return str(self.words.get(value, value))

    def rank(self, value: str) -> tuple:
        """Sorts values as people expect them, the missing one last."""
        position = self.order.index(value) if value in self.order else len(self.order)
        return value == "", position, self.word(value).casefold()


NOT_STATED = {"": _("not stated")}
DISTANCE_BANDS = {
    "inside": _("inside a commercial mine"),
    "0-2": _("0 to 2 km"),
    "2-5": _("2 to 5 km"),
    "5-10": _("5 to 10 km"),
    "over-10": _("over 10 km"),
    "": _("not known"),
}
UPPER_LIMITS_M = (("inside", 0), ("0-2", 2_000), ("2-5", 5_000), ("5-10", 10_000))


def distance_band(distance_m: float | None) -> str:
    """The band of a distance to the nearest commercial mine; a band's upper limit belongs to it."""
    if distance_m is None:
        return ""
    return next((band for band, limit_m in UPPER_LIMITS_M if distance_m <= limit_m), "over-10")


def year_of(outcome: Outcome) -> str:
    is_dated = outcome.observed_on and outcome.date_precision != "unknown"
    return str(outcome.observed_on.year) if is_dated else ""


GROUP_KEYS: dict[str, GroupKey] = {
    "region": GroupKey(_("Region"), lambda o: [o.region], {"": _("outside every region")}),
    "stated_region": GroupKey(_("Stated region"), lambda o: [o.stated_region], NOT_STATED),
    "mineral": GroupKey(_("Mineral"), lambda o: sorted(set(o.minerals)) or [""], {**MINERAL_WORDS, **NOT_STATED}),
    "register": GroupKey(_("Register"), lambda o: [o.register]),
    "legal_status": GroupKey(_("Licence status"), lambda o: [o.legal_status], NOT_STATED),
    "trade_status": GroupKey(_("Trade status"), lambda o: [o.trade_status], NOT_STATED),
    "location_precision": GroupKey(
        _("Location precision"),
        lambda o: [o.location_precision],
        dict(LocationPrecision.choices),
        LocationPrecision.values,
    ),
    "observation_kind": GroupKey(
        _("Kind of observation"),
        lambda o: [o.observation_kind],
        dict(Observation.Kind.choices),
        Observation.Kind.values,
    ),
    "year": GroupKey(_("Year of the report"), lambda o: [year_of(o)], {"": _("not dated")}),
    "commercial_distance": GroupKey(
        _("Distance to a commercial mine"),
        lambda o: [distance_band(o.commercial_distance_m)],
        DISTANCE_BANDS,
        list(DISTANCE_BANDS),
    ),
    "audit": GroupKey(_("Audit"), lambda o: [str(o.audit_id)]),
}


def check_keys(names: Iterable[str]) -> list[str]:
    """The names, each once; BadInput naming the allowed ones if one is unknown."""
    names = list(dict.fromkeys(names))
    unknown = [name for name in names if name not in GROUP_KEYS]
    if unknown:
        raise BadInput(
            _("“%(names)s” is nothing to group by. Use any of: %(allowed)s.")
            % {"names": ", ".join(unknown), "allowed": ", ".join(GROUP_KEYS)}
        )
    return names


def keys_for(audits: Sequence[Audit]) -> dict[str, GroupKey]:
    """GROUP_KEYS with the short names of these audits and their registers as values."""
    slugs = {audit.pk: audit.slug for audit in audits}
    registers = {audit.register_id: audit.register for audit in audits if audit.register_id}
    return GROUP_KEYS | {
        "audit": replace(
            GROUP_KEYS["audit"],
            values=lambda o: [slugs[o.audit_id]],
            words={audit.slug: audit.name for audit in audits},
        ),
        "register": replace(
            GROUP_KEYS["register"],
            values=lambda o: [registers[o.register_id].slug],
            words={register.slug: register.name for register in registers.values()},
        ),
    }


def combinations(outcome: Outcome, keys: Sequence[GroupKey]) -> Iterable[tuple[str, ...]]:
    """Every group the unit stands in."""
    return product(*(key.values(outcome) for key in keys))


def stands_in(outcome: Outcome, where: Mapping[str, str], keys: Mapping[str, GroupKey]) -> bool:
    """Whether the unit has each of these values."""
    return all(value in keys[name].values(outcome) for name, value in where.items())
