"""What an import did, in one line that scripts read."""

from dataclasses import dataclass


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
        return (
            f"{self.n_created} created, {self.n_updated} updated, {self.n_unchanged} unchanged, "
            f"{self.n_refused} refused ({self.n_rows} rows)"
        )
