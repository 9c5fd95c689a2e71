//! Waiting for the cluster: until something is so, or the time is over. A master that is away meanwhile is waited for with
//! growing patience: what was begun goes on without the one who asked for it, and the next master knows of it.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use crate::CliError;
use crate::output::clean;
use crate::progress::Bars;

/// How often is looked while the master answers.
const LOOK: Duration = Duration::from_millis(250);
/// The longest pause while it does not.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a line says how it stands where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// What a look found.
pub(crate) enum Seen<T> {
    /// What was waited for.
    Done(T),
    /// So much is left.
    Left(u64),
}

/// One wait, with its end and its progress.
pub(crate) struct Waiting {
    until: Instant,
    /// What is counted, e.g. `tasks`.
    unit: &'static str,
    name: String,
    bar: Option<ProgressBar>,
    most: u64,
    told: Option<(Option<u64>, Instant)>,
}

impl Waiting {
    /// A wait of this length for `name`, of which units are left until it is over.
    pub(crate) fn new(name: &str, unit: &'static str, timeout: Duration) -> Self {
        let bar = stderr().is_terminal().then(|| Bars::default().counting(name, 0));
        let until = Instant::now() + timeout;
        Self { until, unit, name: name.to_owned(), bar, most: 0, told: None }
    }

    /// Asks until the master answers; `None` when time is over. Only for what may be asked twice.
    ///
    /// # Errors
    /// What the master says against it.
    pub(crate) async fn ask<T>(&mut self, ask: impl AsyncFn() -> Result<T, CliError>) -> Result<Option<T>, CliError> {
        self.until(async || Ok(Seen::Done(ask().await?))).await
    }

    /// Looks until it is done; `None` when time is over.
    ///
    /// # Errors
    /// That of a look, unless it is that no master answers.
    pub(crate) async fn until<T>(
        &mut self,
        look: impl AsyncFn() -> Result<Seen<T>, CliError>,
    ) -> Result<Option<T>, CliError> {
        let mut pause = LOOK;
        loop {
            let Ok(seen) = tokio::time::timeout_at(self.until, look()).await else { return Ok(None) };
            pause = match seen {
                Ok(Seen::Done(found)) => {
                    self.end();
                    return Ok(Some(found));
                }
                Ok(Seen::Left(left)) => {
                    self.show(Some(left));
                    LOOK
                }
                Err(error) if error.is_away() => {
                    self.show(None);
                    LONGEST_PAUSE.min(pause * 2)
                }
                Err(error) => return Err(error),
            };
            if Instant::now() >= self.until {
                return Ok(None);
            }
            tokio::time::sleep_until(self.until.min(Instant::now() + pause)).await;
        }
    }

    /// Says how it stands: on a terminal at once, elsewhere not too often and only when it is something else.
    fn show(&mut self, left: Option<u64>) {
        let words = match left {
            Some(left) => format!("{left} {} left", self.unit),
            None => "the master does not answer; trying again".to_owned(),
        };
        if let Some(bar) = &self.bar {
            if let Some(left) = left {
                self.most = self.most.max(left);
                bar.set_length(self.most);
                bar.set_position(self.most - left);
            }
            return bar.set_message(words);
        }
        let now = Instant::now();
        let is_news =
            |(told, at): (Option<u64>, Instant)| told.is_some() != left.is_some() || (told != left && now >= at + LINE);
        if self.told.is_none_or(is_news) {
            eprintln!("{}: {}", clean(&self.name), clean(&words));
            self.told = Some((left, now));
        }
    }

    fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn waiting() -> Waiting {
        Waiting::new("it", "tasks", Duration::from_secs(60))
    }

    #[tokio::test(start_paused = true)]
    async fn a_master_that_is_away_is_asked_again_ever_less_often_and_a_refusal_ends_it() {
        let began = Instant::now();
        let asked = Cell::new(0);
        let away = async || {
            asked.set(asked.get() + 1);
            match asked.get() {
                ..=7 => Err(CliError::away("no master answers", "start one")),
                8 => Ok(Seen::Left(3)),
                _ => Ok(Seen::Done("done")),
            }
        };
        assert_eq!(waiting().until(away).await.unwrap(), Some("done"));
        // 0.5, 1, 2, 4, 5, 5 and 5 s, then a quarter.
        assert_eq!((Instant::now() - began, asked.get()), (Duration::from_millis(22_750), 9));

        let refused = async || Err::<(), _>(CliError::new("wrong", "do it right"));
        let error = waiting().ask(refused).await.unwrap_err();
        assert_eq!(error.to_string(), "wrong");
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_over_also_while_a_look_hangs_or_nobody_answers() {
        let began = Instant::now();
        let left = waiting().until(async || Ok::<Seen<()>, _>(Seen::Left(1))).await.unwrap();
        assert_eq!((left, Instant::now() - began), (None, Duration::from_secs(60)));
        let away = waiting().ask(async || Err::<(), _>(CliError::away("no", "yes"))).await.unwrap();
        assert_eq!((away, Instant::now() - began), (None, Duration::from_secs(120)));
        let hangs = waiting().ask(async || std::future::pending::<Result<(), CliError>>().await).await.unwrap();
        assert_eq!((hangs, Instant::now() - began), (None, Duration::from_secs(180)));
    }
}
