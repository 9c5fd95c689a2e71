//! The one text grammar for amounts: `1.5`, `1500m`, `512MiB`, `2GB`, `31000-32000`, `30s`.
//!
//! Strict: no sign, no blanks, no exponent, no other units. An error says what would be right.

use super::{Bytes, MilliCpus, PortRange, PortSet};

/// What is wrong with an amount, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {defect}; {fix}")]
pub struct ParseError {
    /// The text given, shortened.
    pub text: String,
    /// What is wrong.
    pub defect: String,
    /// What would be right.
    pub fix: String,
}

const CPUS_FIX: &str = "write CPUs as 0.5, 2 or 500m";
const BYTES_FIX: &str = "write sizes as 512MiB, 2GiB, 500MB or a plain number of bytes";
const PORTS_FIX: &str = "write ports as 8080 or 31000-32000, several joined by commas";
const DURATION_FIX: &str = "write durations as 500ms, 30s, 5m, 2h or 1d";

fn error(text: &str, defect: impl Into<String>, fix: &str) -> ParseError {
    ParseError { text: text.chars().take(64).collect(), defect: defect.into(), fix: fix.to_owned() }
}

/// `1.5`, `2` or `1500m` to thousandths of a CPU.
pub fn parse_cpus(text: &str) -> Result<MilliCpus, ParseError> {
    if let Some(milli) = text.strip_suffix('m') {
        let milli = digits(milli).ok_or_else(|| error(text, "is not a whole number of thousandths", CPUS_FIX))?;
        return Ok(MilliCpus(milli));
    }
    decimal_milli(text).map(MilliCpus).map_err(|defect| error(text, defect, CPUS_FIX))
}

/// `512MiB`, `2GB`, `1.5GiB` or a plain number to bytes.
pub fn parse_bytes(text: &str) -> Result<Bytes, ParseError> {
    const UNITS: [(&str, u64); 10] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "" => 1,
        _ => match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, scale)) => *scale,
            None => return Err(unknown_size_unit(text, number, unit)),
        },
    };
    if scale == 1 {
        return digits(number).map(Bytes).ok_or_else(|| error(text, "is not a whole number of bytes", BYTES_FIX));
    }
    let milli = decimal_milli(number).map_err(|defect| error(text, defect, BYTES_FIX))?;
    let bytes = u128::from(milli) * u128::from(scale) / 1000;
    u64::try_from(bytes).map(Bytes).map_err(|_| error(text, "is too large", BYTES_FIX))
}

fn unknown_size_unit(text: &str, number: &str, unit: &str) -> ParseError {
    let guess = match unit.chars().next().map(|c| c.to_ascii_lowercase()) {
        Some('k') => Some("KiB"),
        Some('m') => Some("MiB"),
        Some('g') => Some("GiB"),
        Some('t') => Some("TiB"),
        _ => None,
    };
    match guess {
        Some(right) if !number.is_empty() => {
            error(text, format!("has the unknown unit {unit:?}"), &format!("did you mean {number}{right}?"))
        }
        _ => error(text, "is not a size", BYTES_FIX),
    }
}

/// `8080`, `31000-32000` or several joined by commas.
pub fn parse_ports(text: &str) -> Result<PortSet, ParseError> {
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (begin, end) = part.split_once('-').unwrap_or((part, part));
        let number = |t: &str| digits(t).ok_or_else(|| error(text, format!("holds {t:?}, not a port"), PORTS_FIX));
        let range = PortRange::new(number(begin)?, number(end)?);
        ranges.push(range.map_err(|e| error(text, format!("is wrong: {e}"), PORTS_FIX))?);
    }
    Ok(ranges.into())
}

/// `500ms`, `30s`, `5m`, `2h` or `1d` to milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<u64, ParseError> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(error(text, "has no unit", DURATION_FIX)),
        _ => return Err(error(text, format!("has the unknown unit {unit:?}"), DURATION_FIX)),
    };
    digits(number)
        .ok_or_else(|| error(text, "is not a whole number with a unit", DURATION_FIX))?
        .checked_mul(scale)
        .ok_or_else(|| error(text, "is too long", DURATION_FIX))
}

