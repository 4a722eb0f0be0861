"""Between the keys of `files` and the options of the static handler, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from chute.config.document import FilesTable, UploadTable
from chute.config.problems import Path
from chute.config.quantities import Duration, Rate, Size
from chute.errors import ConfigError
from chute.static.candidates import parse_candidates
from chute.static.codecs import CODINGS, LEVELS
from chute.static.media_types import MediaTypes, parse_media_type_override
from chute.static.options import StaticOptions, UploadOptions
from chute.static.rules import CACHE_CONTROL, FieldRule, Rules, parse_cache_rule
from chute.variables.names import Names

P = ParamSpec("P")
T = TypeVar("T")

Complain = Callable[[Path, ConfigError], None]

SPA = ("$uri", "$uri/", "/index.html")
"""What is tried for a single-page app."""

_DEFAULTS = StaticOptions(root=".")
_UPLOADS = UploadOptions()


def to_options(
    table: FilesTable,
    root: str,
    complain: Complain,
    *,
    names: Names | None = None,
    prefix: str = "/",
    only: str | None = None,
) -> StaticOptions:
    """Return how files are served.

    Args:
        table: what is said about it.
        root: the folder.
        complain: told of each problem, with its path beneath the table.
        names: what variables there are; those that every request has when left out.
        prefix: the path beneath which the folder answers.
        only: the one name that is served, or None.
    """
    given: dict[str, Any] = {}
    for key, attribute in _SAME.items():
        value = getattr(table, key)
        if value is not None:
            given[attribute] = value
    for key, attribute in _QUANTITIES.items():
        quantity = getattr(table, key)
        if quantity is not None:
            given[attribute] = quantity.value
    checking = _Checking(table, complain, names)
    given.update(checking.checked())
    return StaticOptions(root=root, only=only, prefix=prefix, **given)


_SAME = {
    "index": "index",
    "listing": "listing",
    "archives": "archives",
    "hidden": "hidden",
    "links": "links",
    "sidecars": "sidecars",
    "compress": "compress",
    "compress_type": "compress_types",
    "charset": "charset",
    "entity_tags": "entity_tag_suffix",
    "sendfile": "sendfile",
    "open_files": "open_files_max",
}

_QUANTITIES = {
    "compress_min": "compress_min_bytes",
    "limit_rate": "limit_rate",
    "limit_rate_after": "limit_rate_after",
    "valid": "valid_s",
    "sendfile_min": "sendfile_min_bytes",
}

_KINDS = {"limit_rate": Rate, "valid": Duration}


class _Checking:
    """Reads the keys that have to be understood."""

    def __init__(self, table: FilesTable, complain: Complain, names: Names | None) -> None:
        self._table = table
        self._names = names
        self._complain = complain

    def checked(self) -> dict[str, Any]:
        table = self._table
        given: dict[str, Any] = {}
        self._check_index(table.index or ())
        if table.try_files is not None:
            self._try(("try_files",), parse_candidates, table.try_files, self._names)
            given["try_files"] = table.try_files
        elif table.spa:
            given["try_files"] = SPA
        rules = (*self._cache_rules(table.cache or {}), *self._field_rules(table.field or {}))
        if rules:
            given["rules"] = rules
        if table.media_type is not None:
            given["media_types"] = tuple(self._media_types(table.media_type))
        if table.charset is not None:
            self._try(("charset",), MediaTypes, (), charset=table.charset)
        if table.compress_level is not None:
            given["compress_levels"] = tuple(self._levels(table.compress_level))
        if table.upload:
            written = UploadTable() if table.upload is True else table.upload
            given["uploads"] = _upload_options(written)
        return given

    def _check_index(self, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            if not name or "/" in name or name in (".", ".."):
                error = ConfigError(
                    f"{name!r} is no name of a file", hint='for example "index.html"'
                )
                self._complain(("index", index), error)

    def _cache_rules(self, cache: dict[str, str]) -> list[FieldRule]:
        rules = []
        for pattern, period in cache.items():
            rule = self._try(("cache", pattern), parse_cache_rule, f"{pattern}={period}")
            if rule is not None:
                rules.append(rule)
        return rules

    def _field_rules(self, written: dict[str, dict[str, str]]) -> list[FieldRule]:
        rules = []
        for pattern, fields in written.items():
            for name, value in fields.items():
                rule = FieldRule(pattern, name, value)
                if self._try(("field", pattern, name), Rules, [rule]) is not None:
                    rules.append(rule)
        return rules

    def _media_types(self, written: dict[str, str]) -> list[tuple[str, str]]:
        found = []
        for extension, media_type in written.items():
            text = f"{extension}={media_type}"
            pair = self._try(("media_type", extension), parse_media_type_override, text)
            if pair is not None:
                found.append(pair)
        return found

    def _levels(self, written: dict[str, int]) -> list[tuple[str, int]]:
        known = {coding.name.decode(): LEVELS[coding] for coding in CODINGS}
        found = []
        for name, level in written.items():
            levels = known.get(name)
            if levels is None:
                hint = f"there are {', '.join(known)}"
                error = ConfigError(f"there is no content coding {name!r}", hint=hint)
            elif not levels.min <= level <= levels.max:
                error = ConfigError(
                    f"{name} has levels from {levels.min} to {levels.max}, not {level}"
                )
            else:
                found.append((name, level))
                continue
            self._complain(("compress_level", name), error)
        return found

    def _try(
        self, path: Path, read: Callable[P, T], *arguments: P.args, **more: P.kwargs
    ) -> T | None:
        try:
            return read(*arguments, **more)
        except ConfigError as error:
            self._complain(path, error)
            return None


def _upload_options(table: UploadTable) -> UploadOptions:
    return UploadOptions(
        content_bytes_max=int((table.max or Size(_UPLOADS.content_bytes_max)).value),
        quota_bytes=None if table.quota is None else int(table.quota.value),
        overwrite=bool(table.overwrite),
        origins=table.origins or (),
    )


def to_keys(options: StaticOptions) -> dict[str, object]:
    """Return the keys of `files` that say what `options` do, beside root and prefix, and without what is usual."""
    keys: dict[str, object] = {}
    for key, attribute in _SAME.items():
        value = getattr(options, attribute)
        if value != getattr(_DEFAULTS, attribute):
            keys[key] = value
    for key, attribute in _QUANTITIES.items():
        value = getattr(options, attribute)
        if value != getattr(_DEFAULTS, attribute):
            keys[key] = str(_KINDS.get(key, Size)(value))
    cache, fields = _rule_keys(options.rules)
    uploads = options.uploads
    others: dict[str, object] = {
        "try_files": options.try_files,
        "cache": cache,
        "field": fields,
        "media_type": dict(options.media_types),
        "compress_level": dict(options.compress_levels),
        "upload": uploads is not None and (_upload_keys(uploads) or True),
    }
    return {**keys, **{key: value for key, value in others.items() if value}}


def _rule_keys(rules: tuple[FieldRule, ...]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return what `cache` and `field` say; a rule about caching is one of `cache` unless it comes after others."""
    cache: dict[str, str] = {}
    fields: dict[str, dict[str, str]] = {}
    for rule in rules:
        is_cache = rule.name.lower() == CACHE_CONTROL.decode().lower() and not fields
        if is_cache and rule.pattern not in cache:
            cache[rule.pattern] = rule.value or "off"
        else:
            fields.setdefault(rule.pattern, {})[rule.name] = rule.value
    return cache, fields


def _upload_keys(uploads: UploadOptions) -> dict[str, object]:
    keys: dict[str, object] = {}
    if uploads.content_bytes_max != _UPLOADS.content_bytes_max:
        keys["max"] = str(Size(uploads.content_bytes_max))
    if uploads.quota_bytes is not None:
        keys["quota"] = str(Size(uploads.quota_bytes))
    if uploads.overwrite:
        keys["overwrite"] = True
    if uploads.origins:
        keys["origins"] = uploads.origins
    return keys
