"""The manual of `chute.toml`: `python -m chute.config.manual > docs/configuration.md`.

What is said about tables and keys comes from the docstrings of `document`, and the defaults from the options that they
become; only what stands above them is written here. A test sees that the file in `docs` is what this makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from chute.config.descriptions import (
    Key,
    Place,
    first_places,
    in_words,
    keys_of,
    places,
    places_in,
    summary,
)
from chute.config.document import (
    AuthTable,
    CorsTable,
    Document,
    FilesTable,
    LimitsTable,
    LocationTable,
    LogFormatTable,
    LogTable,
    Scope,
    SiteTable,
    UploadTable,
)
from chute.config.quantities import Duration, Quantity, Size
from chute.engine.limits import Limits
from chute.middleware.cors import CorsOptions
from chute.middleware.options import AccessOptions, LogOptions
from chute.static.options import StaticOptions, UploadOptions

EXAMPLE = """\
workers = "auto"                        # one serving process for each core

[listener.web]
bind = ":8080"

[defaults]                              # for all sites
security_fields = "basic"

[defaults.files]
cache = { "/assets/**" = "immutable", "*.json" = "no-store" }

[map.is_bot]                            # a variable: $is_bot
source = "$http_user_agent"
values = { "~*bot|crawler|spider" = "1" }
default = "0"

[[site]]
names = ["example.org", "www.example.org"]
root = "/srv/www"

[site.files]
index = ["index.html", "index.htm"]

[site.error_pages]
"404" = "/errors/404.html"
"502 503" = "We will be back in a minute."

[[site.rewrite]]                        # one name for the site
when = "$host = www.example.org"
redirect = { to = "https://example.org$request_uri", status = 301 }

[[site.location]]
match = "/downloads/"

[site.location.files]
listing = true
limit_rate = "2 MiB/s"

[[site.location]]
match = '~ ^/blog/(?<year>[0-9]+)/'     # a regular expression: in single quotes, where a backslash is one
redirect = "/archive/$year/"

[[site.location]]
match = "= /health"
respond = "ok"
log = "off"
"""
"""A file that shows what there is; it can be used as it stands."""

INTRODUCTION = """\
# Configuration

`chute run` reads `chute.toml`, or what `-c FILE` names. `chute check` tells everything that is wrong with it, and on
which line; `chute explain URL` tells what would answer a request, and why; `chute check --schema` prints the JSON
schema of the file, for editors.

A file with one site that serves one folder is

```toml
[[site]]
root = "/srv/www"
```

and one with a little of everything is

```toml
{example}```

`app`, `proxy` and `tls` have their place in the file, and are refused: they are not built yet.

## Several files

`include = ["sites/*.toml"]` reads other files, in the order of their names. They are files like the first: sites are
added to sites, listeners to listeners. A name (of a listener, a map, a format) can be given only once. A relative path,
in `include`, `root` or wherever else, is relative to the folder of the file that it stands in.

## Environment

`${NAME}` in a string is replaced by the environment variable of that name, `${NAME:-text}` by `text` if it is not set.
Such names are in upper case; `${name}` in lower case is a variable of the request. One that is not set and has no such
text is an error. What comes from the environment is text: a path, a name, a word or a quantity with a unit, and neither
a number nor `true`. In text with variables `$${NAME}` stands for `${NAME}` itself.

## Units

| | |
|---|---|
| a duration | `"500ms"`, `"75s"`, `"5m"`, `"2h"`, `"1d"`, `"1w"`, `"1h30m"`; a number is seconds |
| a size | `"512"`, `"64K"`, `"10 MiB"` (powers of 1024), `"10 MB"` (of 1000); a number is bytes |
| a rate | `"500K/s"`, `"1 MiB/s"`; a number is bytes per second |

## What is taken over

What `[defaults]` says holds for all sites, what a site says for all of its locations, and what a location says for all
locations in it. The nearest that says something about a key decides it, and says nothing about other keys: a location
with `[site.location.files]` and `listing = true` in it has everything else from its site. Tables of names (`fields`,
`error_pages`, `cache`, `media_type`) are taken over name by name; lists are taken as they are. `"off"` ends what a
wider table began (`auth`, `cors`, `log`), and `""` takes a field back.

