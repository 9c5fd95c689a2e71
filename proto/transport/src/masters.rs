//! Which master of a list is tried next. Decides only: it neither connects nor waits.

use crate::Address;

/// So often in one round an address is followed that another master named.
const MOST_TOLD: usize = 3;

/// The masters of a cluster, gone through one after the other, and the leader that one of them named.
#[derive(Debug, Clone)]
pub struct Masters {
    list: Vec<Address>,
    at: usize,
    told: Option<Address>,
    followed: usize,
    /// A leader that was named and did not answer in this round.
    in_vain: Option<Address>,
}

/// What to do after a try that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// There is another one to try.
    AtOnce,
    /// All were tried: it is time to wait.
    AfterAWait,
}

impl Masters {
    /// The addresses people gave, in their order.
    pub fn new(list: Vec<Address>) -> Self {
        Self { list, at: 0, told: None, followed: 0, in_vain: None }
    }

    /// The one to try now; `None` of an empty list.
    pub fn now(&self) -> Option<&Address> {
        match &self.told {
            Some(told) => Some(told),
            None => self.list.get(self.at % self.list.len().max(1)),
        }
    }

    /// The one tried last does not serve, or does not any more; it may have said who leads.
    pub fn failed(&mut self, leader: Option<Address>) -> Again {
        if let Some(told) = self.told.take() {
            self.in_vain = Some(told);
        } else {
            self.at = (self.at + 1) % self.list.len().max(1);
        }
        let is_new = leader.is_some() && leader != self.in_vain && self.followed < MOST_TOLD;
        if is_new {
            self.followed += 1;
            self.told = leader;
            return Again::AtOnce;
        }
        if self.at == 0 {
            (self.followed, self.in_vain) = (0, None);
            return Again::AfterAWait;
        }
        Again::AtOnce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn masters(list: &[&str]) -> Masters {
        Masters::new(list.iter().map(|text| address(text)).collect())
    }

    fn now(masters: &Masters) -> String {
        masters.now().unwrap().to_string()
    }

    #[test]
    fn a_list_is_gone_through_before_a_wait() {
        let mut all = masters(&["a:1", "b:1", "c:1"]);
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.push((now(&all), all.failed(None)));
            seen.push((now(&all), all.failed(None)));
            seen.push((now(&all), all.failed(None)));
        }
        let seen: Vec<_> = seen.iter().map(|(name, again)| (name.as_str(), *again == Again::AfterAWait)).collect();
        let round = [("a:1", false), ("b:1", false), ("c:1", true)];
        assert_eq!(seen, [round, round].concat());
        assert_eq!(masters(&["a:1"]).failed(None), Again::AfterAWait);
        assert!(masters(&[]).now().is_none());
    }

    #[test]
    fn the_leader_that_was_named_is_tried_at_once_also_when_it_is_not_in_the_list() {
        let mut all = masters(&["a:1"]);
        assert_eq!(all.failed(Some(address("z:9"))), Again::AtOnce);
        assert_eq!(now(&all), "z:9");
        // It does not lead any more, and the next one neither.
        assert_eq!(all.failed(Some(address("y:9"))), Again::AtOnce);
        assert_eq!((now(&all), all.failed(None)), ("y:9".to_owned(), Again::AfterAWait));
        assert_eq!(now(&all), "a:1");
    }

    #[test]
    fn masters_that_name_each_other_or_one_that_is_dead_never_keep_a_client_from_waiting() {
        for names in [["a:1", "b:1"], ["dead:1", "dead:1"]] {
            let mut all = masters(&["a:1", "b:1"]);
            let mut tries = 0;
            for waits in 0.. {
                if waits == 10 {
                    break;
                }
                loop {
                    tries += 1;
                    let leader = match now(&all).as_str() {
                        "a:1" => Some(address(names[1])),
                        "b:1" => Some(address(names[0])),
                        _ => None,
                    };
                    if all.failed(leader) == Again::AfterAWait {
                        break;
                    }
                }
            }
            assert!(tries <= 10 * (2 + MOST_TOLD), "{tries} tries in ten rounds");
        }
    }
}
