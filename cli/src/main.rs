//! The proffer binary. Everything is in the library; this file only hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    proffer::main()
}
