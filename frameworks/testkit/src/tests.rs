//! Tests of the kit itself, with a scheduler that keeps two tasks running.

use proffer_sdk::{Context, Demand, Event, Handled, Scheduler, Task, TaskSpec, TaskState};

use crate::{Script, Step, TestDriver, agent};

/// Keeps two tasks running.
#[derive(Default)]
struct Pair {
    launched: u32,
}

impl Pair {
    fn next(&self) -> Result<TaskSpec, proffer_sdk::TaskError> {
        Task::new(format!("web-{}", self.launched + 1)).image("web").port("http", 80).build()
    }

    fn missing(cx: &Context<'_>, fresh: u32) -> u32 {
        2u32.saturating_sub(u32::try_from(cx.tasks().count()).unwrap_or(u32::MAX)).saturating_sub(fresh)
    }
}

impl Scheduler for Pair {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        let mut fresh = 0;
        if let Event::Offers(offers) = event {
            for mut offer in offers {
                while Self::missing(cx, fresh) > 0 && offer.launch(self.next()?).is_ok() {
                    (self.launched, fresh) = (self.launched + 1, fresh + 1);
                }
            }
        }
        cx.set_demand(Demand::of(&self.next()?, Self::missing(cx, fresh)));
        Ok(())
    }
}

#[test]
fn a_script_runs_as_written() {
    let script = Script::new()
        .send(Step::Connect)
        .expect(["subscribe", "reconcile everything", "demand 2 x 0.1 cpus, 32MiB memory and 1 ports"])
        .send(Step::Offers(vec![agent("a1").milli_cpus(100), agent("a2")]))
        .expect([
            "launch web-1 on a1 with 0.1 cpus, 32MiB memory, ports 31000",
            "launch web-2 on a2 with 0.1 cpus, 32MiB memory, ports 31000",
            "demand nothing",
        ])
        .send(Step::Status("web-1".into(), TaskState::Failed))
        .expect(["demand 1 x *", "acknowledge web-1 #1"])
        .send(Step::Advance(60_000))
        .expect([""; 0]);
    let mut driver = TestDriver::new(Pair::default());
    script.run(&mut driver).unwrap();
    let mut driver = driver.restart(Pair { launched: 2 });
    driver.connect().assert(&["subscribe as F1-1", "reconcile everything", "reconcile web-2", "demand 1 x *"]);
    assert_eq!(driver.offers([agent("a3")]).launched_ids(), ["web-3"]);
}

#[test]
fn a_mismatch_shows_both_sides_and_where() {
    let script = Script::new().send(Step::Connect).expect(["subscribe", "reconcile web-7", "demand *"]);
    let text = script.run(&mut TestDriver::new(Pair::default())).unwrap_err().to_string();
    let lines = [
        "after step 1 the framework's calls are not the expected ones",
        "    subscribe",
        "  - reconcile web-7",
        "  + reconcile everything",
        "    demand 2 x 0.1 cpus, 32MiB memory and 1 ports",
        "(- expected, + said by the framework)",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
}
