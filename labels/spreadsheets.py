"""What a spreadsheet program does to a file of ours when a person opens it."""

# A cell that begins so is run as a formula; full-width forms count too, and so do blanks or control characters before.
STARTS_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def safe_text(value: str) -> str:
    """The text with an apostrophe before anything a spreadsheet would run. For text columns only, never for numbers."""
    # A tab or line break at the start of a cell hides the sign behind it from a plain look at the first character.
    if value[:1] in ("\t", "\r", "\n") or value.lstrip().startswith(STARTS_FORMULA):
        return "'" + value
    return value
