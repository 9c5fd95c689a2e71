//! Gangs: several offers, one answer, all or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{Recorder, hello};
use proffer_sdk::session::Call;
use proffer_sdk::{Event, Gang, NotAdded};
use proffer_testkit::{TestDriver, agent};

fn with_two_offers() -> TestDriver<Recorder> {
    let mut driver = TestDriver::new(Recorder::hoarding());
    driver.connect();
    driver.offers([agent("a1"), agent("a2")]);
    driver
}

fn gang(recorder: &mut Recorder) -> Gang {
    let mut gang = Gang::new();
    for (offer, task) in recorder.held.drain(..).zip(["w-1", "w-2"]) {
        gang.add(offer, vec![hello(task)]).unwrap();
    }
    gang
}

#[test]
fn a_gang_is_one_accept_over_all_its_offers() {
    let mut driver = with_two_offers();
    let (_, calls) = driver.with(|recorder, _| gang(recorder).launch());
    calls.assert(&["launch together w-1 on a1 *", "launch together w-2 on a2 *"]);
    let [Call::Accept(accept)] = calls.0.as_slice() else { panic!("{calls}") };
    assert_eq!(accept.offers.iter().map(|o| o.as_str()).collect::<Vec<_>>(), ["O1-1", "O1-2"]);
    assert_eq!(accept.operations.len(), 1);
    assert_eq!(driver.with(|_, cx| cx.tasks().count()).0, 2);
}

#[test]
fn a_gang_with_a_void_offer_launches_nothing_and_gives_the_others_back() {
    let mut driver = with_two_offers();
    driver.rescind(2);
    let (_, calls) = driver.with(|recorder, _| gang(recorder).launch());
    calls.assert(&["decline O1-1: other (another offer of the same gang was no longer valid)"]);
    let log = driver.scheduler().log();
    assert_eq!(log[log.len() - 2..], ["w-1 DROPPED INVALID_OFFERS", "w-2 DROPPED INVALID_OFFERS"]);
}

#[test]
fn a_gang_that_is_not_launched_gives_its_offers_back() {
    let mut driver = with_two_offers();
    driver.with(|recorder, _| drop(gang(recorder))).1.assert(&["decline O1-1, O1-2: no demand"]);
    let mut driver = with_two_offers();
    driver.with(|_, _| Gang::new().launch()).1.assert(&[]);
}

#[test]
fn what_cannot_be_added_is_given_back() {
    let mut driver = TestDriver::new(Recorder::new(|event, _| {
        let Event::Offers(offers) = event else { return Ok(()) };
        let [small, mut used] = <[_; 2]>::try_from(offers).unwrap();
        let Err(NotAdded::DoesNotFit { reason, offer }) = Gang::new().add(small, vec![hello("w-1")]) else { panic!() };
        assert_eq!(reason.shortage.cpus.0, 90);
        offer.decline_short(*reason.shortage);
        used.launch(hello("w-2"))?;
        assert!(matches!(Gang::new().add(used, vec![hello("w-3")]), Err(NotAdded::Used { .. })));
        Ok(())
    }));
    driver.connect();
    driver
        .offers([agent("a1").milli_cpus(10), agent("a2")])
        .assert(&["launch w-2 on a2 *", "decline O1-1: short of 0.09 cpus"]);
}
