"""Headers and words as people spell them: accents, case and punctuation folded."""

import re
import unicodedata
from functools import lru_cache


# A register says the same few words in millions of cells.
@lru_cache(maxsize=20_000)
def folded(text: str) -> str:
    """`Localité (GPS)` and `LOCALITE  gps` are one word."""
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", " ", bare.casefold()).strip()
