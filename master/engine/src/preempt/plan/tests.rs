//! The planner against a naive one that tries every set of tasks on every agent.

use proffer_proto_model::{Bytes, FrameworkId, MilliCpus, TaskId};
use proptest::prelude::*;

use super::*;

fn cpus(cpus: u64, memory: u64) -> Resources {
    Resources::new(MilliCpus(cpus * 1_000), Bytes::mib(memory))
}

fn task(name: &str, role: &str, priority: i32, since: u64, resources: Resources) -> Candidate {
    let key = TaskKey { framework: FrameworkId::numbered(1, 1), task: TaskId::new(name).unwrap() };
    let (role, usable, returns) = (Role::new(role).unwrap(), resources.clone(), Vec::new());
    Candidate { key, role, priority, is_revocable: false, since, resources, usable, returns }
}

fn place(number: u64, free: Resources, tasks: Vec<Candidate>) -> Place {
    Place { agent: AgentId::numbered(1, number), free, kept: Resources::default(), tasks }
}

fn want(shape: Resources, owed: Resources) -> Want {
    Want { shape, ports: 0, priority: 10, promised: owed.clone(), owed, over: Vec::new(), fits_elsewhere: false }
}

fn names(choice: &Option<Choice>) -> Vec<&str> {
    choice.iter().flat_map(|choice| choice.victims.iter().map(|key| key.task.as_str())).collect()
}

#[test]
fn the_lowest_priority_goes_first_then_the_newest_and_as_few_as_do() {
    let two = |tasks| choose(&want(cpus(2, 0), cpus(4, 0)), [place(1, cpus(1, 0), tasks)], &BTreeMap::new());
    let one = cpus(1, 0);
    let tasks = vec![
        task("old", "x", 0, 1, one.clone()),
        task("new", "x", 0, 2, one.clone()),
        task("low", "x", -1, 0, one.clone()),
    ];
    assert_eq!(names(&two(tasks.clone())), ["low"]);
    assert_eq!(names(&two(tasks[..2].to_vec())), ["new"]);
    let small = task("small", "x", -1, 9, cpus(0, 1));
    assert_eq!(names(&two(vec![small, task("one", "x", 0, 1, one.clone())])), ["one"], "memory is of no use");
    let equal = vec![task("equal", "x", 10, 1, one.clone())];
    assert_eq!(two(equal.clone()), None, "not what is as important");
    let revocable = Candidate { is_revocable: true, ..equal[0].clone() };
    assert_eq!(names(&two(vec![revocable])), ["equal"]);
}

#[test]
fn what_a_limit_is_short_of_goes_within_its_role_whatever_else_is_free() {
    let over = vec![Over { role: Role::new("eng").unwrap(), amount: cpus(2, 0) }];
    let want = |fits_elsewhere| Want { over: over.clone(), fits_elsewhere, ..want(cpus(2, 0), cpus(4, 0)) };
    let tasks = vec![
        task("other", "ops", -9, 1, cpus(2, 0)),
        task("db", "eng/db", 1, 1, cpus(2, 0)),
        task("small", "eng/db", -1, 1, cpus(1, 0)),
    ];
    let chosen = |fits_elsewhere, free| {
        choose(&want(fits_elsewhere), [place(1, cpus(free, 0), tasks.clone())], &BTreeMap::new())
    };
    assert_eq!(names(&chosen(true, 0)), ["db"], "one of two is not enough, and both are not needed");
    assert_eq!(names(&chosen(false, 9)), ["db"]);
    assert_eq!(names(&chosen(false, 0)), ["db"], "it makes room here too");
    let without = want(true).without(&tasks[1..2]);
    assert!(without.is_met_by(&cpus(0, 0)) && !want(true).is_met_by(&cpus(9, 0)));
}

#[test]
fn an_agent_with_a_lower_victim_is_chosen_before_one_with_fewer() {
    let dear = place(1, cpus(0, 0), vec![task("dear", "x", 5, 1, cpus(2, 0))]);
    let cheap = vec![task("a", "x", 1, 1, cpus(1, 0)), task("b", "x", 1, 2, cpus(1, 0))];
    let choice = choose(&want(cpus(2, 0), cpus(2, 0)), [dear, place(2, cpus(0, 0), cheap)], &BTreeMap::new());
    assert_eq!(names(&choice), ["a", "b"]);
}

