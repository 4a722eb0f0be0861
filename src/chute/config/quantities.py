"""Durations, sizes and rates as values of a document: a number, or text with a unit."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from chute.config.units import (
    parse_duration,
    parse_rate,
    parse_size,
    show_duration,
    show_rate,
    show_size,
)
from chute.errors import ConfigError


class Quantity:
    """Something that can be written with a unit.

    Attributes:
        value: in the unit that the program counts in.
        pattern: what the text looks like, for the JSON schema.
        example: how a person writes one.
    """

    __slots__ = ("value",)

    pattern: ClassVar[str]
    example: ClassVar[str]

    def __init__(self, value: float) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and (type(self), self.value) == (
            type(other),
            other.value,
        )

    def __hash__(self) -> int:
        return hash((type(self), self.value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    @classmethod
    def parse(cls, written: object) -> Quantity:
        """Return the quantity that is `written` in a document.

        Raises:
            ConfigError: it is none.
        """
        if isinstance(written, bool) or not isinstance(written, str | int | float):
            raise ConfigError(f"{written!r} is no {cls.__name__.lower()}", hint=cls.example)
        return cls.of(written)

    @classmethod
    def of(cls, written: str | float) -> Quantity:
        """Return the quantity for a number or text."""
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError


class Duration(Quantity):
    """A time span; its value is in seconds."""

    __slots__ = ()
    pattern = r"^([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)\s*)+$"
    example = 'for example "75s", "500ms" or "1h30m"'

    @classmethod
    def of(cls, written: str | float) -> Quantity:
        """See `Quantity`."""
        return cls(parse_duration(written))

    def __str__(self) -> str:
        return show_duration(self.value)


class Size(Quantity):
    """A number of bytes."""

    __slots__ = ()
    pattern = r"^[0-9]+(\.[0-9]+)?\s*([KMGT]i?)?B?$"
    example = 'for example "64K", "10 MiB" or 512'

    @classmethod
    def of(cls, written: str | float) -> Quantity:
        """See `Quantity`."""
        if isinstance(written, float):
            raise ConfigError(f"{written!r} is no whole number of bytes", hint=cls.example)
        return cls(parse_size(written))

    def __str__(self) -> str:
        return show_size(int(self.value))


class Rate(Quantity):
    """A number of bytes in a second."""

    __slots__ = ()
    pattern = r"^[0-9]+(\.[0-9]+)?\s*([KMGT]i?)?B?(/s)?$"
    example = 'for example "500K/s" or "1 MiB/s"'

    @classmethod
    def of(cls, written: str | float) -> Quantity:
        """See `Quantity`."""
        if isinstance(written, float):
            raise ConfigError(f"{written!r} is no whole number of bytes", hint=cls.example)
        return cls(parse_rate(written))

    def __str__(self) -> str:
        return show_rate(int(self.value))


AnyQuantity = TypeVar("AnyQuantity", bound=Quantity)


def decode_quantity(kind: type, written: object) -> object:
    """Decode what msgspec does not know by itself (its `dec_hook`)."""
    if issubclass(kind, Quantity):
        return kind.parse(written)
    raise NotImplementedError(kind)
