"""Bytes of a table to text: encodings found out and delimiters guessed."""

import codecs
import csv
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from django.utils.translation import gettext as _

CHUNK = 1_000_000


def encoding_of(path: Path, head: bytes) -> tuple[str, str]:
    """The encoding to decode with, and what to say about it. UTF-8 is proved over the whole file, else cp1252."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", ""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        if _looks_like_dos(head):
            return "cp850", _("The file is not UTF-8; its accents tell that it is DOS Western European (cp850).")
        return "cp1252-lenient", _("The file is not UTF-8; it was read as Windows Western European (cp1252).")
    return "utf-8-sig", ""


_accented = re.compile(r"(?<=[a-z])[éèêëàâáãäåçôóõöûùúüîïíñ]|(?<=[A-Z])[ÉÈÊËÀÂÁÃÄÅÇÔÓÕÖÛÙÚÜÎÏÍÑ](?![a-z])")


def _looks_like_dos(head: bytes) -> bool:
    """Whether more bytes are an accented letter of the case of its neighbour in cp850 than in cp1252."""
    dos, windows = (len(_accented.findall(head.decode(name, errors="replace"))) for name in ("cp850", "cp1252"))
    return dos > windows


def _cp1252_lenient(name: str) -> codecs.CodecInfo | None:
    """cp1252 with its five undefined bytes read as Latin-1, as browsers do."""
    if name.replace("_", "-") != "cp1252-lenient":
        return None
    table = "".join(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(256))

    class Decoder(codecs.IncrementalDecoder):
        def decode(self, data: bytes, final: bool = False) -> str:
            return codecs.charmap_decode(data, self.errors, table)[0]

    return codecs.CodecInfo(
        lambda text, errors="strict": codecs.lookup("cp1252").encode(text, errors),
        lambda data, errors="strict": codecs.charmap_decode(bytes(data), errors, table),
        incrementaldecoder=Decoder,
        incrementalencoder=codecs.lookup("cp1252").incrementalencoder,
        name="cp1252-lenient",
    )


def delimiter_of(sample: str) -> str:
    """The one of , ; tab | that cuts most of the first lines into the same number of cells, and into most cells.

    Titles above the header and decimal commas below it would mislead a look at one line.
    """
    lines = [line for line in sample.splitlines(keepends=True)[:60] if line.strip()]
    return max(",;\t|", key=lambda mark: _agreement(lines, mark))


def _agreement(lines: list[str], mark: str) -> tuple[float, int]:
    counts: list[int] = []
    # A quotation mark that is not closed, or a sample that ends within a cell.
    with suppress(csv.Error):
        counts.extend(len(cells) for cells in csv.reader(lines, delimiter=mark))
    several = Counter(n for n in counts if n > 1)
    if not several:
        return 0.0, 0
    n_cells, n_lines = max(several.items(), key=lambda item: (item[1], item[0]))
    return round(n_lines / len(counts), 1), n_cells


codecs.register(_cp1252_lenient)
