"""Why a figure of a run is not given: the keys that figures keep, and the sentence a page says for each."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from predictions import calibration, quantities

SENTENCES: dict[str, Promise] = {
    quantities.NOTHING_JUDGED: _("No cell was judged that could tell."),
    quantities.NO_POSITIVE: _("No judged cell holds a mine."),
    quantities.NO_NEGATIVE: _("No judged cell was searched and found clear."),
    quantities.ONE_BLOCK: _("All judged cells lie in one block: there is no interval."),
    quantities.FEW_BLOCKS: _("The judged cells lie in too few blocks for an interval."),
    quantities.NO_PROBABILITIES: _("The scores are no probabilities: too little was judged to calibrate them."),
    quantities.NO_BUDGET: _("Nobody said how many places could be inspected."),
    quantities.NO_SAMPLE: _(
        "No grid cells were drawn at random and searched: this needs a probability sample of cells."
    ),
    quantities.ONE_AREA: _("All labels lie in one area: there is none to leave out."),
    quantities.NO_HARD_NEGATIVES: _("No cell that was suggested, or lies near a mine or record, was found clear."),
    quantities.NO_RANDOM_NEGATIVES: _("No cell of the probability sample was found clear."),
    quantities.NO_COLOURS: _("These features come without mean colours."),
    quantities.FEW_SEARCHED: _("Too few cells of the probability sample lie here."),
    quantities.NO_VARIATION: _("It does not vary within blocks, so no test can tell."),
    quantities.ONLY_MINES: _("It is known of cells with mines only."),
    quantities.NOTHING_ABOVE: _("No judged cell scores as high."),
    quantities.NOTHING_TO_TRAIN: _("No label is left to learn from."),
    quantities.NOT_SIMULATED: _("This was not worked out."),
    calibration.TOO_FEW: _("Too few cells with and without mines were judged to say this."),
    calibration.NO_SPREAD: _("The judged cells' probabilities are all alike, or part mines from the rest completely."),
    "not_computed": _("This was not computed in this run."),
}


def sentence(key: str) -> str:
    """The sentence for a reason's key; the key itself where a newer version wrote one this version does not know."""
    return str(SENTENCES.get(key, key))
