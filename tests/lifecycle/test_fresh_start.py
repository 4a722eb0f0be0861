"""What a newcomer reads is true: every command in the guides exists, and every option has its line.

Nothing is installed and nothing is fetched here: make only says what it would do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
HELP_ONLY = {"--help", "--print-config"}
"""Options that the text below README's table tells of."""


def read(name: str) -> str:
    return (ROOT / name).read_text()


def targets_of_the_makefile() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", read("Makefile"), re.MULTILINE))


def targets_named_in(text: str) -> set[str]:
    """Return the targets of `make ...` where it is a command: in code spans and code blocks, not in prose."""
    code = re.findall(r"^```.*?^```|`[^`\n]+`", text, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"\bmake((?: [\w.=-]+)+)", "\n".join(code).replace("`", " ; "))
    words = {word for command in commands for word in command.split()}
    return {word for word in words if "=" not in word}


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20
    )


def options_in_the_help() -> set[str]:
    result = subprocess.run(
        [sys.executable, "-m", "chute", "serve", "--help"],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert result.returncode == 0, result
    lines = re.findall(r"^  (-.*?)(?:  |$)", result.stdout, re.MULTILINE)
    return set(re.findall(r"--[a-z][a-z-]*", " ".join(lines)))


def options_in_the_table() -> set[str]:
    _, _, section = read("README.md").partition("| option | meaning |\n")
    table = section.partition("\n\n")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines()]
    return set(re.findall(r"--[a-z][a-z-]*", " ".join(cells)))


def test_make_without_a_target_lists_every_target():
    result = make()
    assert result.returncode == 0, result
    listed = {line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")}
    assert targets_of_the_makefile() <= listed
    assert make("help").stdout == result.stdout


@pytest.mark.parametrize("guide", GUIDES)
def test_every_make_target_in_a_guide_exists(guide: str):
    assert targets_named_in(read(guide)) <= targets_of_the_makefile()


def test_every_make_target_is_explained_to_contributors():
    assert targets_of_the_makefile() - {"help"} <= targets_named_in(read("CONTRIBUTING.md"))


@pytest.mark.parametrize("target", sorted(targets_of_the_makefile()))
def test_every_make_target_knows_what_to_do(target: str):
    result = make("--dry-run", target)
    assert result.returncode == 0, result
    assert result.stdout


def test_options_and_their_table_agree():
    assert options_in_the_table() == options_in_the_help() - HELP_ONLY


def test_options_outside_the_table_are_told_below_it():
    text = read("README.md").partition("| option | meaning |\n")[2]
    for option in HELP_ONLY:
        assert f"{option}`" in text


@pytest.mark.parametrize("guide", [*GUIDES, "examples/README.md", "bench/README.md"])
def test_every_link_between_the_pages_leads_somewhere(guide: str):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", read(guide)):
        if not target.startswith(("http:", "https:")):
            assert (ROOT / guide).parent.joinpath(target).exists(), target


def test_programs_of_the_repository_may_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
