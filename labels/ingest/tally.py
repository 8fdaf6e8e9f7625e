"""What an import did, in one line that scripts read."""

from dataclasses import asdict, dataclass

from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Tally:
    # Site records made; existing ones that got a new observation; existing ones that got none.
    n_created: int
    n_updated: int
    n_unchanged: int
    # Rows of the file.
    n_refused: int
    n_rows: int
    # Rows taken in that state no position.
    n_unlocated: int = 0

    def __str__(self) -> str:
        words = _(
            "%(n_created)d created, %(n_updated)d updated, %(n_unchanged)d unchanged, %(n_refused)d refused"
            " (%(n_rows)d rows)"
        )
        return words % asdict(self)
