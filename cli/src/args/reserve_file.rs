//! A file with what an agent reserves by itself: a line for each part, as `--reserve` takes it.

use std::str::FromStr;

use proffer_proto_model::StaticReservation;

use super::ReserveArg;

/// Longest file that is read: 1 MiB.
const MAX_BYTES: u64 = 1 << 20;

/// What a file reserves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveFile(pub Vec<StaticReservation>);

impl FromStr for ReserveFile {
    type Err = String;

    /// Reads the file of that name.
    fn from_str(path: &str) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot read {path}: {error}; check the name");
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
            return Err(format!("{path} is larger than {MAX_BYTES} bytes; give a file of lines such as eng:cpus=2"));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        read(&text).map(Self).map_err(|(line, error)| format!("{path}:{line}: {error}"))
    }
}

/// Empty lines and those that begin with `#` say nothing.
fn read(text: &str) -> Result<Vec<StaticReservation>, (usize, String)> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| line.parse().map(|ReserveArg(one)| one).map_err(|error| (at + 1, error))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_reservation_on_each_line_and_a_wrong_one_is_told_with_its_line() {
        let all = read("# kept\n\neng:cpus=2 tier=gold owner=ada\n  eng/web:ports=31000-31009\n").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].role.as_str(), all[0].labels["tier"].as_str(), all[0].labels.len()), ("eng", "gold", 2));
        assert!(all[1].labels.is_empty());
        let (line, error) = read("eng:cpus=2\n# x\nops:cpu=1\n").unwrap_err();
        assert!(line == 3 && error.contains("did you mean \"cpus\"?"), "{line}: {error}");
        let error = "/nowhere/x".parse::<ReserveFile>().unwrap_err();
        assert!(error.starts_with("cannot read /nowhere/x: ") && error.contains("check the name"), "{error}");
    }
}
