"""What can be set about who may come in, and what every answer says. `config` composes this."""

from __future__ import annotations

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