## Which location answers

The order is nginx's, and not only that of the file:

1. `= /path` for exactly this path;
2. otherwise the longest of all prefixes (`/path/`, `^~ /path/`) that the path begins with, if it is one with `^~`;
3. otherwise the first regular expression (`~`, or `~*` without regard to case) that is found in the path, in the order
   of the file;
4. otherwise the longest prefix, and if there is none, the site itself.

The path is decoded, and without its query. Locations within a location are searched when that one has been found, and
before regular expressions beside it. `@name` is never found by a path: `error_pages`, `try_files` and rewrites lead
there. While the conditions of a location (`when`) do not hold, it is passed over.

## Rewrites

The steps of a site are taken before a location is looked for, those of a location before it answers, in the order of
the file. A step that has a `match` is taken if the path matches, one that has `when` if all of its conditions hold:

| condition | holds if |
|---|---|
| `"$arg_debug"`, `"!$arg_debug"` | the value is neither empty nor `0`; if it is |
| `"$request_method = POST"`, `"$host != example.org"` | the two are equal; if they are not |
| `"$http_user_agent ~ Mobile"`, `"!~"` | the regular expression is found; if it is not |
| `"$http_user_agent ~* bot"`, `"!~*"` | the same, without regard to case |

```toml
[[site.rewrite]]
match = '^/user/([a-z]+)$'
to = "/profiles/$1.html"
then = "last"
```

## Variables

`$name`, or `${name}` before a letter, stands for a value; `$1` to `$9` for the groups of the regular expression that
matched last; `$$` for a dollar sign. A name that nobody has defined is an error when the file is read.

| variable | value |
|---|---|
| `$host`, `$server_name` | the host that was asked for, without a port; the name of the site |
| `$scheme`, `$https`, `$server_port` | `http` or `https`; `on` or nothing; the port |
| `$uri`, `$request_uri` | the path, decoded, as rewrites have left it; path and query as they were sent |
| `$args`, `$is_args`, `$arg_page` | the query; `?` if there is one; its parameter `page` |
| `$request_method`, `$server_protocol`, `$request` | the method; `HTTP/1.1`; the whole request line |
| `$http_user_agent`, `$cookie_session` | a field of the request, in lower case and with underscores; a cookie |
| `$remote_addr`, `$remote_port`, `$remote_user` | who asks |
| `$document_root`, `$request_filename` | the root; the file that the path names |
| `$request_id` | 32 hexadecimal digits, others for each request |
| `$msec`, `$time_iso8601`, `$time_local` | the time |
| `$status`, `$sent_http_content_type` | of the answer: its status; a field |
| `$bytes_sent`, `$body_bytes_sent`, `$request_time` | of the answer that was sent: bytes, without the head; seconds |
| `$request_completion`, `$carried` | of the answer that was sent: `OK` if all of it was; how its bytes left |

Beside these there are groups of regular expressions that have a name (`(?<year>[0-9]+)`), variables that rewrites
`set`, and those of `[map]`.

Variables may be used in `to`, `redirect`, `respond`, `fields`, `when`, in the `source`, `values` and `default` of maps,
and in log formats. Those of the answer have a value in `fields`, in log formats and in the `when` of a log; those of
the answer that was sent in the last two.

