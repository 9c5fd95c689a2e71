//! A framework subscribes. Its id is stored before it is told; the newest stream wins; a name is one framework.

use std::collections::BTreeSet;

use proffer_proto_model::{Demand, FrameworkId, FrameworkInfo, Now, Resources, TaskKey, TaskState, TaskStatus};

use crate::registry::{FrameworkRecord, Operation};
use crate::state::{Framework, State};
use crate::validate::{check_demand, check_framework};
use crate::{FrameworkErrorKind, SessionId, ToFramework};

type Refusal = (FrameworkErrorKind, String);

impl State {
    /// A framework opened a stream and said who it is and what it wants.
    pub fn subscribe(&mut self, now: Now, session: SessionId, info: FrameworkInfo, demand: Demand) {
        if self.framework_sessions.contains_key(&session) {
            let message = "this stream has subscribed already; open a new stream to subscribe again";
            return self.framework_error(session, FrameworkErrorKind::NotSubscribed, message, false);
        }
        let id = match self.identify(&info) {
            Ok(id) => id,
            Err((kind, message)) => return self.framework_error(session, kind, message, true),
        };
        self.drop_older_framework_stream(now, &id);
        self.admit_framework(&id, info, session);
        let subscribed = ToFramework::Subscribed {
            framework: id.clone(),
            epoch: self.epoch,
            cluster: self.cluster.clone(),
            heartbeat_interval_ms: self.config.heartbeat_interval_ms,
        };
        self.tell_framework(&id, subscribed);
        self.repeat_unconfirmed(&id);
        self.tell_missed_outcomes(&id);
        self.repeat_inverse(&id);
        self.start_heartbeats(now, &id);
        self.demand(&id, demand);
        self.touched.framework(&id);
    }

    /// Which framework this is: a known one, or a new id.
    fn identify(&mut self, info: &FrameworkInfo) -> Result<FrameworkId, Refusal> {
        check_framework(info).map_err(|message| (FrameworkErrorKind::Invalid, message))?;
        let by_name = self.framework_names.get(&info.name).cloned();
        let id = match (&info.id, by_name) {
            (Some(id), _) if self.frameworks.contains_key(id) => id.clone(),
            (Some(id), _) if self.removed.contains(id) => return Err(removed(id)),
            (Some(id), _) => {
                let message = format!(
                    "framework {id} is not known in cluster {}; subscribe without an id to begin as a new one, \
                     or point it to its own cluster",
                    self.cluster
                );
                return Err((FrameworkErrorKind::UnknownFramework, message));
            }
            (None, Some(id)) => id,
            (None, None) if self.frameworks.len() >= self.config.max_frameworks => return Err(self.full()),
            (None, None) => return Ok(self.new_framework_id()),
        };
        match self.frameworks.get(&id) {
            Some(framework) => self.check_identity(framework, info).map(|()| id),
            None => Ok(id),
        }
    }

    /// As many frameworks as may be are known: the others must not wait for what one more costs.
    fn full(&self) -> Refusal {
        let (known, most) = (self.frameworks.len(), self.config.max_frameworks);
        let away = self.frameworks.values().filter(|framework| framework.session.is_none()).count();
        let message = format!(
            "framework: the master knows {known} frameworks already, {away} of them not connected, and may know {most} \
             (--max-frameworks); remove those that are not needed with `proffer frameworks teardown`, or start the master with \
             a higher --max-frameworks"
        );
        (FrameworkErrorKind::Full, message)
    }

    fn check_identity(&self, framework: &Framework, info: &FrameworkInfo) -> Result<(), Refusal> {
        let FrameworkRecord { id, info: known, is_removing, untold: _ } = &framework.record;
        if known.principal != info.principal {
            let message = format!(
                "framework {id} named {:?} belongs to another principal; choose another name or use its principal",
                known.name
            );
            return Err((FrameworkErrorKind::Forbidden, message));
        }
        if known.name != info.name {
            let message =
                format!("framework.name: {id} is named {:?}, not {:?}; a name stays for life", known.name, info.name);
            return Err((FrameworkErrorKind::Invalid, message));
        }
        if *is_removing { Err(removed(id)) } else { Ok(()) }
    }

    fn new_framework_id(&mut self) -> FrameworkId {
        loop {
            self.next_framework += 1;
            let id = FrameworkId::numbered(self.epoch.0, self.next_framework);
            if !self.frameworks.contains_key(&id) {
                return id;
            }
        }
    }

