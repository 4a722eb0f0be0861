"""What this Python brings along: the parser in C, eager tasks, threads without a lock."""

from __future__ import annotations

import importlib
import sys
import sysconfig

from chute.transfer.abilities import Ability, Answer


def find_interpreter_abilities() -> list[Ability]:
    """Look at what this Python brings along."""
    return [_try_httptools(), _find_eager_tasks(), _find_free_threading()]


def _try_httptools() -> Ability:
    """Parse a request head with the parser, and see whether it is the compiled one."""
    name = "httptools"
    try:
        module = importlib.import_module("httptools")
        compiled = importlib.import_module("httptools.parser.parser")
        parser = module.HttpRequestParser(object())
        parser.feed_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        is_right = parser.get_method() == b"GET"
    except Exception as error:  # noqa: BLE001 - a broken extension raises whatever it likes, and that is the answer
        return Ability(name, Answer.NO, f"{type(error).__name__}: {error}; install it again")
    is_compiled = str(getattr(compiled, "__file__", "")).endswith((".so", ".pyd"))
    version = getattr(module, "__version__", "")
    if not is_right or not is_compiled:
        return Ability(
            name, Answer.NO, "the compiled parser is not what was found; install it again"
        )
    return Ability(name, Answer.YES, f"{version}, the compiled parser".removeprefix(", "))


def _find_eager_tasks() -> Ability:
    name = "eager tasks"
    if sys.version_info >= (3, 12):
        detail = "coroutines that never wait need no turn of the event loop"
        return Ability(name, Answer.YES, detail, is_used=False)
    return Ability(name, Answer.NO, "Python 3.12 and later have them", is_used=False)


def _find_free_threading() -> Ability:
    name = "free threading"
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return Ability(
            name,
            Answer.NO,
            "a build with the GIL, which is all that chute's processes need",
            is_used=False,
        )
    is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    if is_gil_enabled():
        return Ability(
            name,
            Answer.PARTLY,
            "the build is, but an extension has turned the GIL on",
            is_used=False,
        )
    return Ability(
        name, Answer.YES, "chute makes no use of it: each worker is a process", is_used=False
    )
