"""The words that pages use for the keys of a run's figures."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labels.minerals import mineral_word
from labels.models.registers import LegalStatus
from labels.models.reviews import SizeClass
from labels.report_words import number
from predictions import reasons

METRICS = {
    "ap": gettext_lazy("Average precision"),
    "auc": gettext_lazy("AUC"),
    "brier": gettext_lazy("Brier score"),
    "log_loss": gettext_lazy("Log loss"),
    "recall_at_budget": gettext_lazy("Found within the budget"),
    "precision_at_k": gettext_lazy("Of the highest, with a mine"),
}
BASELINES = {
    "prevalence": gettext_lazy("prevalence (no model at all)"),
    "interpolation": gettext_lazy("labels interpolated, no imagery"),
    "colour": gettext_lazy("mean colours alone"),
}
NEGATIVES = {
    "random": gettext_lazy("against random ground"),
    "hard": gettext_lazy("against ground that looks like a mine"),
    "all_searched": gettext_lazy("against all searched ground"),
}
STRATA = {
    "region": gettext_lazy("Region"),
    "mineral": gettext_lazy("Mineral"),
    "formality": gettext_lazy("Formalisation"),
    "size": gettext_lazy("Size"),
    "terrain": gettext_lazy("Terrain"),
    "distance_to_commercial": gettext_lazy("Distance to a commercial mine"),
}
DISTANCES = {
    "on": gettext_lazy("inside a commercial mine"),
    "under_2_km": gettext_lazy("0 to 2 km"),
    "2_to_5_km": gettext_lazy("2 to 5 km"),
    "over_5_km": gettext_lazy("over 5 km"),
}
LEVELS = {
    "formality": dict(LegalStatus.choices),
    "size": dict(SizeClass.choices),
    "terrain": {"other_terrain": gettext_lazy("all rarer terrain")},
    "distance_to_commercial": DISTANCES,
}
STEPS = {
    "register": (gettext_lazy("Register as published"), gettext_lazy("every record a mine, at its point")),
    "rejected_dropped": (gettext_lazy("+ rejected records dropped"), gettext_lazy("records changed")),
    "moved": (gettext_lazy("+ moved records moved"), gettext_lazy("records changed")),
    "searched_added": (gettext_lazy("+ searched cells added"), gettext_lazy("cells added")),
}
# What labels say of a record or a cell, as releases write it.
LABELS = {
    "confirm": gettext_lazy("confirm"),
    "move": gettext_lazy("move"),
    "reject": gettext_lazy("reject"),
    "unsure": gettext_lazy("unsure"),
    "1": gettext_lazy("artisanal mine"),
    "0": gettext_lazy("searched, clear"),
    "unknown": gettext_lazy("unknown"),
    "": gettext_lazy("no label"),
}
LACKS = {
    "no_right": gettext_lazy("no right to train models"),
    "other_purpose": gettext_lazy("limited to another purpose"),
    "expired": gettext_lazy("its rights have expired"),
    "local_only": gettext_lazy("the project uses local imagery only"),
    "not_when_released": gettext_lazy("no right when it was released"),
}
# Where the errors of made-up registers come from, which the gain of an audit of them rests on.
ERROR_RATES = {
    "demonstration": gettext_lazy(
        "made up with the country. How many points are wrong, displaced, doubled or missing follows synthetic audits "
        "or was set by the authors of the demonstration (docs/demonstration.md says which), and was measured in no "
        "country; what an audit buys elsewhere depends on the errors there."
    ),
}
CALIBRATIONS = {"isotonic": gettext_lazy("isotonic regression"), "platt": gettext_lazy("a logistic curve (Platt)")}


def reason_words(key: str) -> str:
    """Why a figure is undefined, as a sentence."""
    return reasons.sentence(key or "not_computed")


def level(by: str, key: str) -> str:
    """A group of cells: a region goes by its name."""
    return mineral_word(key) if by == "mineral" else str(LEVELS.get(by, {}).get(key, key))


def question(key: str) -> str:
    """What a rung of the ladder answers."""
    return {
        "sample": _("How good is this map?"),
        "elsewhere": _("How good is a model from another country here?"),
        "areas": _("How good in a region never audited?"),
        "blocks": _("How good between audited places?"),
        "random": _("None: neighbours leak into the test"),
    }.get(key, key)


def how(rung: dict, blocks: dict, origin: str = "", fate: str = "") -> str:
    """How a rung was measured; where a model from elsewhere comes from (`origin`) and what became of it (`fate`)."""
    n, shown = rung.get("n_groups") or 0, number(rung.get("n_groups") or 0)
    if rung["key"] == "sample":
        return _("Probability sample of cells, weighted")
    if rung["key"] == "areas":
        return ngettext("%(n)s region left out", "Each of %(n)s regions left out in turn", n) % {"n": shown}
    if rung["key"] == "blocks":
        if not blocks:
            return _("Blocks left out, with a buffer around each")
        sizes = {"n": shown, "size": number(blocks.get("size_km", 0)), "buffer": number(blocks.get("buffer_km", 0))}
        return _("%(n)s blocks of %(size)s km left out, with %(buffer)s km around each") % sizes
    if rung["key"] == "elsewhere":
        told = [_("Trained in %(origin)s") % {"origin": origin or _("another project")}]
        if rung.get("is_ranking_only"):
            told.append(_("its order only, not its probabilities"))
        return "; ".join([*told, *([fate] if fate else [])])
    return _("Random cells left out, as is often done")


def lack(reason: str) -> str:
    return str(LACKS.get(reason, reason))


def step(key: str) -> tuple[str, str]:
    """A step of the audit, and what its number counts."""
    words, what = STEPS.get(key, (key, ""))
    return str(words), str(what)


def label(word: str) -> str:
    return str(LABELS.get(word, word))
