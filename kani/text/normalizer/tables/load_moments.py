"""Parses the sections of dates and times of a table."""

from __future__ import annotations

from kani.text.normalizer.tables.file import TableSection
from kani.text.normalizer.tables.table import Dates, OtherCalendar, Times


def _months(section: TableSection) -> tuple[str, ...]:
    names = section.texts("months")
    if len(names) != 12:
        raise section.error("months", "has to be a list of 12 names")
    return names


def _calendars(section: TableSection) -> dict[str, OtherCalendar]:
    found = {}
    for mark in section.key_names():
        one = section.section(mark)
        found[mark] = OtherCalendar(_months(one) if "months" in one.key_names() else (), one.text("said"))
        one.check_all_read()
    return found


def parse_dates(section: TableSection) -> Dates:
    """[dates] of a table. Raises TableError."""
    names = _months(section)
    months = {name.lower(): number for number, name in enumerate(names, 1)}
    short = section.texts("short_months")
    for number, names_of_one in enumerate(short, 1):
        months.update((name.lower(), number) for name in names_of_one.split())
    weekdays = section.texts("weekdays")
    short_weekdays = {
        written: name
        for name, written_so in zip(weekdays, section.texts("short_weekdays"), strict=False)
        for written in written_so.split()
    }
    if len(weekdays) not in (0, 7) or (weekdays and len({*short_weekdays.values()}) < 7):
        raise section.error("weekdays", "and 'short_weekdays' have to be lists of 7")
    of_days = {word.lower() for word in (*weekdays, *short_weekdays)}
    dates = Dates(
        order=section.text("order"),
        date=section.template("date", "day", "month", "year"),
        day_month=section.template("day_month", "day", "month"),
        month_year=section.template("month_year", "month", "year"),
        day=section.text("day"),
        first_day=section.text("first_day", ""),
        before_month=section.template("day_before_month", "day", default=""),
        joiners=frozenset(section.words("joiners")),
        after=of_days.union(section.words("after")),
        short_weekdays=short_weekdays,
        days=of_days,
        beside_weekdays=frozenset(section.words("beside_weekdays")),
        weekday_letters=section.text("weekday_letters", ""),
        names=names,
        months=months,
        other_months=frozenset(section.words("other_months")),
        calendars=_calendars(section.section("calendars")),
    )
    if dates.order not in ("dmy", "mdy"):
        raise section.error("order", 'has to be "dmy" or "mdy"')
    section.check_all_read()
    return dates


def parse_times(section: TableSection) -> Times:
    """[times] of a table. Raises TableError."""
    halves = section.section("halves")
    said = section.section("minutes_said")
    minutes_said = {}
    for minutes in said.key_names():
        if not minutes.isdecimal():
            raise said.error(minutes, "is no number of minutes")
        minutes_said[int(minutes)] = said.text(minutes)
    times = Times(
        dotted_after=frozenset(section.words("dotted_after")),
        undotted_after=frozenset(section.words("undotted_after")),
        undotted_before=frozenset(section.words("undotted_before")),
        gender=section.text("gender", ""),
        minutes_gender=section.text("minutes_gender", ""),
        every=section.template("every", "time", default=""),
        again=section.template("again", "number", default=""),
        prime=section.template("prime", "number", "ordinal", default=""),
        during=section.template("during", "time", default=""),
        minutes_before=frozenset(section.words("minutes_before")),
        hours=section.forms("hours") if "hours" in section.key_names() else None,
        plain=section.template("plain", "hour", "minutes"),
        few_minutes=section.template("few_minutes", "hour", "minutes"),
        on_the_hour=section.template("on_the_hour", "hour"),
        late_on_the_hour=section.template("late_on_the_hour", "hour"),
        seconds=section.template("seconds", "time", "seconds"),
        marks=frozenset(section.words("marks")),
        hour_mark=section.template("hour_mark", "hour", default=""),
        halves={half: halves.text(half) for half in halves.key_names()},
        after=frozenset(section.words("after")),
        minute=section.forms("minute") if "minute" in section.key_names() else None,
        second=section.forms("second") if "second" in section.key_names() else None,
        minutes_said=minutes_said,
    )
    section.check_all_read()
    return times
