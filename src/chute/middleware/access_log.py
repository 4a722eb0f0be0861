r"""The access log: one line per answer, written when the answer has ended.

Two formats. `combined` is the one that every log tool knows, with three columns added at its end: the duration in
seconds, how the content was carried, and whether the answer was completed. `json` has the same facts by name.

A line is made of three parts, because two of them repeat: the part about the peer is made once per connection, the
part with the time once per second, and for an answer from the plan cache the rest is made once per plan. So a line
costs one list append; joining and writing happens per second or per 64 KiB, whichever comes first.

Everything that a peer sent is escaped: `combined` as nginx does (`\xHH` for quotes, backslashes and bytes outside
printable ASCII), `json` by the JSON encoder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

from chute.exchange import Answered, Ends, LineFormat
from chute.middleware.log_file import LogFile

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_PRINTABLE = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""What needs no escape. Deleting it from a line and looking at what is left takes a tenth of a search."""

_UNPRINTABLE = re.compile(rb"[^ !#-\[\]-~]")

PARTS_MAX = 3 * 1024
"""Parts held before a flush is due: about a thousand lines, or some hundred kilobytes."""


class CombinedFormat:
    """The combined format of Apache and nginx, in UTC, and `duration carried complete|aborted` behind it."""

    is_repeatable = True

    def peer(self, ends: Ends) -> bytes:
        """Return the address and the two dashes for the users that nobody knows."""
        return f"{ends.remote_address} - - [".encode()

    def moment(self, second: int) -> bytes:
        """Return the time as `23/Nov/2026:05:45:28 +0000`, closed by its bracket."""
        now = datetime.fromtimestamp(second, UTC)
        month = _MONTHS[now.month - 1]
        return f'{now.day:02}/{month}/{now:%Y:%H:%M:%S} +0000] "'.encode()

    def rest(self, answered: Answered) -> bytes:
        """Return request line, status, bytes, referer, user agent and the three columns of our own."""
        head = answered.head
        if head is None:
            line, referer, agent = answered.request_line, b"-", b"-"
        else:
            line = b"%b %b HTTP/1.%d" % (head.method, head.request_target, head.minor_version)
            referer = head.fields.get(b"referer", b"-")
            agent = head.fields.get(b"user-agent", b"-")
        if (line + referer + agent).translate(None, _PRINTABLE):
            line, referer, agent = escape(line), escape(referer), escape(agent)
        return b'%b" %d %d "%b" "%b" %.3f %b %b\n' % (
            line,
            answered.status,
            answered.sent_bytes,
            referer,
            agent,
            answered.duration_s,
            answered.carried,
            b"complete" if answered.is_complete else b"aborted",
        )


class JsonFormat:
    """One JSON object per line."""

    is_repeatable = True

    def peer(self, ends: Ends) -> bytes:
        """Return the opening and the address."""
        return b'{"remote_addr": %b, "time": "' % json.dumps(ends.remote_address).encode()

    def moment(self, second: int) -> bytes:
        """Return the time in ISO 8601."""
        return datetime.fromtimestamp(second, UTC).isoformat().encode() + b'", '

    def rest(self, answered: Answered) -> bytes:
        """Return the other members and the closing."""
        head = answered.head
        facts: dict[str, str | int | float | bool | None] = {}
        if head is None:
            facts["request"] = _text(answered.request_line)
        else:
            facts["method"] = _text(head.method)
            facts["target"] = _text(head.request_target)
            facts["protocol"] = f"HTTP/1.{head.minor_version}"
            facts["host"] = _text(head.field_value(b"host"))
            facts["referer"] = _text(head.field_value(b"referer"))
            facts["user_agent"] = _text(head.field_value(b"user-agent"))
        facts["status"] = answered.status
        facts["bytes_sent"] = answered.sent_bytes
        facts["duration_s"] = round(answered.duration_s, 6)
        facts["carried"] = _text(answered.carried)
        facts["complete"] = answered.is_complete
        return json.dumps(facts).encode()[1:] + b"\n"


class AccessLog:
    """Collects lines and hands them to a file.

    Attributes:
        format: how a line looks.
        extend: append three parts to the pending lines; a bound method of a list, to spare a call per request.
    """

    __slots__ = ("_file", "_parts", "extend", "format")

    def __init__(self, line_format: LineFormat, file: LogFile) -> None:
        """Write lines of `line_format` to `file`, which this log closes in the end."""
        self.format = line_format
        self._file = file
        self._parts: list[bytes] = []
        self.extend: Callable[[tuple[bytes, ...]], None] = self._parts.extend

    def flush_if_due(self) -> None:
        """Write when much is pending; called once per batch of events, so nothing is counted per line."""
        if len(self._parts) >= PARTS_MAX:
            self.flush()

    def flush(self) -> None:
        """Hand everything pending to the file."""
        if self._parts:
            lines = b"".join(self._parts)
            self._parts.clear()
            self._file.write(lines)

    def reopen(self) -> None:
        """Write what is pending to the old file, and go on with the one that has its name now."""
        self.flush()
        self._file.reopen()

    def close(self) -> None:
        """Write what is pending and close the file."""
        self.flush()
        self._file.close()


FLUSHED_PER_BATCH = 4
"""How many logs are looked at after each batch of events: with a thousand of them, each has its turn now and then."""


class AccessLogs:
    """All the logs of one process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._logs: list[AccessLog] = []
        self._next = 0

    def add(self, log: AccessLog) -> AccessLog:
        """Take `log` over: it is flushed and closed from now on. Returns it."""
        self._logs.append(log)
        return log

    def flush_if_due(self) -> None:
        """Write what is much; called once per batch of events."""
        count = len(self._logs)
        for _ in range(min(count, FLUSHED_PER_BATCH)):
            self._next = (self._next + 1) % count
            self._logs[self._next].flush_if_due()

    def flush(self) -> None:
        """Write everything; called every second."""
        for log in self._logs:
            log.flush()

    def reopen(self) -> None:
        """Go on in the files that the names lead to now."""
        for log in self._logs:
            log.reopen()

    def close(self) -> None:
        """Write everything, and close the files. Idempotent."""
        for log in self._logs:
            log.close()
        self._logs.clear()


def escape(value: bytes) -> bytes:
    """Return `value` with everything escaped that a line must not have."""
    return _UNPRINTABLE.sub(lambda match: b"\\x%02X" % match[0][0], value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")
