//! A framework that behaves well and always has more to do: so many tasks at a time, each replaced when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proffer_sdk::{Context, Demand, Event, Handled, Scheduler, Task, TaskId, TaskSpec};

/// What a [`Worker`] has done so far, for others to read.
pub type Done = Arc<AtomicU64>;

/// The scheduler.
pub struct Worker {
    parallel: u32,
    running: u32,
    launched: u64,
    template: TaskSpec,
    done: Done,
}

impl Worker {
    /// A framework that keeps `parallel` tasks going and counts those that ended.
    pub fn new(parallel: u32, done: Done) -> Self {
        let template = Task::new("t").image("none").cpus(0.1).memory_mib(32).build().expect("a sound task");
        Self { parallel, running: 0, launched: 0, template, done }
    }

    fn fill(&mut self, offers: Vec<proffer_sdk::Offer>) -> Handled {
        for mut offer in offers {
            while self.running < self.parallel && offer.shortage(&self.template).is_none() {
                let id = TaskId::new(format!("t{}", self.launched)).expect("a letter and digits");
                offer.launch(TaskSpec { id, ..self.template.clone() })?;
                self.launched += 1;
                self.running += 1;
            }
        }
        Ok(())
    }
}

impl Scheduler for Worker {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        match event {
            Event::Offers(offers) => self.fill(offers)?,
            Event::Status(status) if status.state.is_terminal() => {
                self.running -= 1;
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        cx.set_demand(Demand::of(&self.template, self.parallel - self.running));
        Ok(())
    }
}
