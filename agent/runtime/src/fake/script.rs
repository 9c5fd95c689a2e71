//! What a container of the fake runtime does, in values or in one line of text.

use std::str::FromStr;
use std::time::Duration;

use crate::RuntimeErrorKind;

/// A label with this key holds the script of its container as text, e.g. `exit=3 after_ms=50`.
pub const SCRIPT_LABEL: &str = "proffer.fake/script";

/// The behaviour of the containers of one image. The default runs until it is signalled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// How it runs.
    pub run: Run,
    /// What SIGTERM, SIGINT, SIGHUP and SIGQUIT do.
    pub on_terminate: OnTerminate,
    /// `create` takes this long.
    pub create_delay: Duration,
    /// `create` fails.
    pub create_error: Option<(RuntimeErrorKind, String)>,
    /// `start` fails.
    pub start_error: Option<(RuntimeErrorKind, String)>,
    /// Written to `stdout.log` on start.
    pub stdout: String,
    /// Written to `stderr.log` on start.
    pub stderr: String,
}

/// How the first process goes on after its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Run {
    /// Until it is signalled.
    #[default]
    Forever,
    /// Exits by itself.
    Exit {
        /// Exit code.
        code: u8,
        /// Time from start to exit.
        after: Duration,
    },
    /// Runs into its memory limit.
    OutOfMemory {
        /// Time from start to the kill.
        after: Duration,
    },
}

/// What a request to terminate does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnTerminate {
    /// Ends by the signal at once.
    #[default]
    Die,
    /// Cleans up and exits.
    Exit {
        /// Exit code.
        code: u8,
        /// Time from signal to exit.
        after: Duration,
    },
    /// Goes on.
    Ignore,
}

impl Script {
    /// Runs until it is signalled.
    pub fn forever() -> Self {
        Self::default()
    }

    /// Exits with `code` this long after its start.
    pub fn exit(code: u8, after: Duration) -> Self {
        Self { run: Run::Exit { code, after }, ..Self::default() }
    }

    /// Is ended by the out-of-memory killer this long after its start.
    pub fn out_of_memory(after: Duration) -> Self {
        Self { run: Run::OutOfMemory { after }, ..Self::default() }
    }

    /// Only SIGKILL ends it.
    pub fn ignore_terminate() -> Self {
        Self { on_terminate: OnTerminate::Ignore, ..Self::default() }
    }

    /// `create` fails with this kind of error.
    pub fn fail_create(kind: RuntimeErrorKind, cause: impl Into<String>) -> Self {
        Self { create_error: Some((kind, cause.into())), ..Self::default() }
    }

    /// `start` fails with this kind of error.
    pub fn fail_start(kind: RuntimeErrorKind, cause: impl Into<String>) -> Self {
        Self { start_error: Some((kind, cause.into())), ..Self::default() }
    }

    /// `create` takes this long.
    #[must_use]
    pub fn slow_create(mut self, delay: Duration) -> Self {
        self.create_delay = delay;
        self
    }

    /// Sets what a request to terminate does.
    #[must_use]
    pub fn on_terminate(mut self, on_terminate: OnTerminate) -> Self {
        self.on_terminate = on_terminate;
        self
    }

    /// Prints on start.
    #[must_use]
    pub fn print(mut self, stdout: &str, stderr: &str) -> Self {
        self.stdout = stdout.to_owned();
        self.stderr = stderr.to_owned();
        self
    }
}

/// Words separated by spaces: `exit=CODE`, `oom`, `ignore_term`, `fail_create`, `fail_start`, and the times
/// `after_ms=N` (of exit and oom) and `create_ms=N`.
impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        let mut after = Duration::ZERO;
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || value.parse::<u64>().map_err(|_| format!("fake script: {word:?} needs a number"));
            match key {
                "run" => script.run = Run::Forever,
                "exit" => {
                    let code =
                        u8::try_from(number()?).map_err(|_| format!("fake script: {word:?}: codes are 0 to 255"))?;
                    script.run = Run::Exit { code, after };
                }
                "oom" => script.run = Run::OutOfMemory { after },
                "ignore_term" => script.on_terminate = OnTerminate::Ignore,
                "fail_create" => script.create_error = Some((RuntimeErrorKind::Internal, "scripted to fail".into())),
                "fail_start" => script.start_error = Some((RuntimeErrorKind::Internal, "scripted to fail".into())),
                "after_ms" => after = Duration::from_millis(number()?),
                "create_ms" => script.create_delay = Duration::from_millis(number()?),
                _ => return Err(format!("fake script: unknown word {word:?}")),
            }
        }
        match &mut script.run {
            Run::Exit { after: own, .. } | Run::OutOfMemory { after: own } => *own = after,
            Run::Forever => {}
        }
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_values_say_the_same() {
        let parsed: Script = "exit=3 after_ms=50 create_ms=7".parse().unwrap();
        assert_eq!(parsed, Script::exit(3, Duration::from_millis(50)).slow_create(Duration::from_millis(7)));
        assert_eq!("ignore_term".parse(), Ok(Script::ignore_terminate()));
        assert_eq!("".parse(), Ok(Script::forever()));
        assert!("exit=300".parse::<Script>().is_err());
        assert!("dance".parse::<Script>().unwrap_err().contains("dance"));
    }
}
