"""Words of registers and the codes kept beside them. A register's own value mapping comes before these tables."""

import re
from collections.abc import Mapping
from functools import lru_cache

from labels.ingest.headers import folded, is_blank

# The codes are those of labels.models; they are written out because the reading process knows no models.
OTHER = "other"
UNKNOWN = "unknown"

_MINERALS = {
    "gold": "gold, or, ouro, oro, au, alluvial gold, or alluvionnaire",
    "cassiterite": "cassiterite, cassiterita, tin, tin ore, etain, estanho, estano, sn",
    "coltan": "coltan, colombo tantalite, columbo tantalite, columbite tantalite, coltane",
    "tantalum": "tantalum, tantale, tantalite, tantalo, ta",
    "niobium": "niobium, niobio, columbite, nb",
    "wolframite": "wolframite, wolfram, tungsten, tungstene, tungstenio, tungsteno, volframita, w",
    "pyrochlore": "pyrochlore, pirocloro",
    "diamond": "diamond, diamonds, diamant, diamants, diamante, diamantes",
    "copper": "copper, cuivre, cobre, cu, digenite, malachite, malaquita",
    "cobalt": "cobalt, cobalto, co, heterogenite",
    "silver": "silver, argent, prata, plata, ag",
    "lead": "lead, plomb, chumbo, plomo, pb, galena, galene",
    "zinc": "zinc, zinco, zn",
    "manganese": "manganese, manganes, manganeso, mn",
    "iron": "iron, iron ore, fer, minerai de fer, ferro, hierro, fe",
    "titanium": "titanium, titane, titanio, ti, ilmenite, rutile",
    "zircon": "zircon, zirconium, zircao",
    "monazite": "monazite, monazita",
    "bauxite": "bauxite, bauxita, aluminium, aluminum",
    "chromite": "chromite, chrome, cromita",
    "lithium": "lithium, litio, spodumene, li",
    "nickel": "nickel, niquel, ni",
    "mercury": "mercury, mercure, mercurio, cinnabar, hg",
    "coal": "coal, charbon, houille, carvao, carbon",
    "uranium": "uranium, uranio, u",
    "tourmaline": "tourmaline, turmalina",
    "amethyst": "amethyst, amethyste, ametista, amatista",
    "sapphire": "sapphire, saphir, safira, zafiro",
    "emerald": "emerald, emeraude, esmeralda",
    "ruby": "ruby, rubis, rubi",
    "garnet": "garnet, grenat, granada",
    "gemstones": "gemstone, gemstones, pierres precieuses, pierres de couleur, gemas, piedras preciosas",
    "sand": "sand, sable, areia, arena",
    "gravel": "gravel, gravier, cascalho, grava",
    "limestone": "limestone, calcaire, calcario, caliza",
    "clay": "clay, argile, argila, arcilla",
    "salt": "salt, sel, sal",
    "phosphate": "phosphate, phosphates, fosfato",
    "arsenopyrite": "arsenopyrite, arsenopirita",
}

_KINDS = {
    "on_site": "on site, onsite, sur site, sur place, visit, visited, visite, visitee, no local, "
    "in situ, visitado, 1, true, yes, y, oui, o, sim, si, t, vrai",
    "third_party": "third party, third party information, tiers, tierce partie, temoignage, "
    "interview, entretien, terceiros, tercero, terceros, 0, false, no, non, nao, n, f, faux",
    "remote": "remote, satellite, imagery, image, image satellite, teledetection, sensoriamento remoto, "
    "teledeteccion, imagen, imagem, landsat, sentinel",
}

_DATE_PRECISIONS = {
    "day": "day, jour, dia, d, exact, exacte",
    "month": "month, mois, mes, m",
    "year": "year, annee, an, ano, anno, y",
    "unknown": "unknown",
}

_LEGAL_STATUSES = {
    "licensed": "licensed, licenced, formal, formel, formalise, formalisee, legal, legale, valid, valide, "
    "active, actif, en vigueur, permit, permis, licence, license, cooperative agreee, licenciado, legalizado, vigente, "
    "em vigor, autorise, autorisee, authorised, authorized, registered, enregistre",
    "pending": "pending, application, applied, en cours, demande, en instance, en attente, em processo, "
    "pendente, en tramite, solicitud, pedido",
    "expired": "expired, expire, expiree, echu, caduc, revoked, withdrawn, retire, vencido, caducado, expirado",
    "unlicensed": "unlicensed, informal, informel, informelle, illegal, illegale, sans licence, sans permis, "
    "sem licenca, sin licencia, sans titre, sem titulo, sin titulo, sans autorisation, ilegal, non autorise, "
    "artisanal informel, none, aucun",
}

