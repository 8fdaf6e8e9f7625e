"""List the benches or run one: python -m tests.bench [NAME [arguments]].

`./dev bench` gives it a database and a Redis database of its own, migrated and empty.
"""

import ast
import sys
from importlib import import_module
from pathlib import Path


def benches() -> dict[str, str]:
    """Names and first lines of what can be run; modules with an underscore in front are what benches share."""
    modules = (path for path in sorted(Path(__file__).parent.glob("*.py")) if not path.stem.startswith("_"))
    return {path.stem: first_line(path) for path in modules}


def first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0]


def run(name: str, arguments: list[str]) -> int:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    return import_module(f"tests.bench.{name}").main(arguments) or 0


def main(arguments: list[str]) -> int:
    known = benches()
    if not arguments:
        for name, says in known.items():
            print(f"  {name:<14} {says}")
        return 0
    name, *rest = arguments
    if name not in known:
        print(f"There is no bench {name}; there are: {', '.join(known) or 'none yet'}.", file=sys.stderr)
        return 2
    return run(name, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
