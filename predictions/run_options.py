"""What may be said of a run when it is asked for."""

import numpy as np
from django.utils.translation import gettext as _

from labels.errors import BadInput

OPTIONS = {
    "penalties": None,  # the path; by default 15 in proportion to the cells fitted
    "size_km": 10.0,
    "buffer_km": 2.0,
    "budget": None,  # inspections; by default 1 % of the mapped cells
    "k": 100,
    "n_resamples": 1000,
    "seed": 0,
    "purpose": "",
    "background_ratio": 3.0,
    "error_rates_from": "",  # of made-up registers: a key of run_words.ERROR_RATES
}


def checked_options(options: dict) -> dict:
    """The given options, each of its kind and range; BadInput names the one that is wrong."""
    for name, value in options.items():
        if name not in OPTIONS:
            raise BadInput(
                _("There is no option %(name)s. Options: %(names)s.") % {"name": name, "names": ", ".join(OPTIONS)}
            )
        if not _is_fit(name, value):
            raise BadInput(_("The option %(name)s cannot be %(value)s.") % {"name": name, "value": value})
    return options


def _is_fit(name: str, value) -> bool:
    if name in ("purpose", "error_rates_from"):
        return isinstance(value, str)
    if name == "penalties":
        rising = isinstance(value, list) and len(value) > 1 and all(isinstance(each, int | float) for each in value)
        return value is None or (rising and value[0] > 0 and all(np.diff(value) > 0))
    if value is None:
        return name == "budget"
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if name == "seed":
        return is_whole and value >= 0
    if name in ("budget", "k", "n_resamples"):
        return is_whole and value >= 1
    lowest = {"size_km": 1.0, "buffer_km": 0.0, "background_ratio": 0.0}[name]
    return isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= 1000
