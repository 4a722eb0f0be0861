"""From a configuration back to a `chute.toml` that means the same: what `--print-config` prints.

Only what is not a default is written, and nothing is left to be taken over: each site says all of what it does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from chute.config.file_options import to_keys
from chute.config.model import SHUTDOWN_TIMEOUT_S, Config, Location, Site
from chute.config.quantities import Duration, Size
from chute.config.resolve import LIMITS
from chute.config.toml_text import render
from chute.engine.limits import Limits
from chute.middleware.cors import CorsOptions
from chute.middleware.options import COMBINED, AccessOptions, LogOptions
from chute.routing.options import RedirectOptions, RespondOptions, RewriteOptions
from chute.static.options import StaticOptions

_DEFAULT_DOCUMENTS = StaticOptions(root=".").error_documents


def render_config(config: Config) -> str:
    """Return a document that resolves to `config`."""
    document: dict[str, object] = {}
    if config.workers != 1:
        document["workers"] = config.workers
    if config.pid_file is not None:
        document["pid_file"] = config.pid_file
    if config.shutdown_timeout_s != SHUTDOWN_TIMEOUT_S:
        document["shutdown_timeout"] = str(Duration(config.shutdown_timeout_s))
    if config.debug_headers:
        document["debug_headers"] = True
    if config.poller != "auto":
        document["poller"] = config.poller
    limits = _limit_keys(config.limits)
    if limits:
        document["limits"] = limits
    document["listener"] = {
        each.name: {
            "bind": str(each.bind),
            **({} if each.mode is None else {"mode": f"{each.mode:04o}"}),
            **({} if each.owner == (-1, -1) else {"owner": _owner(each.owner)}),
        }
        for each in config.listeners
    }
    if config.log_formats:
        document["log_format"] = {
            each.name: {"template": each.template, "escape": each.escape}
            for each in config.log_formats
        }
    if config.maps:
        document["map"] = {
            each.name: {
                "source": each.source,
                "default": each.default,
                "values": dict(each.values),
            }
            for each in config.maps
        }
    document["site"] = [_site_keys(site) for site in config.sites]
    return render(document)


def _owner(owner: tuple[int, int]) -> str:
    user, group = ("" if number < 0 else str(number) for number in owner)
    return f"{user}:{group}" if group else user


def _limit_keys(limits: Limits) -> dict[str, object]:
    keys: dict[str, object] = {}
    defaults = Limits()
    for key in LIMITS:
        attribute = LIMITS[key]
        value = getattr(limits, attribute)
        if value == getattr(defaults, attribute):
            continue
        if attribute.endswith("_s"):
            keys[key] = str(Duration(value))
        else:
            keys[key] = str(Size(value)) if "bytes" in attribute else value
    return keys


def _site_keys(site: Site) -> dict[str, object]:
    keys: dict[str, object] = {}
    if site.names:
        keys["names"] = site.names
    if site.is_default:
        keys["default"] = True
    if site.listeners:
        keys["listeners"] = site.listeners
    if isinstance(site.rest.action, StaticOptions):
        keys.update(_action_keys(site.rest))
    keys.update(_scope_keys(site.rest))
    if site.rewrites:
        keys["rewrite"] = [_rewrite_keys(each) for each in site.rewrites]
    if site.locations:
        keys["location"] = [_location_keys(each) for each in site.locations]
    return keys


def _location_keys(location: Location, *, is_within_internal: bool = False) -> dict[str, object]:
    keys: dict[str, object] = {"match": location.match}
    if location.when:
        keys["when"] = location.when
    if location.is_internal != is_within_internal:
        keys["internal"] = location.is_internal
    keys.update(_action_keys(location))
    keys.update(_scope_keys(location))
    if location.rewrites:
        keys["rewrite"] = [_rewrite_keys(each) for each in location.rewrites]
    if location.locations:
        keys["location"] = [
            _location_keys(each, is_within_internal=location.is_internal)
            for each in location.locations
        ]
    return keys


def _action_keys(location: Location) -> dict[str, object]:
    action = location.action
    match action:
        case StaticOptions():
            root = action.root if action.only is None else os.path.join(action.root, action.only)
            is_alias = action.prefix != "/" or location.match.startswith("=")
            keys: dict[str, object] = {"alias" if is_alias else "root": root}
            files = to_keys(action)
            if files:
                keys["files"] = files
            return keys
        case RedirectOptions():
            return {"redirect": _redirect_keys(action)}
        case RespondOptions():
            return {"respond": _respond_keys(action)}


def _redirect_keys(action: RedirectOptions) -> object:
    return action.to if action.status == 302 else {"to": action.to, "status": action.status}


def _respond_keys(action: RespondOptions) -> object:
    if action.text is None:
        return action.status
    keys: dict[str, object] = {"status": action.status, "text": action.text}
    if action.media_type != RespondOptions().media_type:
        keys["type"] = action.media_type
    return keys


def _rewrite_keys(rewrite: RewriteOptions) -> dict[str, object]:
    keys: dict[str, object] = {}
    if rewrite.when:
        keys["when"] = rewrite.when
    if rewrite.match is not None:
        keys["match"] = rewrite.match
    if rewrite.variable:
        keys["set"] = rewrite.variable
    if rewrite.to is not None:
        keys["to"] = rewrite.to
    if rewrite.then:
        keys["then"] = rewrite.then
    if isinstance(rewrite.answer, RedirectOptions):
        keys["redirect"] = _redirect_keys(rewrite.answer)
    elif rewrite.answer is not None:
        keys["respond"] = _respond_keys(rewrite.answer)
    return keys


def _scope_keys(location: Location) -> dict[str, object]:
    keys: dict[str, object] = {}
    if location.fields:
        keys["fields"] = dict(location.fields)
    pages = {str(status): page for status, page in location.error_pages}
    if isinstance(location.action, StaticOptions):
        documents = location.action.error_documents
        for status, page in documents:
            if (status, page) not in _DEFAULT_DOCUMENTS:
                pages.setdefault(str(status), page if " " in page else "/" + page.lstrip("/"))
    if pages:
        keys["error_pages"] = pages
    keys.update(_access_keys(location.access))
    keys["log"] = _log_keys(location.logs)
    return keys


def _access_keys(access: AccessOptions) -> Mapping[str, object]:
    keys: dict[str, object] = {}
    if access.asks_for_passwords:
        auth: dict[str, object] = {}
        if access.users:
            auth["users"] = access.users
        if access.password_file:
            auth["file"] = os.path.abspath(access.password_file)
        if access.realm != AccessOptions().realm:
            auth["realm"] = access.realm
        keys["auth"] = auth
    if access.cors is not None:
        keys["cors"] = _cors_keys(access.cors)
    if access.security_fields is not None:
        keys["security_fields"] = access.security_fields
    return keys


def _cors_keys(options: CorsOptions) -> dict[str, object]:
    defaults = CorsOptions()
    keys: dict[str, object] = {"origins": options.origins}
    if options.methods != defaults.methods:
        keys["methods"] = options.methods
    if options.exposed != defaults.exposed:
        keys["exposed"] = options.exposed
    if options.max_age_s != defaults.max_age_s:
        keys["max_age"] = str(Duration(options.max_age_s))
    return keys


def _log_keys(logs: tuple[LogOptions, ...]) -> object:
    if not logs:
        return "off"
    if len(logs) == 1 and logs[0] == LogOptions(path=logs[0].path):
        return _absolute(logs[0].path)
    return [
        {
            "path": _absolute(each.path),
            **({} if each.format == COMBINED else {"format": each.format}),
            **({"when": each.when} if each.when else {}),
            **({} if each.sample == 1.0 else {"sample": each.sample}),
        }
        for each in logs
    ]


def _absolute(path: str) -> str:
    return path if path == "-" else os.path.abspath(path)
