"""A complete copy of the example site, with the downloads that a checkout does not carry."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def copy_example_site(folder: Path) -> None:
    """Fill `folder`, which may exist, with the site that `make serve` shows."""
    shutil.copytree(
        EXAMPLES / "site", folder, ignore=shutil.ignore_patterns("downloads"), dirs_exist_ok=True
    )
    spec = importlib.util.spec_from_file_location("make_downloads", EXAMPLES / "make_downloads.py")
    assert spec is not None
    assert spec.loader is not None
    make_downloads = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_downloads)
    make_downloads.DOWNLOADS = folder / "downloads"
    make_downloads.main()
