"""The catalogues of French and Portuguese: whole, in step with the code, every placeholder in its place."""

import os
import re
import shutil
import subprocess
import sys
from ast import literal_eval
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation import ngettext, override

LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
SOURCES = ["asm_audit", "labels", "predictions", "static", "templates"]
FIELD = re.compile(r'^(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?) ((?:".*"\n?)+)', re.MULTILINE)
PLACEHOLDER = re.compile(r"%\(\w+\)[.\d]*[sdr]|%[sd%]|</?\w+>")


@dataclass(frozen=True)
class Message:
    key: tuple[str, str, str]  # context, singular, plural
    translations: list[str]
    is_fuzzy: bool


def catalogue(root: Path, language: str) -> list[Message]:
    """Every message of a catalogue but its header."""
    path = root / "asm_audit" / "locale" / language / "LC_MESSAGES" / "django.po"
    return [message for block in path.read_text().split("\n\n") if (message := read(block)) and message.key[1]]


def read(block: str) -> Message | None:
    fields = {name: "".join(map(literal_eval, text.splitlines())) for name, text in FIELD.findall(block)}
    if "msgid" not in fields:
        return None
    key = fields.get("msgctxt", ""), fields["msgid"], fields.get("msgid_plural", "")
    translations = [text for name, text in fields.items() if name.startswith("msgstr")]
    return Message(key, translations, bool(re.search("^#,.*fuzzy", block, re.MULTILINE)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_translated(language):
    messages = catalogue(settings.BASE_DIR, language)

    assert len(messages) > 100
    assert [message.key for message in messages if message.is_fuzzy or not all(message.translations)] == []
    assert [message.key for message in messages if message.key[2] and len(message.translations) != 2] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_placeholders_and_tags(language):
    def parts(text: str) -> Counter:
        return Counter(PLACEHOLDER.findall(text))

    changed = [
        (message.key[1], text)
        for message in catalogue(settings.BASE_DIR, language)
        for text in message.translations
        if parts(text) != parts(message.key[2] or message.key[1])
    ]
    assert changed == []


def test_french_signs_never_start_a_line():
    """A space before them is one that does not break."""
    loose = re.compile(r" (?:[;:?!»]|%%)|« ")
    texts = [text for message in catalogue(settings.BASE_DIR, "fr") for text in message.translations]

    assert [text for text in texts if loose.search(text)] == []


def test_no_catalogue_lags_behind_the_code(tmp_path):
    for name in SOURCES:
        ignored = shutil.ignore_patterns("locale", "__pycache__")
        shutil.copytree(settings.BASE_DIR / name, tmp_path / name, ignore=ignored)
    shutil.copy(settings.BASE_DIR / "manage.py", tmp_path)
    (tmp_path / "asm_audit" / "locale").mkdir()
    arguments = ["makemessages", "--locale", "fr", "--no-location", "--no-wrap", "--verbosity", "0"]
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=tmp_path, env=environ, check=True)
    used = {message.key for message in catalogue(tmp_path, "fr")}

    for language in LANGUAGES:
        held = {message.key for message in catalogue(settings.BASE_DIR, language)}
        assert sorted(used - held) == [], f"run makemessages and translate these into {language}"
        assert sorted(held - used) == [], f"nothing says these any more: take them out of {language}"


@pytest.mark.parametrize(
    "language, words",
    [("fr", ["0 jugement", "1 jugement", "2 jugements"]), ("pt", ["0 avaliações", "1 avaliação", "2 avaliações"])],
)
def test_nought_counts_as_each_language_counts_it(language, words):
    with override(language):
        assert [ngettext("%(n)s review", "%(n)s reviews", n) % {"n": n} for n in range(3)] == words
