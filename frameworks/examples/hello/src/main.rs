//! The smallest framework: runs one container to its end and prints its states. Usage: `hello [IMAGE [ARGUMENT...]]`.
use proffer_sdk::{Context, Demand, Event, FrameworkConfig, Handled, Scheduler, Task, TaskSpec, run};

#[derive(Default)]
struct Hello(Option<TaskSpec>);

impl Scheduler for Hello {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        match (event, self.0.as_ref()) {
            (Event::Started { .. }, _) => {
                let mut words = std::env::args().skip(1);
                let image = words.next().unwrap_or("hello".to_owned());
                let task = Task::new(format!("hello-{}", cx.unix_now().0)).image(image).args(words);
                let task = task.cpus(0.1).memory_mib(32).build()?;
                cx.set_demand(Demand::of(&task, 1));
                self.0 = Some(task);
            }
            (Event::Offers(offers), Some(task)) if cx.task(&task.id).is_none() => {
                let Some(mut offer) = offers.into_iter().next() else { return Ok(()) };
                offer.launch(task.clone())?;
                cx.set_demand(Demand::none());
            }
            (Event::Status(status), Some(task)) if status.task == task.id => {
                println!("{} is {} {}", status.task, status.state, status.message);
                status.state.is_terminal().then(|| cx.stop());
            }
            _ => {}
        }
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    run(FrameworkConfig::new("hello").masters_from_env(), Hello::default())
}
