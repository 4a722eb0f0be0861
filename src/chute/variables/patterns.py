r"""Regular expressions of a configuration: as people write them for nginx, compiled for bytes.

nginx has PCRE and chute has Python's `re`, which agree on nearly all of what stands in configurations. What is
only spelled otherwise is translated (`(?<name>...)`, `\z`, `\h`, `[[:alpha:]]`, `(?i)` in the middle, `[\w-.]`); what
`re` has nothing for is refused, with its offset and with what to write instead.

Requests are bytes, so the patterns are: a character beyond ASCII stands for its bytes in UTF-8, and cannot be one of
`[...]`, which reads one byte. Ignoring case is for letters of ASCII.

A pattern that could take very long is refused too (`backtracking`). Time that grows with the square of a path's length
is borne: `^/(.*)/x/(.*)$` is too common to be refused, and paths are short. Some patterns are given a lead first, which
changes what they cost and not what they match; so group 0 of a match may begin too early, and nobody should use it.
"""

from __future__ import annotations

import functools
import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterator
from re import _constants as constants  # type: ignore[attr-defined] # the only parser that agrees with re
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, NoReturn

from chute.errors import ConfigError
from chute.variables.backtracking import EXPONENTIAL, REPEATS, find_danger, only_set, set_of

DEGREE_MAX: Final = 2

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COUNT = re.compile(r"\{\d+(?:,\d*)?\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")
_NAMED = re.compile(r"\(\?(?:P?<(?![=!])([^>)]*)>|'([^')]*)')")
_REFERENCE = re.compile(r"k(?:<([^>]*)>|'([^']*)'|\{([^}]*)\})|g(?:(-?\d+)|\{([^}]*)\})|([1-9]\d*)")
# A comment, or the reference to a group.
_WHOLE = re.compile(r"\(\?(#|P=)[^)]*\)")
_CONDITION = re.compile(r"\(\?\((?:(\d+)|<(\w+)>|'(\w+)')\)")
_CODE = re.compile(r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{0,2})|c([ -~])|o\{([0-7]+)\}|(0[0-7]{0,2})")
_POSIX = re.compile(r"\[:(\^?)(\w+):\]")

_ALL = frozenset(range(256))
_HORIZONTAL = frozenset(b"\t ")
_VERTICAL = frozenset(b"\n\x0b\f\r")
_CLASSES = {
    "h": _HORIZONTAL,
    "H": _ALL - _HORIZONTAL,
    "v": _VERTICAL,
    "V": _ALL - _VERTICAL,
    "N": _ALL - frozenset(b"\n"),
}
_WORD = frozenset((string.ascii_letters + string.digits + "_").encode())
_POSIX_CLASSES = {
    "alpha": frozenset(string.ascii_letters.encode()),
    "digit": frozenset(string.digits.encode()),
    "alnum": _WORD - frozenset(b"_"),
    "upper": frozenset(string.ascii_uppercase.encode()),
    "lower": frozenset(string.ascii_lowercase.encode()),
    "space": _VERTICAL | _HORIZONTAL,
    "blank": _HORIZONTAL,
    "punct": frozenset(string.punctuation.encode()),
    "xdigit": frozenset(string.hexdigits.encode()),
    "word": _WORD,
    "cntrl": frozenset(range(32)) | {127},
    "graph": frozenset(range(33, 127)),
    "print": frozenset(range(32, 127)),
    "ascii": frozenset(range(128)),
}
_CONTROLS = {"a": 7, "b": 8, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9}
# The same in both, outside of a class.
_KEPT = frozenset("dDwWsSbBAfnrta")
_REFUSED_ESCAPES = {
    "p": "write the characters, for example '[a-z]'",
    "P": "write the characters, for example '[^a-z]'",
    "R": "write '\\r?\\n'",
    "X": "write '.'",
    "C": "write '.'",
    "G": "write '^'",
    "K": "leave it out, and put what you need into a group",
    "g": "write the pattern again in place of its name",
}
_REFUSED_GROUPS = (
    (re.compile(r"\(\?\|"), "give each alternative groups of its own"),
    (re.compile(r"\(\?(?:R|[+-]?\d|&|P>)"), "a pattern cannot contain itself; write it again"),
    (re.compile(r"\(\?C"), "leave it out"),
    (
        re.compile(r"\(\?\((?!\d+\)|<\w+>\)|'\w+'\))"),
        "the condition can be a group only, for example '(?(1)...)'",
    ),
    (re.compile(r"\(\*"), "leave it out; for a star write '\\*'"),
)


