"""What the filters of a register's records are called, and the words of their values."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from labels import claims
from labels.flags import codes as flag_codes
from labels.minerals import MINERAL_WORDS, mineral_word
from labels.models import ReferenceArea, Register
from labels.models.areas import AreaKind
from labels.models.registers import LegalStatus, LocationPrecision, TradeStatus
from labels.register_filters import LATEST, MISSING, NO, NOTHING, YES, Filters


@dataclass(frozen=True)
class Choice:
    name: str
    heading: str
    # (value, words); empty for a filter that is typed.
    values: list[tuple[str, str]]
    chosen: str

    @property
    def chosen_words(self) -> str:
        return dict(self.values).get(self.chosen, self.chosen)


def headings() -> dict[str, str]:
    return {
        "q": _("Name or id"),
        "region": _("Region"),
        "mineral": _("Mineral"),
        "year": _("Year"),
        "legal_status": _("Legal status"),
        "trade_status": _("Trade status"),
        "location": _("Location from"),
        "flag": _("Flag"),
        "split": _("Region unlike"),
        "edition": _("Latest edition"),
        "position": _("Position"),
        "protected": _("Protected area"),
        "commercial": _("Commercial mine"),
    }


def choices(register: Register, filters: Filters) -> list[Choice]:
    """Every filter that is chosen from a list, in the order of the page."""
    values = {
        "region": _regions(register),
        "mineral": [*_minerals(), (NOTHING, _("not stated"))],
        "legal_status": list(LegalStatus.choices),
        "trade_status": list(TradeStatus.choices),
        "location": list(LocationPrecision.choices),
        "flag": [(code, flag_codes.label_of(code)) for code in flags_in(register, filters)],
        "split": [(split, flag_codes.split_label(split)) for split in flag_codes.SPLITS],
        "edition": [(LATEST, _("in it")), (MISSING, _("not in it"))],
        "position": [(YES, _("stated")), (NO, _("not stated"))],
        "protected": [(YES, _("inside one")), (NO, _("outside"))],
        "commercial": [(YES, _("inside one")), (NO, _("outside"))],
    }
    said = headings()
    found = [Choice(name, said[name], options, getattr(filters, name)) for name, options in values.items()]
    # How a region is unlike is asked from the register's page only.
    return [each for each in found if each.name != "split" or each.chosen]


def flags_in(register: Register, filters: Filters) -> list[str]:
    codes = {code for code, _n in claims.by_flag(register)} | ({filters.flag} if filters.flag else set())
    return flag_codes.in_order(sorted(codes))


def _minerals() -> list[tuple[str, str]]:
    return sorted(((code, mineral_word(code)) for code in MINERAL_WORDS), key=lambda each: each[1])


def _regions(register: Register) -> list[tuple[str, str]]:
    top = ReferenceArea.objects.filter(
        layer__project=register.project_id, layer__kind=AreaKind.ADMIN, layer__level=1, layer__retired_at__isnull=True
    ).order_by("name")
    named = [(str(pk), name) for pk, name in top.values_list("pk", "name")]
    return [*named, (NOTHING, pgettext("region", "in none"))]


def asked(register: Register, filters: Filters) -> list[dict[str, str]]:
    """What is asked, as chips: the heading, the words, and the name to leave out of the address."""
    said = headings()
    known = {choice.name: choice.chosen_words for choice in choices(register, filters)}
    words = {name: known.get(name, value) for name, value in filters.asked.items()}
    if filters.year == NOTHING:
        words["year"] = _("not stated")
    return [{"name": name, "heading": said[name], "words": value} for name, value in words.items()]
