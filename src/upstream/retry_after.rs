//! How long an upstream asks to wait.

use std::time::{Duration, SystemTime};

/// No longer wait than this is believed or passed on: a day, which is the longest window that any provider counts in.
const MAX: Duration = Duration::from_secs(86_400);

/// Reads `retry-after-ms`, else `retry-after` as seconds (whole or not) or as an HTTP date. `None` if neither says anything usable;
/// a wait of nothing is nothing said.
#[must_use]
pub fn parse(retry_after_ms: Option<&str>, retry_after: Option<&str>, now: SystemTime) -> Option<Duration> {
    let milliseconds = retry_after_ms.and_then(|text| seconds(text, 1_000.0));
    milliseconds.or_else(|| seconds(retry_after?, 1.0)).or_else(|| date(retry_after?, now)).filter(|wait| !wait.is_zero())
}

/// Milliseconds that a body stated, within the same bounds.
#[must_use]
pub fn from_ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms).min(MAX)).filter(|wait| !wait.is_zero())
}

/// Reads OpenAI's `x-ratelimit-reset-*` (`6m0s`, `1.5s`, `20ms`): when a limit of which nothing remains is whole again.
#[must_use]
pub fn reset(remaining: Option<&str>, reset: Option<&str>) -> Option<Duration> {
    let mut rest = reset.filter(|_| remaining.is_some_and(|left| left.trim() == "0"))?.trim();
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, further) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let (_, per_second) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.saturating_add(seconds(number, *per_second)?);
        rest = further;
    }
    Some(sum.min(MAX)).filter(|wait| !wait.is_zero())
}

/// The same of Anthropic's `anthropic-ratelimit-*-reset`, a moment (`2026-11-25T13:05:38Z`, RFC 3339).
#[must_use]
pub fn reset_at(remaining: Option<&str>, reset: Option<&str>, now: SystemTime) -> Option<Duration> {
    let until = moment(reset.filter(|_| remaining.is_some_and(|left| left.trim() == "0"))?.trim())?;
    until.duration_since(now).ok().map(|wait| wait.min(MAX)).filter(|wait| !wait.is_zero())
}

/// RFC 3339, to the second: fractions are rounded up.
fn moment(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(at);
    let [year, month, day] = numbers(date, '-')?;
    let (clock, more) = clock.split_once('.').map_or((clock, 0), |(whole, _)| (whole, 1));
    let [hour, minute, second] = numbers(clock, ':')?;
    let offset = match zone.split_at_checked(1)? {
        ("+", offset) => minutes(offset)?,
        ("-", offset) => -minutes(offset)?,
        _ => 0,
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + (minute - offset) * 60 + second + more;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between).map(|part| part.parse::<u32>().ok().map(i64::from));
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

fn minutes(offset: &str) -> Option<i64> {
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(i64::from(hours) * 60 + i64::from(minutes))
}

/// Days from 1970-01-01, in years that begin in March, so that a leap day ends one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// Units of a written duration, by how many of them are a second.
const UNITS: &[(&str, f64)] = &[("ms", 1_000.0), ("s", 1.0), ("m", 1.0 / 60.0), ("h", 1.0 / 3_600.0), ("d", 1.0 / 86_400.0)];

fn seconds(text: &str, per_second: f64) -> Option<Duration> {
    let number = text.trim().parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    Some(Duration::try_from_secs_f64(number / per_second).unwrap_or(MAX).min(MAX))
}

fn date(text: &str, now: SystemTime) -> Option<Duration> {
    let until = httpdate::parse_http_date(text.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default().min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_nonsense_is_not() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (ms, header, expected_ms) in [
            (Some("1500"), Some("9"), Some(1_500)),
            (Some("x"), Some("9"), Some(9_000)),
            (None, Some(" 2.5 "), Some(2_500)),
            (None, Some("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10_000)),
            (None, Some("Sunday, 06-Nov-94 08:49:38 GMT"), Some(1_000)),
            (None, Some("Sun, 06 Nov 1994 08:49:07 GMT"), None),
            (None, Some("0"), None),
            (None, Some("-3"), None),
            (None, Some("NaN"), None),
            (None, Some("soon"), None),
            (None, Some("inf"), Some(86_400_000)),
            (None, Some("999999999999999999999"), Some(86_400_000)),
            (None, None, None),
        ] {
            let wait = parse(ms, header, now).map(|wait| wait.as_millis());
            assert_eq!(wait, expected_ms, "{ms:?} {header:?}");
        }
        assert_eq!(from_ms(0), None);
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_is_whole_again() {
        for (remaining, text, expected_ms) in [
            (Some("0"), Some("6m0s"), Some(360_000)),
            (Some("0"), Some("1.5s"), Some(1_500)),
            (Some("0"), Some("20ms"), Some(20)),
            (Some("0"), Some("1h1m1s"), Some(3_661_000)),
            (Some("0"), Some("99999d"), Some(86_400_000)),
            (Some("0"), Some("soon"), None),
            (Some("0"), Some("12"), None),
            (Some("0"), Some("0s"), None),
            (Some("1"), Some("6m0s"), None),
            (None, Some("6m0s"), None),
        ] {
            assert_eq!(reset(remaining, text).map(|wait| wait.as_millis()), expected_ms, "{remaining:?} {text:?}");
        }
    }

    #[test]
    fn a_moment_of_a_limit_that_is_used_up_is_a_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_075_938); // 2025-11-25T13:05:38Z
        for (remaining, text, expected_s) in [
            (Some("0"), "2025-11-25T13:05:48Z", Some(10)),
            (Some("0"), "2025-11-25t13:05:48.25z", Some(11)),
            (Some("0"), "2025-11-25T15:05:48+02:00", Some(10)),
            (Some("0"), "2025-11-25T12:35:48-00:30", Some(10)),
            (Some("0"), "2028-02-29T00:00:00Z", Some(86_400)),
            (Some("0"), "2025-11-25T13:05:28Z", None),
            (Some("0"), "2025-13-25T13:05:48Z", None),
            (Some("0"), "2025-11-25T13:05:48", None),
            (Some("0"), "soon", None),
            (Some("5"), "2025-11-25T13:05:48Z", None),
            (None, "2025-11-25T13:05:48Z", None),
        ] {
            assert_eq!(reset_at(remaining, Some(text), now).map(|wait| wait.as_secs()), expected_s, "{remaining:?} {text}");
        }
        assert_eq!(days(2000, 3, 1), 11_017);
    }
}