@functools.lru_cache(maxsize=4096)
def compile_pattern(text: str, *, ignores_case: bool = False) -> re.Pattern[bytes]:
    """Return `text` compiled, to be used with `search`; its groups are what it matched, and group 0 is not.

    Raises:
        ConfigError: it is no regular expression, none that can be translated, or one that could take very long.
    """
    flags = re.IGNORECASE if ignores_case else re.NOFLAG
    translation = _Translation(text)
    pattern = translation.pattern()
    flags |= translation.flags
    try:
        return _checked(text, re.compile(pattern, flags))
    except re.error as error:
        where = "" if error.pos is None else f" (at offset {translation.offset_of(error.pos)})"
        raise ConfigError(f"{text!r} is no regular expression: {error.msg}{where}") from error
    except (OverflowError, RecursionError) as error:
        raise ConfigError(
            f"{text!r} is too large", hint="make several smaller patterns of it"
        ) from error


def _checked(text: str, compiled: re.Pattern[bytes]) -> re.Pattern[bytes]:
    """Return the pattern, or what finds the same in less time; raise ConfigError where it takes too long."""
    pattern, flags = compiled.pattern, compiled.flags
    danger = find_danger(pattern, flags)
    lead = None if danger is None or danger.degree == EXPONENTIAL else find_lead(pattern, flags)
    if danger is not None and lead is not None:
        before, begins_after = lead
        led = find_danger(pattern, flags, begins_after=begins_after)
        if led is None or led.degree < danger.degree:
            danger = led
            compiled = re.compile(b"%b(?:%b)" % (before, pattern), flags)
    if danger is None or danger.degree <= DEGREE_MAX:
        return compiled
    pump = repr(danger.pump)[1:]
    if danger.degree == EXPONENTIAL:
        raise ConfigError(
            f"the pattern {text!r} can take for ever: on repetitions of {pump} every way to split them is tried",
            hint="give each repetition something of its own to end at, for example '[^/]+/'",
        )
    anchor = "" if text.startswith("^") else "begin it with '^', and "
    raise ConfigError(
        f"the pattern {text!r} can take very long: on repetitions of {pump} its time grows with the power "
        f"{danger.degree:.0f} of the length",
        hint=f"{anchor}give each repetition something of its own to end at, for example '[^/]+/'",
    )


def find_lead(pattern: bytes, flags: int = 0) -> tuple[bytes, int] | None:
    r"""Return what to put before `pattern` to have a search begin less often, and the bytes it then begins after.

    A search for `\..*/x` begins at every dot, and `.*` reads over all later ones. But where a match begins at a later
    dot of the line, one begins at the first as well, and the search prefers that. The same holds whenever a pattern
    begins with some bytes and then an unbounded run which may contain them: only the first such place within a run
    needs trying. What is returned goes from the beginning of a run to that place. The match and its groups stay the
    same, but for its beginning (group 0).

    Returns:
        The text to put before the pattern (which needs a group of its own) and a set of bits; None where the rule does
        not hold.
    """
    parsed = parser.parse(pattern, flags)
    before: list[int] = []
    # What a group holds depends on where it begins, so none may be asked for again.
    nodes = () if "GROUPREF" in repr(parsed) else _flattened(parsed, parsed.state.flags)
    for operation, argument, active in nodes:
        read = set_of(operation, argument, active)
        if read is not None:
            before.append(read)
            continue
        if operation not in REPEATS or argument[1] is not constants.MAXREPEAT:
            return None
        run = only_set(argument[2], active)
        if run is None or any(read & ~run for read in before):
            return None
        lead = b"(?<!%b)" % _class_text(_members(run))
        if before:
            wanted = b"".join(_class_text(_members(read)) for read in before)
            lead += b"(?>%b*?(?=%b))" % (_class_text(_members(run)), wanted)
        if parsed.state.flags & re.IGNORECASE:
            # The sets name both cases where both are meant, and a `(?-i:...)` may mean one.
            lead = b"(?-i:%b)" % lead
        return lead, sum(1 << code for code in _ALL - _members(run))
    return None


