"""Why a figure of a run is not given, or a rule starts no run: keys that are kept, and the sentence for each."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SENTENCES: dict[str, Promise] = {
    "too_few": _("Too few cells with and without mines were judged to say this."),
    "no_positives": _("No judged cell holds a mine."),
    "no_negatives": _("No judged cell was searched and found clear."),
    "no_sample": _("No grid cells were drawn at random and searched: this needs a probability sample of cells."),
    "too_few_mines": _(
        "Fewer than five judged cells hold mines, or fewer than five hold none: too few for an interval."
    ),
    "too_few_blocks": _("The judged cells lie in too few blocks for an interval."),
    "too_few_groups": _("The judged cells lie in one area only: there is none to leave out."),
    "no_variation": _("Scores of judged cells are all alike, or part mines from the rest completely."),
    "nothing_judged": _("No cell was judged."),
    "one_block": _("All judged cells lie in one block: no interval."),
    "no_probabilities": _("The scores could not be turned into probabilities."),
    "no_budget": _("Nobody said how many cells can be inspected."),
    "no_random_negatives": _("No cell of the probability sample was searched and found clear."),
    "no_hard_negatives": _("No cell that was suggested, or lies near mines or records, was searched and found clear."),
    "no_colours": _("These features come without mean colours."),
    "too_few_searched": _("Too few grid cells drawn at random were searched here."),
    "nothing_above": _("No judged cell scores as high."),
    "nothing_to_train": _("Nothing was left to learn from."),
    "not_computed": _("This was not computed in this run."),
    # Of a retraining rule that can start nothing any more.
    "rule_owner": _("Who set the rule may no longer start runs in this project."),
    "rule_features": _("The features it trains on are no longer there."),
    "rule_rights": _("The imagery behind its features may no longer be used to train models."),
    "rule_refused": _("The last run that it asked for was refused."),
}


def sentence(key: str) -> str:
    """The sentence for a reason's key; the key itself where a newer version wrote one this version does not know."""
    return str(SENTENCES.get(key, key))