/// ASCII digits only; `None` for anything else, also when too large.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A decimal number with at most three places, in thousandths.
fn decimal_milli(text: &str) -> Result<u64, String> {
    if text.starts_with('-') {
        return Err("is negative".to_owned());
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let (Some(whole), Some(_)) = (digits(whole), digits(fraction)) else {
        return Err("is not a number".to_owned());
    };
    if fraction.len() > 3 {
        return Err("has more than three decimal places".to_owned());
    }
    let fraction = format!("{fraction:0<3}");
    let milli = digits(&fraction).unwrap_or(0);
    whole.checked_mul(1000).and_then(|w| w.checked_add(milli)).ok_or_else(|| "is too large".to_owned())
}

/// Thousandths as a decimal number without needless zeros: `1500` is `1.5`.
pub fn format_milli(milli: i64) -> String {
    let sign = if milli < 0 { "-" } else { "" };
    let (whole, fraction) = (milli.unsigned_abs() / 1000, milli.unsigned_abs() % 1000);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{fraction:03}").trim_end_matches('0').to_owned()
}

/// Bytes with the largest binary unit that keeps at most one decimal place: `536870912` is `512MiB`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (name, scale) in UNITS {
        if bytes >= scale {
            let tenths = u128::from(bytes) * 10 / u128::from(scale);
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 { format!("{whole}{name}") } else { format!("{whole}.{tenth}{name}") };
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_amounts_are_read_exactly() {
        assert_eq!(parse_cpus("1.5"), Ok(MilliCpus(1500)));
        assert_eq!(parse_cpus("1500m"), Ok(MilliCpus(1500)));
        assert_eq!(parse_cpus("0.001"), Ok(MilliCpus(1)));
        assert_eq!(parse_bytes("512MiB"), Ok(Bytes(512 << 20)));
        assert_eq!(parse_bytes("2GB"), Ok(Bytes(2_000_000_000)));
        assert_eq!(parse_bytes("1.5GiB"), Ok(Bytes(3 << 29)));
        assert_eq!(parse_bytes("42"), Ok(Bytes(42)));
        assert_eq!(parse_ports("31000-32000,80").unwrap().to_string(), "80,31000-32000");
        assert_eq!(parse_duration_ms("30s"), Ok(30_000));
    }

    #[test]
    fn wrong_amounts_are_refused_with_the_fix() {
        let cpus =
            ["", "-1", "+1", "1.5.2", "1e3", "NaN", "inf", "0.0001", "1 ", "１", "1,000", "5x", "99999999999999999999"];
        for bad in cpus {
            let told = parse_cpus(bad).unwrap_err().to_string();
            assert!(told.contains("500m"), "{bad:?}: {told}");
        }
        let told = parse_bytes("512mib").unwrap_err().to_string();
        assert_eq!(told, "\"512mib\" has the unknown unit \"mib\"; did you mean 512MiB?");
        for bad in ["", "-1MiB", "1.5", "MiB", "99999999999999TiB", "1e9", "512 MiB", "x"] {
            assert!(parse_bytes(bad).is_err(), "{bad:?} must be refused");
        }
        for bad in ["0", "70000", "80-", "-80", "90-80", "a", "", "1-2-3"] {
            assert!(parse_ports(bad).is_err(), "{bad:?} must be refused");
        }
        for bad in ["", "30", "s", "1.5s", "-1s", "1w", "99999999999999999d"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn amounts_are_shown_as_they_are_written() {
        assert_eq!(format_milli(1500), "1.5");
        assert_eq!(format_milli(1), "0.001");
        assert_eq!(format_milli(-2000), "-2");
        assert_eq!(format_bytes(512 << 20), "512MiB");
        assert_eq!(format_bytes(3 << 29), "1.5GiB");
        assert_eq!(format_bytes(12), "12B");
    }
}
