"""The options about who may come in, what may come in, and what every answer says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from chute.cli.options import option
from chute.cli.sizes import shown, size
from chute.config.bind import Bind, is_local
from chute.errors import ConfigError
from chute.exchange import failure
from chute.middleware.basic_auth import BasicAuth
from chute.middleware.cors import CorsOptions, with_cors
from chute.middleware.options import AccessOptions
from chute.middleware.passwords import users_of
from chute.static.options import UploadOptions

logger = logging.getLogger("chute")

Command = TypeVar("Command", bound=Callable[..., Any])

_UPLOADS = UploadOptions()
_ACCESS = AccessOptions()

UPLOAD_METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")
"""What pages of other origins may use where uploads are on."""

_OPTIONS = (
    option(
        "--auth",
        multiple=True,
        metavar="USER:HASH",
        help="Let only those in who know a password; its hash is made by `htpasswd -nBC 10 USER`. Repeatable.",
    ),
    option(
        "--auth-file",
        type=click.Path(dir_okay=False),
        default="",
        metavar="PATH",
        help="A file of such lines, as htpasswd writes it.",
    ),
    option(
        "--realm",
        default=_ACCESS.realm,
        show_default=True,
        help="What clients show when they ask for a password.",
    ),
    option(
        "--cors",
        multiple=True,
        metavar="ORIGIN|*",
        help="Let pages of this origin read what is served, such as 'https://app.example.org'. Repeatable.",
    ),
    option(
        "--security-fields",
        type=click.Choice(["off", "basic", "strict"]),
        default="off",
        show_default=True,
        help="Fields that tell browsers to be careful with what is served.",
    ),
    option(
        "--upload",
        is_flag=True,
        help="Receive files: PUT, forms, resumable uploads (tus), and by dragging them onto a listing. Needs --auth "
        "where others can reach the server.",
    ),
    option(
        "--upload-max",
        type=size,
        metavar="SIZE",
        default=shown(_UPLOADS.content_bytes_max),
        show_default=True,
        help="Larger uploads are refused.",
    ),
    option(
        "--upload-quota",
        type=size,
        metavar="SIZE",
        default=None,
        help="What all files in the folder may come to. Default: what the disk holds.",
    ),
    option(
        "--overwrite",
        is_flag=True,
        help="Let an upload replace a file without naming its state (If-Match).",
    ),
)


def access_options(command: Command) -> Command:
    """Declare these options on `command`, which hands them to the two functions below."""
    for declare in reversed(_OPTIONS):
        command = declare(command)
    return command


def make_access_options(given: dict[str, Any]) -> AccessOptions:
    """Return who may come in; the values of the options are taken out of `given`.

    Raises:
        ConfigError: an option makes no sense.
    """
    origins = given.pop("cors")
    preset = given.pop("security_fields")
    cors = None
    if origins:
        methods = UPLOAD_METHODS if given["upload"] else CorsOptions().methods
        cors = CorsOptions(origins="*" if "*" in origins else origins, methods=methods)
    access = AccessOptions(
        users=given.pop("auth"),
        password_file=given.pop("auth_file"),
        realm=given.pop("realm"),
        cors=cors,
        security_fields=None if preset == "off" else preset,
    )
    if access.asks_for_passwords:
        warning = BasicAuth(users_of(access), access.realm).warning  # now, and not in each worker
        if warning:
            logger.warning("%s", warning)
    if cors is not None:
        with_cors(lambda _: failure(404, ""), cors)
    return access


def make_upload_options(
    given: dict[str, Any], binds: Sequence[Bind], access: AccessOptions
) -> UploadOptions | None:
    """Return how files are received, or None; the values of the options are taken out of `given`.

    Raises:
        ConfigError: anybody in the network could send files.
    """
    content_bytes_max, quota_bytes = given.pop("upload_max"), given.pop("upload_quota")
    overwrite = given.pop("overwrite")
    if not given.pop("upload"):
        return None
    open_to_all = [bind for bind in binds if not is_local(bind)]
    if open_to_all and not access.asks_for_passwords:
        raise ConfigError(
            f"--upload at {open_to_all[0]} would let anybody who reaches it send files",
            hint="add --auth USER:HASH (htpasswd -nBC 10 USER makes one), or --bind 127.0.0.1:8000",
        )
    # A page of any origin may read where CORS says so; only one of a named origin may write.
    origins = () if access.cors is None or access.cors.origins == "*" else access.cors.origins
    return UploadOptions(
        content_bytes_max=content_bytes_max,
        quota_bytes=quota_bytes,
        overwrite=overwrite,
        origins=origins,
    )