#[test]
fn nobody_falls_below_its_own_promise_and_only_what_is_promised_is_taken() {
    let floors = |held| {
        let floor = Floor { held, promised: cpus(2, 0) };
        BTreeMap::from([(Role::new("x").unwrap(), floor)])
    };
    let places = || [place(1, cpus(0, 0), vec![task("a", "x/y", 0, 1, cpus(1, 64))])];
    let wanted = want(cpus(1, 0), cpus(1, 0));
    assert_eq!(choose(&wanted, places(), &floors(cpus(2, 64))), None);
    assert_eq!(names(&choose(&wanted, places(), &floors(cpus(3, 64)))), ["a"]);
    let with_memory = want(cpus(1, 64), cpus(1, 0));
    assert_eq!(choose(&with_memory, places(), &BTreeMap::new()), None, "memory was not promised");
    let beyond = want(cpus(2, 0), cpus(1, 0));
    assert_eq!(choose(&beyond, places(), &BTreeMap::new()), None, "more than is owed");
}

#[test]
fn a_role_that_may_lose_one_of_two_loses_the_one_that_helps() {
    let floor = Floor { held: cpus(4, 0), promised: cpus(2, 0) };
    let floors = BTreeMap::from([(Role::new("x").unwrap(), floor)]);
    let tasks = vec![task("small", "x", 0, 9, cpus(1, 0)), task("big", "x", 0, 1, cpus(2, 0))];
    let choice = choose(&want(cpus(2, 0), cpus(2, 0)), [place(1, cpus(0, 0), tasks)], &floors);
    assert_eq!(names(&choice), ["big"]);
}

#[test]
fn a_role_that_may_lose_two_of_three_loses_those_that_help() {
    let floor = Floor { held: cpus(3, 0), promised: cpus(1, 0) };
    let floors = BTreeMap::from([(Role::new("x").unwrap(), floor)]);
    let tasks = vec![
        task("aside", "y", -1, 1, cpus(1, 0)),
        task("big", "x", 0, 1, cpus(2, 0)),
        Candidate { is_revocable: true, ..task("small", "x", 0, 1, cpus(1, 0)) },
    ];
    let choice = choose(&want(cpus(3, 0), cpus(3, 0)), [place(1, cpus(0, 0), tasks)], &floors);
    assert_eq!(names(&choice), ["aside", "big"], "small goes first, but not with big");
}

#[test]
fn a_reservation_of_others_gives_no_room_and_one_of_its_own_need_not_be_owed() {
    let reserved = Candidate { usable: cpus(0, 0), ..task("reserved", "x", 0, 1, cpus(2, 0)) };
    let halves = Candidate { usable: cpus(1, 0), ..task("halves", "x", 5, 1, cpus(2, 0)) };
    let places = |free, kept, tasks| [Place { kept, ..place(1, free, tasks) }];
    let none = cpus(0, 0);
    let tasks = vec![reserved, halves];
    let wants = |shape, owed| want(cpus(shape, 0), cpus(owed, 0));
    let all = |want: &Want, free, kept| choose(want, places(free, kept, tasks.clone()), &BTreeMap::new());
    assert_eq!(names(&all(&wants(1, 1), none.clone(), none.clone())), ["halves"], "the other frees nothing for it");
    assert_eq!(all(&wants(2, 2), none.clone(), none.clone()), None, "half of it is of a reservation");
    let promised_two = Want { promised: cpus(2, 0), ..wants(2, 1) };
    assert_eq!(all(&promised_two, none.clone(), none), None, "only one is owed");
    assert_eq!(names(&all(&promised_two, cpus(1, 0), cpus(1, 0))), ["halves"], "and one is its own");
}

#[test]
fn what_goes_back_to_a_reservation_of_the_role_is_not_lost_by_it() {
    let floor = Floor { held: cpus(2, 0), promised: cpus(2, 0) };
    let floors = BTreeMap::from([(Role::new("x").unwrap(), floor)]);
    let returns = |of: &str| vec![(Role::new(of).unwrap(), cpus(1, 0))];
    let with =
        |of: &str| Candidate { usable: cpus(0, 64), returns: returns(of), ..task("a", "x/y", 0, 1, cpus(1, 64)) };
    let wanted = want(cpus(0, 64), cpus(0, 64));
    let choice = |task| choose(&wanted, [place(1, cpus(0, 0), vec![task])], &floors);
    assert_eq!(names(&choice(with("x/z"))), ["a"], "its CPU stays with x");
    assert_eq!(choice(with("w")), None, "and here goes to w");
}

