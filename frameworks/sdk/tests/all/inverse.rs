//! Requests to leave agents: handed out after reconciliation, answered once, and not any more when they are over.
#![allow(clippy::unwrap_used)] // test code

use crate::common::Recorder;
use proffer_sdk::{Event, InverseEnd, InverseOffer};
use proffer_testkit::TestDriver;

/// Answers each request with this.
fn answering(answer: fn(InverseOffer)) -> TestDriver<Recorder> {
    TestDriver::new(Recorder::new(move |event, _| {
        if let Event::InverseOffers(offers) = event {
            offers.into_iter().for_each(answer);
        }
        Ok(())
    }))
}

#[test]
fn a_request_is_answered_in_the_words_of_the_framework() {
    let mut driver = answering(|offer| {
        let (count, agent) = (offer.tasks().len(), offer.hostname().to_owned());
        offer.accept(format!("moving {count} tasks from {agent}"));
    });
    driver.connect();
    driver.ask_to_leave(1, "a1", &["web.1", "web.2"], 60_000).assert(&["leave V1-1: moving 2 tasks from a1"]);
    driver.ask_to_leave(1, "a1", &["web.1"], 60_000).assert(&["leave V1-1: moving 1 tasks from a1"]);
    let mut driver = answering(|offer| offer.ask_again_after(5_000).decline("x".repeat(5_000)));
    driver.connect();
    let calls = driver.ask_to_leave(1, "a1", &["web.1"], 60_000);
    let proffer_sdk::session::Call::InverseReply(reply) = &calls.0[0] else { panic!("{calls}") };
    assert_eq!((reply.message.len(), reply.filter.map(|f| f.refuse_ms)), (1_024, Some(5_000)));
    let mut driver = answering(drop);
    driver.connect();
    driver.ask_to_leave(1, "a1", &["web.1"], 60_000).assert(&[]);
}

#[test]
fn requests_wait_for_reconciliation_and_end_before_they_are_seen() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1"]));
    driver.connect();
    driver.offers([proffer_testkit::agent("a1")]);
    driver.disconnect();
    // The master of the test answers reconciliation at once: what comes after it is told in the order it came.
    driver.connect();
    driver.ask_to_leave(1, "a1", &["hello-1"], 60_000);
    driver.stop_asking(1, InverseEnd::Cancelled);
    driver.stop_asking(1, InverseEnd::Cancelled);
    let log = driver.scheduler().log().join("\n");
    assert_eq!(log.matches("asked to leave [InverseOffer(V1-1 of a1: Maintenance, 1 tasks)]").count(), 1, "{log}");
    assert_eq!(log.matches("not asked any more").count(), 1, "told once: {log}");
}

#[test]
fn an_answer_to_what_is_over_is_not_sent() {
    let mut held: Option<InverseOffer> = None;
    let mut driver = TestDriver::new(Recorder::new(move |event, _| {
        match event {
            Event::InverseOffers(mut offers) => held = offers.pop(),
            Event::InverseRescinded { .. } => held.take().into_iter().for_each(|offer| offer.accept("too late")),
            _ => {}
        }
        Ok(())
    }));
    driver.connect();
    driver.ask_to_leave(1, "a1", &["web.1"], 60_000).assert(&[]);
    driver.stop_asking(1, InverseEnd::Left).assert(&[]);
}
