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


# A register says the same few words in millions of cells.
@lru_cache(maxsize=20_000)
def folded(text: str) -> str:
    """`Localité (GPS)` and `LOCALITE  gps` are one word."""
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", " ", bare.casefold()).strip()


def is_blank(text: str) -> bool:
    """Whether the cell says nothing: empty, `N/A`, `inconnu`, a dash."""
    return folded(text) in BLANKS
