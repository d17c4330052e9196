//! Times and durations for people.

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Nanoseconds since 1970 in milliseconds.
pub const fn milliseconds(time_ns: u64) -> u64 {
    time_ns / 1_000_000
}

/// A moment, `2026-11-25 13:00:18 UTC`.
pub fn utc(time_ns: u64) -> String {
    let seconds = time_ns / SECOND_NS;
    let (year, month, day) = date(seconds / DAY_SECONDS);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// How old something is: `0.4 s`, or as [`span`].
pub fn age(milliseconds: u64) -> String {
    if milliseconds < 60_000 {
        format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
    } else {
        span(milliseconds / 1_000)
    }
}

/// A duration by its two largest parts: `1 h 3 min`.
pub fn span(seconds: u64) -> String {
    let parts = [
        (seconds / DAY_SECONDS, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = parts
        .iter()
        .position(|(n, _)| *n > 0)
        .unwrap_or(parts.len() - 1);
    let shown: Vec<_> = parts[first..]
        .iter()
        .take(2)
        .enumerate()
        .filter(|(i, (n, _))| *i == 0 || *n > 0)
        .map(|(_, (n, unit))| format!("{n} {unit}"))
        .collect();
    shown.join(" ")
}

/// Year, month and day of a day since 1970.
fn date(mut day: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    (year, month, day + 1)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leap days, ends of years and centuries.
    #[test]
    fn moments_are_utc() {
        for (seconds, shown) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds * SECOND_NS), shown);
        }
    }

    /// No part that is nothing, and never more than two.
    #[test]
    fn durations_are_short() {
        for (seconds, shown) in [
            (0, "0 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (3_780, "1 h 3 min"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), shown);
        }
        assert_eq!(age(449), "0.4 s");
        assert_eq!(age(12_000), "12.0 s");
        assert_eq!(age(61_000), "1 min 1 s");
    }
}
