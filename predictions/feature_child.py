"""The process that opens a feature file of a stranger: `python -m predictions.feature_child`, started by
`feature_files` only.

It knows no database, no models and no secret; of Django only the translations. It reads one request (JSON), leaves two
files of plain numbers in its folder and answers with one line of JSON: {"n_rows": n, "columns": […], "ignored": […],
"n_without_features": n}, or {"refused": "sentence"}.
"""

import json
import sys
from pathlib import Path

from django.utils.translation import gettext as _

from labels import isolation
from labels.errors import BadInput

MAX_NAMES, MAX_NAME = 50, 200  # of columns that are ignored, told; letters of one


def main() -> int:
    answers = isolation.own_output()
    request = json.load(sys.stdin)
    isolation.die_with(request["parent"])
    isolation.limit(request["memory_mib"], request["cpu_s"], -(-request["max_bytes"] // 2**20))
    try:
        isolation.speak(request["language"])
        answer = _read(request)
    except BadInput as error:
        answer = {"refused": str(error)}
    except MemoryError:  # pyarrow's is one, too
        answer = {"refused": _("The file needs more memory than a reader may have. Cut it into parts.")}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    return 0


def _read(request: dict) -> dict:
    from predictions.feature_tables import written

    told = written(
        Path(request["path"]),
        Path(request["folder"]),
        expected=request["expected"] and tuple(request["expected"]),
        max_bytes=request["max_bytes"],
    )
    return told | {"ignored": [name[:MAX_NAME] for name in told["ignored"][:MAX_NAMES]]}


if __name__ == "__main__":
    sys.exit(main())