fn arbitrary_tasks() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0u64..3, 0u64..3, -2i32..12, any::<bool>(), 0u64..5, 0usize..3);
    proptest::collection::vec(one, 0..6).prop_map(|tasks| {
        let each = tasks.into_iter().enumerate();
        each.map(|(at, (c, m, priority, is_revocable, since, role))| {
            let role = ["x", "x/y", "z"][role];
            Candidate { is_revocable, ..task(&format!("t{at}"), role, priority, since, cpus(c, m)) }
        })
        .collect()
    })
}

/// Every set of allowed tasks of a place that makes the want fit and leaves every promise.
fn feasible<'a>(want: &Want, place: &'a Place, floors: &BTreeMap<Role, Floor>) -> Vec<Vec<&'a Candidate>> {
    let allowed: Vec<&Candidate> = place.tasks.iter().filter(|task| want.may_take(task)).collect();
    let sets = (1u32..1 << allowed.len()).map(|bits| {
        let chosen = allowed.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, task)| *task);
        chosen.collect::<Vec<_>>()
    });
    sets.filter(|set| want.fits(&freed(place, set)) && keeps_promises(set, floors)).collect()
}

fn keeps_promises(set: &[&Candidate], floors: &BTreeMap<Role, Floor>) -> bool {
    floors.iter().all(|(role, floor)| {
        let of = set.iter().filter(|task| path(&task.role).any(|above| above == *role));
        let lost = of.fold(Resources::default(), |sum, task| sum.saturating_sum(&task.resources));
        lost.is_empty() || floor.held.saturating_minus(&lost).contains(&only(&floor.promised, &lost))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_chosen_does_and_nothing_of_it_is_needless(
        tasks in proptest::collection::vec(arbitrary_tasks(), 1..4),
        frees in proptest::collection::vec((0u64..3, 0u64..3), 3),
        shape in (0u64..4, 0u64..3),
        owed in (0u64..4, 0u64..3),
        promise in proptest::option::of((0u64..4, 0u64..3)),
    ) {
        let want = want(cpus(shape.0, shape.1), cpus(owed.0, owed.1));
        let places: Vec<Place> = tasks
            .into_iter()
            .zip(&frees)
            .enumerate()
            .map(|(at, (tasks, free))| place(at as u64 + 1, cpus(free.0, free.1), tasks))
            .collect();
        let all = places.iter().flat_map(|place| &place.tasks).filter(|task| task.role.as_str().starts_with('x'));
        let held = all.fold(Resources::default(), |sum, task| sum.saturating_sum(&task.resources));
        let floor = promise.map(|promise| Floor { held, promised: cpus(promise.0, promise.1) });
        let floors: BTreeMap<Role, Floor> = floor.map(|floor| (Role::new("x").unwrap(), floor)).into_iter().collect();
        let choice = choose(&want, places.clone(), &floors);
        prop_assert_eq!(&choice, &choose(&want, places.iter().rev().cloned().collect::<Vec<_>>(), &floors));
        let usable = |place: &&Place| want.is_owed(&place.kept) && !want.fits(&place.free) && want.has_the_rest(&place.free);
        let sets: Vec<Vec<&Candidate>> =
            places.iter().filter(usable).flat_map(|place| feasible(&want, place, &floors)).collect();
        let dearest = |set: &Vec<&Candidate>| set.iter().map(|task| task.priority).max();
        let Some(Choice { agent, victims }) = choice else {
            prop_assert!(sets.is_empty(), "missed {:?}", sets);
            return Ok(());
        };
        let chosen_place = places.iter().find(|place| place.agent == agent).unwrap();
        let chosen: Vec<&Candidate> = chosen_place.tasks.iter().filter(|task| victims.contains(&task.key)).collect();
        let mine = feasible(&want, chosen_place, &floors);
        let is_chosen = |set: &&Vec<&Candidate>| set.iter().map(|task| &task.key).collect::<BTreeSet<_>>() == victims.iter().collect();
        prop_assert!(mine.iter().any(|set| is_chosen(&set)), "{:?} does not do", victims);
        let is_part = |set: &&Vec<&Candidate>| set.len() < chosen.len() && set.iter().all(|task| victims.contains(&task.key));
        prop_assert!(!mine.iter().any(|set| is_part(&set)), "{:?} is more than is needed", victims);
        if floors.is_empty() {
            prop_assert_eq!(dearest(&chosen), sets.iter().map(dearest).min().unwrap());
        }
    }
}
