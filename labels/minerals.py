"""What the harmonised codes of minerals are called; the registers' own words are kept beside them."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

MINERAL_WORDS: Mapping[str, Promise] = {
    "gold": pgettext_lazy("mineral", "gold"),
    "cassiterite": pgettext_lazy("mineral", "cassiterite"),
    "coltan": pgettext_lazy("mineral", "coltan"),
    "tantalum": pgettext_lazy("mineral", "tantalum"),
    "niobium": pgettext_lazy("mineral", "niobium"),
    "wolframite": pgettext_lazy("mineral", "wolframite"),
    "pyrochlore": pgettext_lazy("mineral", "pyrochlore"),
    "diamond": pgettext_lazy("mineral", "diamond"),
    "copper": pgettext_lazy("mineral", "copper"),
    "cobalt": pgettext_lazy("mineral", "cobalt"),
    "silver": pgettext_lazy("mineral", "silver"),
    "lead": pgettext_lazy("mineral", "lead"),
    "zinc": pgettext_lazy("mineral", "zinc"),
    "manganese": pgettext_lazy("mineral", "manganese"),
    "iron": pgettext_lazy("mineral", "iron"),
    "titanium": pgettext_lazy("mineral", "titanium"),
    "zircon": pgettext_lazy("mineral", "zircon"),
    "monazite": pgettext_lazy("mineral", "monazite"),
    "bauxite": pgettext_lazy("mineral", "bauxite"),
    "chromite": pgettext_lazy("mineral", "chromite"),
    "lithium": pgettext_lazy("mineral", "lithium"),
    "nickel": pgettext_lazy("mineral", "nickel"),
    "mercury": pgettext_lazy("mineral", "mercury"),
    "coal": pgettext_lazy("mineral", "coal"),
    "uranium": pgettext_lazy("mineral", "uranium"),
    "tourmaline": pgettext_lazy("mineral", "tourmaline"),
    "amethyst": pgettext_lazy("mineral", "amethyst"),
    "sapphire": pgettext_lazy("mineral", "sapphire"),
    "emerald": pgettext_lazy("mineral", "emerald"),
    "ruby": pgettext_lazy("mineral", "ruby"),
    "garnet": pgettext_lazy("mineral", "garnet"),
    "gemstones": pgettext_lazy("mineral", "gemstones"),
    "sand": pgettext_lazy("mineral", "sand"),
    "gravel": pgettext_lazy("mineral", "gravel"),
    "limestone": pgettext_lazy("mineral", "limestone"),
    "clay": pgettext_lazy("mineral", "clay"),
    "salt": pgettext_lazy("mineral", "salt"),
    "phosphate": pgettext_lazy("mineral", "phosphate"),
    "arsenopyrite": pgettext_lazy("mineral", "arsenopyrite"),
    "other": pgettext_lazy("mineral", "other"),
}


def mineral_word(code: str) -> str:
    """The code itself where a register's own value mapping made one."""
    return str(MINERAL_WORDS.get(code, code))
