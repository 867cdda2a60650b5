//! Lengths of time as people write and read them: `90d`, `12 hours`.

/// Reads a whole number with one unit (`s`, `m`, `h`, `d`, `w`) as seconds.
pub fn parse_seconds(text: &str) -> Result<u64, &'static str> {
    let wrong = "a duration is a whole number with a unit: 30m, 12h, 90d";
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        Some('w') => 7 * 24 * 60 * 60,
        _ => return Err(wrong),
    };
    let number = &text[..text.len() - 1];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong);
    }
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    // A hundred years: far enough for anyone, near enough for every clock.
    seconds.filter(|seconds| (1..=100 * 366 * 24 * 60 * 60).contains(seconds)).ok_or(wrong)
}

/// Seconds in the largest unit that leaves no rest: `24 hours`, `90 seconds`, `7 days`. One day is 24 hours: said of a
/// rule, it begins at any time.
pub fn in_words(seconds: u64) -> String {
    let units = [(24 * 60 * 60, "day"), (60 * 60, "hour"), (60, "minute"), (1, "second")];
    let fits = |(size, _): &&(u64, &str)| seconds.is_multiple_of(*size) && (*size < 24 * 60 * 60 || seconds > *size);
    let (size, unit) = units.iter().find(fits).unwrap_or(&(1, "second"));
    match seconds / size {
        1 => format!("1 {unit}"),
        number => format!("{number} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("1s", 1), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600)] {
            assert_eq!(parse_seconds(text), Ok(seconds));
        }
        for text in ["", "d", "90", "+1d", "-1d", "1.5h", "0d", "1é", "99999999999999999999d", "9999999999w"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_told_in_the_unit_that_fits() {
        let cases = [
            (1, "1 second"),
            (90, "90 seconds"),
            (60, "1 minute"),
            (600, "10 minutes"),
            (5400, "90 minutes"),
            (3600, "1 hour"),
            (86_400, "24 hours"),
            (90_000, "25 hours"),
            (604_800, "7 days"),
        ];
        for (seconds, words) in cases {
            assert_eq!(in_words(seconds), words);
        }
    }
}
