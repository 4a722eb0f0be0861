"""What can be set about who may come in, what every answer says, and what is noted. `config` composes this."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from chute.middleware.cors import CorsOptions
from chute.middleware.security_fields import Preset


class AccessOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of what is done around a handler.

    Attributes:
        users: who may come in, each as `user:hash`; nobody is asked when there are none.
        password_file: a file of such lines, as `htpasswd` writes it, or an empty string.
        realm: what clients show when they ask for a password.
        cors: which other origins may read answers, or None for none.
        security_fields: a set of fields that tell browsers to be careful, or None.
    """

    users: tuple[str, ...] = ()
    password_file: str = ""
    realm: str = "chute"
    cors: CorsOptions | None = None
    security_fields: Preset | None = None

    @property
    def asks_for_passwords(self) -> bool:
        """Whether only those may come in who have one."""
        return bool(self.users or self.password_file)


COMBINED: Final = "combined"
JSON: Final = "json"


class LogFormatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A format of access logs.

    Attributes:
        name: under which logs know it.
        template: text with variables.
        escape: see `log_template`.
    """

    name: str
    template: str
    escape: Literal["default", "json", "none"] = "default"


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One access log.

    Attributes:
        path: of the file, or `-` for standard output.
        format: the name of a format, `combined` or `json`.
        when: conditions; only answers for which all hold are noted.
        sample: the part of the answers that is noted, from 0 to 1.
    """

    path: str = "-"
    format: str = COMBINED
    when: tuple[str, ...] = ()
    sample: float = 1.0