def _flattened(nodes: Any, flags: int) -> Iterator[tuple[Any, Any, int]]:  # noqa: ANN401 # re's own nodes
    """Yield the pieces of a pattern one behind the other, those of groups included, with their flags."""
    for operation, argument in nodes:
        if operation is constants.SUBPATTERN:
            _, added, removed, inner = argument
            yield from _flattened(inner, (flags | added) & ~removed)
        else:
            yield operation, argument, flags


def _members(bits: int) -> frozenset[int]:
    return frozenset(code for code in range(256) if bits >> code & 1)


def _code_text(code: int) -> bytes:
    """Return what stands for a byte between brackets."""
    return b"%c" % code if code in _WORD else b"\\x%02x" % code


def _ranges_text(codes: frozenset[int]) -> bytes:
    """Return what stands between brackets for these bytes."""
    parts = []
    for first in sorted(code for code in codes if code - 1 not in codes):
        last = first
        while last + 1 in codes:
            last += 1
        parts.append(_code_text(first))
        if last > first:
            parts.append(b"-" + _code_text(last))
    return b"".join(parts)


def _class_text(codes: frozenset[int]) -> bytes:
    """Return a class that reads one of these bytes; there is at least one."""
    return b"[%b]" % _ranges_text(codes)


class _Translation:
    """One pattern on its way from PCRE's spelling to that of `re`; `flags` are those that it begins with."""

    def __init__(self, text: str) -> None:
        self.flags = re.NOFLAG
        self._text = text
        self._offset = 0
        self._made: list[bytes] = []
        self._length = 0
        # Where each piece begins, there and here.
        self._starts: list[int] = []
        self._offsets: list[int] = []
        # For each open group the beginnings of those that stand for `(?i)` in its middle.
        self._open: list[list[bytes]] = [[]]
        self._groups = 0

    def pattern(self) -> bytes:
        """Return the translated pattern.

        Raises:
            ConfigError: it cannot be translated.
        """
        readers: dict[str, Callable[[], None]] = {
            "\\": self._escape,
            "[": self._class,
            "(": self._group,
            ")": self._close,
            "|": self._alternative,
            "{": self._brace,
        }
        while self._offset < len(self._text):
            readers.get(self._text[self._offset], self._literal)()
        self._make(b")" * len(self._open[0]), 0)
        return b"".join(self._made)

    def offset_of(self, position: int) -> int:
        """Return where in the text that stands which became the byte at `position`."""
        return self._offsets[bisect_right(self._starts, position) - 1] if self._starts else 0

    def _make(self, made: bytes, taken: int) -> None:
        """Add to the result what the next `taken` characters became."""
        self._starts.append(self._length)
        self._offsets.append(self._offset)
        self._made.append(made)
        self._length += len(made)
        self._offset += taken

    def _refuse(self, construct: str, hint: str, *, offset: int | None = None) -> NoReturn:
        where = self._offset if offset is None else offset
        raise ConfigError(
            f"{construct!r} at offset {where} of the pattern {self._text!r} is not supported",
            hint=hint,
        )

    def _bytes(self, character: str) -> bytes:
        encoded = character.encode("utf-8", "surrogateescape")
        if len(encoded) == 1:
            return re.escape(encoded)
        # As a group, so that what repeats it repeats the character and not its last byte.
        return b"(?:%b)" % b"".join(b"\\x%02x" % code for code in encoded)

    def _literal(self) -> None:
        character = self._text[self._offset]
        self._make(character.encode() if character in "^$.*+?" else self._bytes(character), 1)

    def _brace(self) -> None:
        count = _COUNT.match(self._text, self._offset)
        if count is not None:
            self._make(count[0].encode(), len(count[0]))
        elif re.compile(r"\{,\d+\}").match(self._text, self._offset):
            self._refuse("{,", "write '{0,' for up to that many, or '\\{' for a brace")
        else:
            self._make(b"\\{", 1)

    def _alternative(self) -> None:
        flags = self._open[-1]
        self._make(b")" * len(flags) + b"|" + b"".join(flags), 1)

    def _close(self) -> None:
        flags = self._open.pop() if len(self._open) > 1 else []
        self._make(b")" * len(flags) + b")", 1)

    def _group(self) -> None:
        text, offset = self._text, self._offset
        for refused, hint in _REFUSED_GROUPS:
            if found := refused.match(text, offset):
                self._refuse(found[0], hint)
        if whole := _WHOLE.match(text, offset):
            self._make(b"" if whole[1] == "#" else whole[0].encode(), len(whole[0]))
            return
        if flags := _FLAGS.match(text, offset):
            self._flags(flags)
            return
        if condition := _CONDITION.match(text, offset):
            name = condition[1] or condition[2] or condition[3]
            self._begin(b"(?(%b)" % name.encode(), len(condition[0]))
        elif named := _NAMED.match(text, offset):
            name = named[1] if named[1] is not None else named[2]
            if not _NAME.fullmatch(name):
                self._refuse(named[0], "a group is named like a variable: letters, digits and '_'")
            self._groups += 1
            self._begin(b"(?P<%b>" % name.encode(), len(named[0]))
        elif text.startswith("(?", offset):
            kind = next(
                (k for k in ("(?<=", "(?<!", "(?=", "(?!", "(?>") if text.startswith(k, offset)),
                None,
            )
            if kind is None:
                self._refuse(text[offset : offset + 3], "for a group write '(...)' or '(?:...)'")
            self._begin(kind.encode(), len(kind))
        else:
            self._groups += 1
            self._begin(b"(", 1)

    def _begin(self, made: bytes, taken: int) -> None:
        self._make(made, taken)
        self._open.append([])

    def _flags(self, found: re.Match[str]) -> None:
        added, removed, end = found[1], found[2] or "", found[3]
        if not added and not removed and end == ")":
            self._make(b"", len(found[0]))
            return
        for letter in added + removed:
            if letter not in "ims":
                hint = "write it without extra spaces" if letter == "x" else "leave it out"
                self._refuse(found[0], hint)
        if end == ")" and not removed and not self._length:
            for letter in added:
                self.flags |= re.RegexFlag[letter.upper()]
            self._make(b"", len(found[0]))
            return
        # re takes a letter once only, and wants nothing behind the dash that stands before it.
        added = "".join(sorted(set(added) - set(removed)))
        made = f"(?{added}{'-' if removed else ''}{''.join(sorted(set(removed)))}:".encode()
        if end == ":":
            self._begin(made, len(found[0]))
        else:
            self._make(made, len(found[0]))
            self._open[-1].append(made)

    def _escape(self) -> None:
        text, offset = self._text, self._offset
        letter = text[offset + 1 : offset + 2]
        if not letter:
            self._refuse("\\", "for a backslash at the end write '\\\\'")
        if letter == "Q":
            end = text.find("\\E", offset)
            end = len(text) if end < 0 else end
            self._offset += 2
            while self._offset < end:
                self._make(self._bytes(text[self._offset]), 1)
            self._offset += 2
        elif reference := _REFERENCE.match(text, offset + 1):
            self._reference(reference)
        elif code := _CODE.match(text, offset + 1):
            number = self._code(code)
            made = b"\\x%02x" % number if number < 256 else self._bytes(chr(number))
            self._make(made, 1 + len(code[0]))
        elif letter in "zZE":
            self._make({"z": b"\\Z", "Z": b"(?=\\n?\\Z)", "E": b""}[letter], 2)
        elif letter in _CLASSES:
            self._make(_class_text(_CLASSES[letter]), 2)
        elif letter in _KEPT:
            self._make(b"\\" + letter.encode(), 2)
        else:
            self._make(self._simple_escape(letter), 2)

    def _simple_escape(self, letter: str) -> bytes:
        if letter in _CONTROLS:
            return b"\\x%02x" % _CONTROLS[letter]
        if letter.isascii() and letter.isalnum():
            self._refuse("\\" + letter, _REFUSED_ESCAPES.get(letter, "it means nothing here"))
        return self._bytes(letter)

    def _code(self, found: re.Match[str]) -> int:
        r"""Return the number of the character that `\x..`, `\c.` or an octal number stands for."""
        if found[3]:
            return ord(found[3].upper()) ^ 64
        octal, hexadecimal = found[4] or found[5], found[1] or found[2] or "0"
        number = int(octal, 8) if octal else int(hexadecimal, 16)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            self._refuse("\\" + found[0], "there is no such character")
        return number

    def _reference(self, found: re.Match[str]) -> None:
        name = next(part for part in found.groups() if part is not None)
        if re.fullmatch(r"-\d+", name):
            name = str(self._groups + 1 + int(name))
        if name.isascii() and name.isdigit() and int(name) in range(1, 100):
            # In a group, so that a digit behind it is none of the number.
            self._make(b"(?:\\%d)" % int(name), 1 + len(found[0]))
        elif _NAME.fullmatch(name):
            self._make(b"(?P=%b)" % name.encode(), 1 + len(found[0]))
        else:
            self._refuse("\\" + found[0], "there is no such group")

    def _class(self) -> None:
        text, begin = self._text, self._offset
        self._offset += 1
        is_negated = text.startswith("^", self._offset)
        self._offset += is_negated
        parts: list[bytes] = []
        first = True
        while first or not text.startswith("]", self._offset):
            if self._offset >= len(text):
                self._refuse("[", "its ']' is missing; for a bracket write '\\['", offset=begin)
            parts.append(self._class_item())
            first = False
        taken = self._offset + 1 - begin
        self._offset = begin
        self._make(b"[%b%b]" % (b"^" if is_negated else b"", b"".join(parts)), taken)

    def _class_item(self) -> bytes:
        """Return what stands next in a class: a byte, a range of them, or a class within it."""
        text, begin = self._text, self._offset
        low = self._class_member()
        if isinstance(low, bytes):
            return low
        if not text.startswith("-", self._offset) or text[self._offset + 1 : self._offset + 2] in (
            "",
            "]",
        ):
            return _code_text(low)
        self._offset += 1
        high = self._class_member()
        if isinstance(high, bytes):
            # PCRE takes the dash for itself there, and re would not.
            return _code_text(low) + b"\\x2d" + high
        if high < low:
            self._refuse(text[begin : self._offset], "a range goes upwards", offset=begin)
        return _code_text(low) + b"-" + _code_text(high)

    def _class_member(self) -> int | bytes:
        """Take one member of a class: the number of a byte, or the text of a class within it."""
        text, offset = self._text, self._offset
        character = text[offset]
        if posix := _POSIX.match(text, offset):
            codes = _POSIX_CLASSES.get(posix[2])
            if codes is None:
                self._refuse(posix[0], f"there are {', '.join(_POSIX_CLASSES)}")
            self._offset += len(posix[0])
            return _ranges_text(_ALL - codes if posix[1] else codes)
        if character != "\\":
            return self._class_byte(character, 1)
        if code := _CODE.match(text, offset + 1) or re.compile("([0-7]{2,3})").match(
            text, offset + 1
        ):
            number = self._code(code) if code.re is _CODE else int(code[1], 8)
            if number > 255:
                self._refuse("\\" + code[0], "a class reads one byte; write '(?:...|...)'")
            self._offset += 1 + len(code[0])
            return number
        letter = text[offset + 1 : offset + 2]
        if letter in _CLASSES:
            self._offset += 2
            return _ranges_text(_CLASSES[letter])
        if letter in ("d", "D", "w", "W", "s", "S"):
            self._offset += 2
            return b"\\" + letter.encode()
        if letter in _CONTROLS:
            self._offset += 2
            return _CONTROLS[letter]
        if not letter or (letter.isascii() and letter.isalnum()):
            self._refuse("\\" + letter, _REFUSED_ESCAPES.get(letter, "it means nothing in '[...]'"))
        return self._class_byte(letter, 2)

    def _class_byte(self, character: str, taken: int) -> int:
        if not character.isascii():
            self._refuse(
                f"{character} in '[...]'",
                f"it is several bytes, and a class reads one; write '(?:{character}|...)'",
            )
        self._offset += taken
        return ord(character)
