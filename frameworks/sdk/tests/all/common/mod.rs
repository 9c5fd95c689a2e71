//! What the SDK's tests share: a scheduler that writes down what it gets.
#![allow(dead_code)]

use proffer_sdk::model::{ClusterId, Epoch};
use proffer_sdk::session::MasterEvent;
use proffer_sdk::{Context, Event, FrameworkId, Handled, Offer, Scheduler, Task, TaskSpec};

type Handler = Box<dyn FnMut(Event, &mut Context<'_>) -> Handled + Send>;

/// Writes down each event as a line, then does what the test says.
pub struct Recorder {
    log: Vec<String>,
    pub held: Vec<Offer>,
    is_hoarding: bool,
    handler: Handler,
}

impl Recorder {
    pub fn new(handler: impl FnMut(Event, &mut Context<'_>) -> Handled + Send + 'static) -> Self {
        Self { log: Vec::new(), held: Vec::new(), is_hoarding: false, handler: Box::new(handler) }
    }

    /// Keeps every offer.
    pub fn hoarding() -> Self {
        Self { is_hoarding: true, ..Self::new(|_, _| Ok(())) }
    }

    /// Launches these on the first offer that comes.
    pub fn launching<const N: usize>(tasks: [&'static str; N]) -> Self {
        let mut tasks = Some(tasks);
        Self::new(move |event, _| {
            if let Event::Offers(mut offers) = event {
                for task in tasks.take().into_iter().flatten() {
                    offers[0].launch(hello(task))?;
                }
            }
            Ok(())
        })
    }

    pub fn log(&self) -> &[String] {
        &self.log
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.log)
    }
}

impl Scheduler for Recorder {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        self.log.push(line(&event));
        match event {
            Event::Offers(offers) if self.is_hoarding => {
                self.held.extend(offers);
                Ok(())
            }
            event => (self.handler)(event, cx),
        }
    }
}

pub fn line(event: &Event) -> String {
    let text = match event {
        Event::Started { stored } => {
            let stored = stored.iter().map(|(key, value)| format!(" {key}={}", String::from_utf8_lossy(value)));
            format!("started{}", stored.collect::<String>())
        }
        Event::Connected { framework, is_new } => format!("connected {framework}{}", if *is_new { " new" } else { "" }),
        Event::Disconnected => "disconnected".to_owned(),
        Event::Reconciled { unanswered } if unanswered.is_empty() => "reconciled".to_owned(),
        Event::Reconciled { unanswered } => {
            format!("reconciled without {}", unanswered.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(", "))
        }
        Event::Offers(offers) => {
            format!("offers {}", offers.iter().map(|offer| offer.id().as_str()).collect::<Vec<_>>().join(", "))
        }
        Event::Rescinded { offers, reason } => format!("rescinded {offers:?} {reason:?}"),
        Event::Status(status) => format!("{} {} {}", status.task, status.state, status.reason),
        Event::OperationStatus { operation_id, outcome, .. } => format!("operation {operation_id} {outcome:?}"),
        Event::InverseOffers(offers) => format!("asked to leave {offers:?}"),
        Event::InverseRescinded { offers, end } => format!("not asked any more {offers:?} {end:?}"),
        Event::AgentLost { agent, .. } => format!("lost {agent}"),
        Event::Wake => "wake".to_owned(),
        Event::Error { message } => format!("error {message}"),
    };
    text.trim_end().to_owned()
}

pub fn hello(id: &str) -> TaskSpec {
    Task::new(id).image("hello").cpus(0.1).memory_mib(32).build().unwrap()
}

pub fn subscribed(framework: &str, heartbeat_interval_ms: u64) -> MasterEvent {
    MasterEvent::Subscribed {
        framework: FrameworkId::new(framework).unwrap(),
        epoch: Epoch(1),
        heartbeat_interval_ms,
        cluster: ClusterId::new("test").unwrap(),
    }
}
