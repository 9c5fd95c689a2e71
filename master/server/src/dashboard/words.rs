//! Numbers and times as people read them.

use jiff::Timestamp;
use proffer_proto_model::UnixMillis;
use proffer_proto_model::resources::format_milli;

/// A length of time in one unit: `850 ms`, `3 s`, `4 min`, `2 h`, `5 d`.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{} s", ms / 1_000),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// How long ago: `now`, `3 s ago`. The script of the pages counts on with the same words.
pub(super) fn ago(at: UnixMillis, now: UnixMillis) -> String {
    match now.0.saturating_sub(at.0) {
        0..1_000 => "now".to_owned(),
        ms => format!("{} ago", span(ms)),
    }
}

/// How long until then: `in 12 s`, `now`.
pub(super) fn until(at: UnixMillis, now: UnixMillis) -> String {
    match at.0.saturating_sub(now.0) {
        0..1_000 => "now".to_owned(),
        ms => format!("in {}", span(ms)),
    }
}

/// The moment for machines and tooltips: `2026-01-31T12:00:00.123Z`; empty beyond what a calendar holds.
pub(super) fn iso(at: UnixMillis) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// A size with at most one decimal: `1.5 GiB`.
pub(super) fn bytes(bytes: u128) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (name, shift) in UNITS {
        if bytes >> shift > 0 {
            let tenths = (bytes * 10) >> shift;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            // Above a hundred a decimal is noise.
            return if tenth == 0 || whole >= 100 {
                format!("{whole} {name}")
            } else {
                format!("{whole}.{tenth} {name}")
            };
        }
    }
    format!("{bytes} B")
}

/// An amount in thousandths: `0.5`, `12`.
pub(super) fn milli(milli: u128) -> String {
    format_milli(i64::try_from(milli).unwrap_or(i64::MAX))
}

/// `1 task`, `3 tasks`.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_the_largest_whole_unit() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (7_199_000, "1 h"),
            (172_800_000, "2 d"),
        ];
        for (ms, said) in cases {
            assert_eq!(span(ms), said);
        }
        let (then, now) = (UnixMillis(10_000), UnixMillis(13_500));
        assert_eq!((ago(then, now), ago(now, then)), ("3 s ago".into(), "now".into()));
        assert_eq!((until(now, then), until(then, now)), ("in 3 s".into(), "now".into()));
        assert_eq!(iso(UnixMillis(1_500)), "1970-01-01T00:00:01.5Z");
        assert_eq!(iso(UnixMillis(u64::MAX)), "");
    }

    #[test]
    fn sizes_have_one_decimal_where_it_helps() {
        for (size, said) in [(0, "0 B"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), ((150 << 30) + 1, "150 GiB")] {
            assert_eq!(bytes(size), said);
        }
        assert_eq!(count(1, "task") + ", " + &count(0, "task"), "1 task, 0 tasks");
    }
}
