"""One directive at a time: an nginx.conf around it, and what it becomes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from chute.config.document import Document
from chute.config.nginx import Translation, translate
from chute.config.quantities import decode_quantity

Table = dict[str, Any]

LEVELS = {
    "main": "{} http {{ server {{ listen 80 default_server; root /srv; }} }}",
    "http": "http {{ {} server {{ listen 80 default_server; root /srv; }} }}",
    "server": "http {{ server {{ listen 80 default_server; root /srv; {} }} }}",
    "location": "http {{ server {{ listen 80 default_server; root /srv; location /x/ {{ {} }} }} }}",
}

OF_NGINX = {
    "hidden": True,
    "links": "follow",
    "sidecars": False,
    "compress": False,
    "charset": "",
    "cache": {"*": "off"},
}


def translate_text(folder: Path, text: str) -> tuple[Table, Translation]:
    """Return the table that `text` becomes, which is one that chute knows."""
    path = folder / "nginx.conf"
    path.write_text(text)
    translation = translate(str(path))
    table = tomllib.loads(translation.text)
    msgspec.convert(table, Document, dec_hook=decode_quantity)
    return table, translation


def lines_of(translation: Translation) -> list[str]:
    return [f"{each.directive}: {each.why}" for each in translation.left_out]


def at_level(level: str, table: Table) -> Table:
    """Return what a table says beyond what every one of these says."""
    if level == "main":
        rest = {key: table[key] for key in table if key not in ("defaults", "listener", "site")}
    elif level == "http":
        rest = dict(table["defaults"])
        rest["files"] = {
            key: value
            for key, value in rest["files"].items()
            if key not in OF_NGINX or OF_NGINX[key] != value
        }
        others = ("defaults", "listener", "site")
        rest.update({key: table[key] for key in table if key not in others})
    elif level == "server":
        site = table["site"][0]
        rest = {key: site[key] for key in site if key not in ("default", "root")}
    else:
        location = table["site"][0]["location"][0]
        rest = {key: location[key] for key in location if key != "match"}
    return {key: value for key, value in rest.items() if value != {}}
