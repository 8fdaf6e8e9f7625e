"""What the documentation promises about settings is true and complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
DEPLOYMENT = (CLONE / "docs" / "deployment.md").read_text()
SETTINGS = (CLONE / "asm_audit" / "settings.py").read_text()
VARIABLES = set(re.findall(r'env\.\w+\(\s*"(\w+)"', SETTINGS))


def documented_variables() -> set[str]:
    environment = DEPLOYMENT.partition("### Environment")[2].partition("###")[0]
    return set(re.findall(r"^\| `(\w+)` \|", environment, re.MULTILINE))


def example_environment() -> dict[str, str]:
    environment = DEPLOYMENT.partition("### Environment")[2]
    block = re.search(r"```ini\n(.*?)```", environment, re.DOTALL)[1]
    return dict(line.split("=", 1) for line in block.splitlines())


def test_every_environment_variable_is_documented():
    assert VARIABLES - documented_variables() == set()


def test_no_environment_variable_is_invented():
    assert documented_variables() - VARIABLES == set()


def test_the_example_sets_only_what_the_settings_read():
    assert set(example_environment()) <= VARIABLES


def test_the_example_passes_the_deployment_check():
    secret = {"SECRET_KEY": "n7Vd2RkX0aYtQe5LwZ8uCi3HsJm6PbGf1OxTqNyWvKr4EzBhUl"}
    environment = {"PATH": os.environ["PATH"]} | example_environment() | secret
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=CLONE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
