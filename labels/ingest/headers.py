"""Headers and words as people spell them: accents, case and punctuation folded."""

import re
import unicodedata
from functools import lru_cache

# What people write into a cell that has nothing to say.
BLANKS = frozenset(
    [
        *("", "n a", "na", "nd", "n d", "ns", "nan", "null", "none", "inconnu", "inconnue", "unknown", "not known"),
        *("non connu", "desconocido", "desconhecido", "sem dados", "sin datos", "sans", "vide", "neant", "aucun"),
    ]
)


LONGEST_WORD = 200


def folded(text: str) -> str:
    """`Localité (GPS)` and `LOCALITE  gps` are one word."""
    return _folded(text) if len(text) <= LONGEST_WORD else _folded.__wrapped__(text)


# A register says the same few words in millions of cells; long texts are not worth keeping.
@lru_cache(maxsize=20_000)
def _folded(text: str) -> str:
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", " ", bare.casefold()).strip()


def is_blank(text: str) -> bool:
    """Whether the cell says nothing: empty, `N/A`, `inconnu`, a dash."""
    return not text or (len(text) <= LONGEST_WORD and _folded(text) in BLANKS)