_TRADE_STATUSES = {
    "qualified": "qualified, green, vert, verte, valide, validee, validated, certified, certifie, verde, "
    "qualifie, qualifiee, qualificado, site vert",
    "provisional": "provisional, yellow, jaune, amarelo, amarillo, provisoire, site jaune, in progress",
    "disqualified": "disqualified, red, rouge, vermelho, rojo, disqualifie, non valide, suspended, suspendu, "
    "site rouge",
    "not_assessed": "not assessed, blue, bleu, azul, non evalue, non qualifie, nao avaliado, no evaluado",
}


def _by_word(table: Mapping[str, str]) -> dict[str, str]:
    return {word.strip(): str(code) for code, words in table.items() for word in words.split(",")}


MINERALS, KINDS, DATE_PRECISIONS = _by_word(_MINERALS), _by_word(_KINDS), _by_word(_DATE_PRECISIONS)
LEGAL_STATUSES, TRADE_STATUSES = _by_word(_LEGAL_STATUSES), _by_word(_TRADE_STATUSES)

_SEVERAL = re.compile(r"\s*[,;/+&|\n]\s*|\s+(?:et|and|e|y)\s+", re.IGNORECASE)


def minerals_in(text: str, own: Mapping[str, str]) -> list[tuple[str, str]]:
    """(code, original word) for each mineral a cell names; a word nobody knows has the code `other`."""
    return _minerals_in(text, own) if own else list(_known_minerals_in(text))


# A register names the same few minerals in millions of cells.
@lru_cache(maxsize=20_000)
def _known_minerals_in(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(_minerals_in(text, {}))


def _minerals_in(text: str, own: Mapping[str, str]) -> list[tuple[str, str]]:
    if is_blank(text):
        return []
    if (code := _mineral(text, own)) != OTHER:
        return [(code, text.strip())]
    words = [word.strip() for word in _SEVERAL.split(text) if not is_blank(word)]
    return [(_mineral(word, own), word) for word in words]


def _mineral(word: str, own: Mapping[str, str]) -> str:
    return own.get(word.strip()) or MINERALS.get(folded(word), OTHER)


def kind_in(text: str, own: Mapping[str, str]) -> str:
    return own.get(text.strip()) or KINDS.get(folded(text), UNKNOWN)


def date_precision_in(text: str, own: Mapping[str, str]) -> str:
    """The precision a cell states, or an empty string where it states none that is known."""
    return own.get(text.strip()) or DATE_PRECISIONS.get(folded(text), "")


def legal_status_in(text: str, own: Mapping[str, str]) -> str:
    return own.get(text.strip()) or LEGAL_STATUSES.get(folded(text), UNKNOWN)


def trade_status_in(text: str, own: Mapping[str, str]) -> str:
    return own.get(text.strip()) or TRADE_STATUSES.get(folded(text), UNKNOWN)


_APPROXIMATE = re.compile(r"\bapprox|\bestim|\baproxim")
_VILLAGE = re.compile(r"\b(villages?|localite|town|settlement|camp|group?ements?|groupment|aldeia|vila|pueblo|aldea)\b")
_DRAWN = re.compile(
    r"\b(numeris\w*|digiti[sz]\w*|digitaliz\w*|landsat|sentinel|satellite|spot|google|bing|imag\w*|map|carte|mapa|"
    r"ortho\w*)\b"
)
_GPS = re.compile(r"\bgps\b")


def location_precision_in(text: str, own: Mapping[str, str]) -> str:
    """The precision class of a location method. GPS of something else than the site is a village or approximate."""
    return own.get(text.strip()) or _location_precision(folded(text))


@lru_cache(maxsize=10_000)
def _location_precision(said: str) -> str:
    if _APPROXIMATE.search(said):
        return "approximate"
    if _GPS.search(said):
        if said == "gps":
            return "gps"
        return "village" if _VILLAGE.search(said) else "approximate"
    if _DRAWN.search(said):
        return "digitised"
    if _VILLAGE.search(said):
        return "village"
    return UNKNOWN
