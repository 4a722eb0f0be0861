"""Whose passwords are asked for: what the options name, read."""

from __future__ import annotations

from typing import Final

from chute.errors import ConfigError
from chute.middleware.basic_auth import parse_htpasswd, parse_user
from chute.middleware.options import AccessOptions

PASSWORD_FILE_BYTES_MAX: Final = 4 * 1024 * 1024


def users_of(access: AccessOptions) -> dict[bytes, bytes]:
    """Return the password hash of each user.

    Raises:
        ConfigError: the password file cannot be read, or an entry is none.
    """
    users: dict[bytes, bytes] = {}
    if access.password_file:
        try:
            with open(access.password_file, "rb") as file:
                users = parse_htpasswd(file.read(PASSWORD_FILE_BYTES_MAX), access.password_file)
        except OSError as error:
            raise ConfigError(
                f"cannot read the password file {access.password_file!r}: {error.strerror}"
            ) from error
    for text in access.users:
        user, hashed = parse_user(text)
        users[user] = hashed
    return users
