"""HTTP dates: seconds since 1970 to the preferred form, and all three forms back to seconds.

RFC 9110, 5.6.7. Independent of locale, of the machine's time zone and of the size of time_t, so a
file dated before 1970 or after 2038 is as good as any other. No clock lives here: whoever needs the
50-year rule says what time it is.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_DAY_NAMES = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTH_NAMES = (
    *(b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun"),
    *(b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
)
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}

_DAY_S: Final = 86_400
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_SECONDS_MIN: Final = (date.min.toordinal() - _EPOCH_ORDINAL) * _DAY_S
_SECONDS_END: Final = (date.max.toordinal() - _EPOCH_ORDINAL + 1) * _DAY_S
_FIFTY_YEARS_S: Final = 50 * 31_556_952

# `second` reaches 60 in the ABNF, for leap seconds; seconds since 1970 fold it into the next
# minute, as POSIX does.
_TIME = rb"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_SHORT_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH = rb"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"

# IMF-fixdate  = day-name "," SP date1 SP time-of-day SP GMT      ; date1 = day SP month SP year
_IMF_FIXDATE = re.compile(
    _SHORT_DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT"
)
# rfc850-date  = day-name-l "," SP date2 SP time-of-day SP GMT    ; date2 = day "-" month "-" 2DIGIT
_RFC850_DATE = re.compile(
    _LONG_DAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" GMT"
)
# asctime-date = day-name SP date3 SP time-of-day SP year         ; date3 = month SP ( 2DIGIT / ( SP
# 1DIGIT ))
_ASCTIME_DATE = re.compile(
    _SHORT_DAY + b" " + _MONTH + rb" (?P<day>[0-9]{2}| [0-9]) " + _TIME + rb" (?P<year>[0-9]{4})"
)


def format_http_date(seconds: int) -> bytes | None:
    """Render `seconds` since 1970 as an IMF-fixdate.

    Returns:
        The date, or None when its year is not one that four digits can name (1 to 9999). File
        systems do hand out such times; the field that would carry the date is then left out.
    """
    if not _SECONDS_MIN <= seconds < _SECONDS_END:
        return None
    days, rest = divmod(seconds, _DAY_S)
    day = date.fromordinal(days + _EPOCH_ORDINAL)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _DAY_NAMES[day.weekday()],
        day.day,
        _MONTH_NAMES[day.month - 1],
        day.year,
        hour,
        minute,
        second,
    )


def parse_http_date(value: bytes, *, now: int | None = None) -> int | None:
    """Read an HTTP-date in any of its three forms.

    The name of the day is checked for its spelling but not against the date: an old form with two
    digits for the year may name the right day of another century.

    Args:
        value: the field value, without surrounding white space.
        now: seconds since 1970. The two-digit year of an rfc850-date then means the latest such
            year that is not more than 50 years ahead. Without it the years 70 to 99 belong to the
            last century, as in POSIX.

    Returns:
        Seconds since 1970, or None for anything that is not exactly an HTTP-date. Never raises.
    """
    match = _IMF_FIXDATE.fullmatch(value) or _ASCTIME_DATE.fullmatch(value)
    if match is not None:
        return _seconds(match, int(match["year"]))
    match = _RFC850_DATE.fullmatch(value)
    if match is None:
        return None
    two_digits = int(match["year"])
    if now is None:
        return _seconds(match, two_digits + (1900 if two_digits >= 70 else 2000))
    last_year = date.fromordinal(now // _DAY_S + _EPOCH_ORDINAL).year + 50
    year = last_year - (last_year - two_digits) % 100
    seconds = _seconds(match, year)
    if seconds is not None and seconds > now + _FIFTY_YEARS_S:
        return _seconds(match, year - 100)
    return seconds


def _seconds(match: re.Match[bytes], year: int) -> int | None:
    try:
        day = date(year, _MONTHS[match["month"]], int(match["day"]))
    except ValueError:
        return None
    time_of_day = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"])
    return (day.toordinal() - _EPOCH_ORDINAL) * _DAY_S + time_of_day
