"""Invented names: a country, its provinces, places, rivers, companies. None is meant to be a real one."""

from labels.demonstration.noise import hash_uniform

COUNTRY = "Wandara"
PROVINCES = (
    "Kessou", "Teriba", "Haut-Loma", "Bas-Loma", "Karowa", "Mirou",
    "Nyandé", "Orumba", "Sanko", "Tchelo", "Velé", "Dambari",
)  # fmt: skip
MINERALS = ("coltan", "cassiterite", "gold", "wolframite", "diamond")
RESERVES = ("Forêt classée de Mirandé", "Réserve de Loma-Est", "Parc de Tessoro", "Sanctuaire de Kaválo")

_HEADS = ("Ka", "Te", "Mo", "Sa", "Bi", "Lu", "Na", "Do", "Wa", "Ye", "Ti", "Ga", "Ku", "Ra", "Fo", "Ze", "Ma", "Ni")
_MIDDLES = ("ri", "lo", "sso", "ndo", "mbé", "ra", "tou", "li", "vé", "ko", "ssa", "nga", "do", "lé", "wa", "ne")
_TAILS = ("", "", "ba", "ra", "", "té", "ni", "ko", "", "la", "dou", "mi")
_COMPANIES = (
    "Lomar",
    "Tessor",
    "Kavalo",
    "Norvane",
    "Meridor",
    "Saltec",
    "Oriwa",
    "Bascor",
    "Velmine",
    "Haldor",
    "Corinda",
    "Ardenne",
)


def _pick(options, *keys) -> str:
    return options[int(hash_uniform(*keys) * len(options))]


def place_name(seed: int, kind: int, number: int) -> str:
    """A place, the same for the same numbers; repeats happen, as on real maps."""
    keys = (seed, 101, kind, number)
    name = _pick(_HEADS, *keys, 1) + _pick(_MIDDLES, *keys, 2)
    if hash_uniform(*keys, 3) < 0.5:
        name += _pick(_MIDDLES, *keys, 4)
    name += _pick(_TAILS, *keys, 5)
    if hash_uniform(*keys, 6) < 0.06:
        name += _pick((" Carrière", " II", "-Centre", " Nord"), *keys, 7)
    return name


def river_name(seed: int, number: int) -> str:
    """A river; the first is the Loma, as the provinces say."""
    return "Loma" if number == 0 else place_name(seed, 4, number)


def company(seed: int, number: int) -> str:
    """A mining company with a legal form."""
    form = _pick(("SA", "Mining", "Ressources", "Minerals Ltd"), seed, 103, number)
    return f"{_COMPANIES[number % len(_COMPANIES)]} {form}"