    fn drop_older_framework_stream(&mut self, now: Now, id: &FrameworkId) {
        let Some(older) = self.frameworks.get(id).and_then(|f| f.session) else { return };
        self.disconnect_framework(now, id);
        let message = "another stream subscribed as this framework; only the newest one is served";
        self.framework_error(older, FrameworkErrorKind::Superseded, message, true);
    }

    fn admit_framework(&mut self, id: &FrameworkId, info: FrameworkInfo, session: SessionId) {
        let info = FrameworkInfo { id: Some(id.clone()), ..info };
        let untold = self.frameworks.get(id).map(|known| known.record.untold.clone()).unwrap_or_default();
        let record = FrameworkRecord { id: id.clone(), info, is_removing: false, untold };
        if self.frameworks.get(id).map(|f| &f.record) != Some(&record) {
            self.store.push(Operation::PutFramework(record.clone()));
        }
        let before = self.frameworks.get(id).map(|f| f.record.info.roles.clone()).unwrap_or_default();
        self.move_between_roles(id, &before, &record.info.roles);
        self.framework_names.insert(record.info.name.clone(), id.clone());
        let framework = self.frameworks.entry(id.clone()).or_insert_with(|| Framework::new(record.clone()));
        framework.record = record;
        framework.session = Some(session);
        let removal = framework.removal_at.take();
        self.framework_sessions.insert(session, id.clone());
        self.allocator.put_framework(id, true);
        self.place_framework(id);
        self.framework_returned(id);
        if let Some(at) = removal {
            self.timers.remove(&(at, crate::timers::Timer::RemoveFramework(id.clone())));
        }
    }

    /// Which agents come first for it, as it says itself, and in which roles it is.
    pub fn place_framework(&mut self, id: &FrameworkId) {
        let info = self.frameworks.get(id).map(|framework| &framework.record.info);
        self.allocator.set_roles(id, info.map_or(&[], |info| &info.roles));
        let placement = info.and_then(|info| info.placement.clone());
        if self.allocator.set_framework_placement(id, placement) {
            self.recount_places(&BTreeSet::from([id.clone()]));
        }
    }

    /// What frameworks hold is spread by other rules, or elsewhere, than when it was counted.
    pub fn recount_places(&mut self, frameworks: &BTreeSet<FrameworkId>) {
        if !self.allocator.is_counting_places() {
            return;
        }
        let held =
            self.tasks.values().filter(|task| task.is_charged && frameworks.contains(&task.record.key.framework));
        let held = held.map(|task| (&task.record.key.framework, &task.record.role, &task.record.agent));
        self.allocator.recount_places(frameworks, held);
    }

    /// Says again all that the framework has not confirmed, and what only the master can say.
    fn repeat_unconfirmed(&mut self, id: &FrameworkId) {
        let tasks = self.frameworks.get(id).map(|f| f.tasks.clone()).unwrap_or_default();
        for task in tasks {
            let key = TaskKey { framework: id.clone(), task };
            let Some(task) = self.tasks.get(&key) else { continue };
            let mut again: Vec<TaskStatus> = task.unconfirmed.values().cloned().collect();
            let latest = &task.record.status;
            let is_owed = latest.state.is_terminal() || latest.state == TaskState::Unreachable;
            if is_owed && !task.unconfirmed.contains_key(&latest.seq) {
                again.push(latest.clone());
            }
            for status in again {
                self.tell_status(id, status);
            }
        }
    }

    /// Takes what a framework wants now.
    pub fn demand(&mut self, id: &FrameworkId, demand: Demand) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        if let Err(message) = check_demand(&demand, &framework.record.info) {
            if let Some(session) = framework.session {
                self.framework_error(session, FrameworkErrorKind::Invalid, message, false);
            }
            return;
        }
        self.allocator.set_demand(id, &demand);
        framework.demand = demand;
        self.touched.framework(id);
    }
}

fn removed(id: &FrameworkId) -> Refusal {
    let message = format!("framework {id} was removed; begin as a new one under another name, or when its tasks ended");
    (FrameworkErrorKind::Removed, message)
}

impl Framework {
    /// A framework without stream, demand, tasks or offers.
    pub fn new(record: FrameworkRecord) -> Self {
        Self {
            record,
            session: None,
            demand: Demand::default(),
            tasks: BTreeSet::new(),
            offers: BTreeSet::new(),
            guard: crate::offers::Guard::default(),
            removal_at: None,
            heartbeat_at: None,
            allocated: Resources::default(),
            tasks_active: 0,
        }
    }
}