## All tables and keys
"""

_STATIC = StaticOptions(root=".")
_UPLOADS = UploadOptions()
_LIMITS = Limits()


def default_values(table: type[msgspec.Struct]) -> dict[str, object]:
    """Return what holds for the keys of `table` that nobody sets, where a value of TOML can say it."""
    return _DEFAULTS.get(table, {})


_DEFAULTS: dict[type[msgspec.Struct], dict[str, object]] = {
    Document: {"workers": 1, "debug_headers": False, "poller": "auto"},
    LimitsTable: {
        "head_timeout": Duration(_LIMITS.head_timeout_s),
        "body_timeout": Duration(_LIMITS.body_timeout_s),
        "keep_alive_timeout": Duration(_LIMITS.keep_alive_timeout_s),
        "send_timeout": Duration(_LIMITS.send_timeout_s),
        "linger_timeout": Duration(_LIMITS.linger_timeout_s),
        "target_max": Size(_LIMITS.target_bytes_max),
        "head_max": Size(_LIMITS.head_bytes_max),
        "fields_max": _LIMITS.fields_max,
        "content_max": Size(_LIMITS.content_bytes_max),
        "chunk_max": Size(_LIMITS.chunk_bytes_max),
    },
    FilesTable: {
        "index": _STATIC.index,
        "try_files": ("$uri", "$uri/"),
        "spa": False,
        "listing": _STATIC.listing,
        "archives": _STATIC.archives,
        "hidden": _STATIC.hidden,
        "links": _STATIC.links,
        "sidecars": _STATIC.sidecars,
        "compress": _STATIC.compress,
        "compress_min": Size(_STATIC.compress_min_bytes),
        "charset": _STATIC.charset,
        "upload": False,
        "valid": Duration(_STATIC.valid_s),
        "sendfile": _STATIC.sendfile,
        "sendfile_min": Size(_STATIC.sendfile_min_bytes),
        "open_files": _STATIC.open_files_max,
    },
    UploadTable: {"max": Size(_UPLOADS.content_bytes_max), "overwrite": _UPLOADS.overwrite},
    AuthTable: {"realm": AccessOptions().realm},
    CorsTable: {"max_age": Duration(CorsOptions().max_age_s)},
    LogTable: {"format": LogOptions().format, "sample": LogOptions().sample},
    Scope: {"auth": "off", "cors": "off", "security_fields": "off", "log": "-"},
    SiteTable: {"default": False},
    LocationTable: {"internal": False},
    LogFormatTable: {"escape": "default"},
}


def render_manual() -> str:
    """Return the manual, in Markdown."""
    sections = [_section(place) for place in first_places()]
    return "\n".join([INTRODUCTION.replace("{example}", EXAMPLE), *sections])


def _section(place: Place) -> str:
    return "\n".join([*_heading(place), *_keys(place)]) + "\n"


def _heading(place: Place) -> Iterator[str]:
    yield f"### `{place.header}`" if place.header else "### Before all tables"
    yield ""
    if place.header:
        yield summary(place.table)
        yield ""
    headers = {other.header for other in places() if other.table is place.table}
    others = [f"`{header}`" for header in sorted(headers - {place.header}, key=len)]
    if others:
        yield f"Also {_all_of(others)}."
        yield ""
    inherited = [key for key in keys_of(place.table).values() if key.is_inherited]
    if inherited:
        yield "All keys of [`[defaults]`](#defaults), and:"
        yield ""


def _keys(place: Place) -> Iterator[str]:
    yield "| key | takes | |"
    yield "|---|---|---|"
    defaults = default_values(place.table)
    for key in keys_of(place.table).values():
        if not key.is_inherited:
            cells = (f"`{key.name}`", _taken(key), _meaning(key, defaults))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _taken(key: Key) -> str:
    """Return what a key takes, with a link to the table that it can hold."""
    words = in_words(key.kinds, quote="`")
    first = {place.table: place for place in first_places()}
    for place in places_in(key, ()):
        link = f"(#{_anchor(first[place.table])})"
        return re.sub(r"a table$|tables$", rf"[\g<0>]{link}", words)
    return words


def _anchor(place: Place) -> str:
    return "".join(each for each in place.header.lower() if each.isalnum() or each in "-_")


def _meaning(key: Key, defaults: dict[str, object]) -> str:
    text = f"{key.text[:1].upper()}{key.text[1:]}."
    if key.is_required:
        return f"**Required.** {text}"
    return f"{text} Default: `{show_value(defaults[key.name])}`." if key.name in defaults else text


def show_value(value: object) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(show_value, value))}]"
    if isinstance(value, Quantity):
        return show_value(str(value))
    return msgspec.json.encode(value).decode()


def _all_of(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


if __name__ == "__main__":
    print(render_manual(), end="")
