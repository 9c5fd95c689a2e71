//! What the master says, and what comes of it.

use proffer_proto_model::task::KillPolicy;
use proffer_proto_model::{AgentId, ClusterId, Epoch, Now, Resources, TaskKey, TaskReason, TaskState};

use super::Engine;
use crate::link::Link;
use crate::task::Task;
use crate::{AttachedTask, Effect, Identity, KillOrder, Launch, LaunchTask, MasterMessage, Operation};
use crate::{SessionId, ToMaster};

use std::sync::Arc;

impl Engine {
    /// A stream is open: says who the agent is and everything it has.
    pub(super) fn connected(&mut self, now: Now, session: SessionId) {
        if let Some(old) = self.link.session() {
            self.disconnected(old);
        }
        self.link = Link::Attaching { session, since: now.mono };
        let agent =
            Box::new(proffer_proto_model::AgentInfo { id: self.identity.agent.clone(), ..self.config.agent.clone() });
        let tasks: Vec<AttachedTask> = self.tasks.values().filter_map(Task::attached).collect();
        let message = ToMaster::Attach {
            agent,
            incarnation: self.identity.incarnation,
            tasks,
            seen_epoch: self.identity.seen_epoch,
            cluster: self.identity.cluster.clone(),
            volumes: self.held_volumes(),
        };
        self.out.send(Effect::ToMaster { session, message });
    }

    pub(super) fn disconnected(&mut self, session: SessionId) {
        if self.link.session() != Some(session) {
            return;
        }
        self.link = Link::Down;
        self.tasks.values_mut().for_each(Task::detach);
    }

    pub(super) fn heard(&mut self, now: Now, session: SessionId, epoch: Epoch, message: MasterMessage) {
        if self.link.session() != Some(session) {
            return;
        }
        if epoch < self.identity.seen_epoch {
            self.stale_messages += 1;
            let reason = format!("the master's epoch {} is older than {}", epoch.0, self.identity.seen_epoch.0);
            self.close(session, reason);
            return;
        }
        if epoch > self.identity.seen_epoch {
            self.set_identity(Identity { seen_epoch: epoch, ..self.identity.clone() });
        }
        self.link.heard(now.mono);
        match message {
            MasterMessage::Attached { agent, ping_interval_ms, cluster } => {
                self.attached(now, session, agent, ping_interval_ms, cluster);
            }
            MasterMessage::Refused { message, last } => {
                self.disconnected(session);
                self.out.send(Effect::Refused { message, last });
            }
            _ if self.link.attached().is_none() => {
                self.close(session, "the master gave orders before it admitted the agent".to_owned());
            }
            MasterMessage::Launch(tasks) => tasks.into_iter().for_each(|task| self.launch(now, task)),
            MasterMessage::Kill { key, policy, reason } => self.kill(now, &key, policy, reason),
            MasterMessage::Acknowledge(confirmed) => {
                for (key, seq) in confirmed {
                    self.with_task(now, &key, |task, cx| task.confirm(seq, cx));
                }
            }
            MasterMessage::Expect(keys) => keys.into_iter().for_each(|key| self.expect(now, key)),
            MasterMessage::CreateVolume(volume) => self.create_volume(volume),
            MasterMessage::DestroyVolume { number } => self.destroy_volume(number),
            MasterMessage::Ping { nonce } => {
                self.out.send(Effect::ToMaster { session, message: ToMaster::Pong { nonce } });
            }
        }
    }

    fn close(&mut self, session: SessionId, reason: String) {
        self.disconnected(session);
        self.out.send(Effect::CloseMaster { session, reason });
    }

    fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
        self.out.store(Operation::Identity(self.identity.clone()));
    }

    fn attached(&mut self, now: Now, session: SessionId, agent: AgentId, ping_interval_ms: u64, cluster: ClusterId) {
        if let Some(known) = self.identity.cluster.as_ref().filter(|known| **known != cluster) {
            let message = format!(
                "this master belongs to cluster {cluster}, but this agent to {known}; give it the addresses of its \
                 own masters, or an empty data directory to make it a new agent"
            );
            self.disconnected(session);
            self.out.send(Effect::Refused { message, last: true });
            return;
        }
        if self.agent_id() != Some(&agent) || self.identity.cluster.is_none() {
            self.set_identity(Identity { agent: Some(agent), cluster: Some(cluster), ..self.identity.clone() });
        }
        self.link = Link::Up { session, ping_interval_ms: ping_interval_ms.max(1), heard: now.mono };
        let keys: Vec<TaskKey> = self.tasks.keys().cloned().collect();
        for key in keys {
            self.with_task(now, &key, |task, cx| task.attach(cx));
        }
        self.report_volumes();
    }

    /// Takes a task on, once in its life.
    fn launch(&mut self, now: Now, task: LaunchTask) {
        let key = TaskKey { framework: task.framework, task: task.spec.id.clone() };
        if self.tasks.contains_key(&key) || self.ended_serials.contains_key(&key) {
            return;
        }
        let launch = Launch { key, role: task.role, spec: Arc::new(task.spec) };
        let in_the_way = self.missing_volume(&launch.spec, &launch.role);
        if let Some(message) = in_the_way.or_else(|| self.volume_in_use(&launch.spec, &launch.role)) {
            return self.add_task(now, |cx| Task::refuse(launch, TaskReason::VolumeUnavailable, message, cx));
        }
        match self.shortage(&launch.spec.resources) {
            None => self.add_task(now, |cx| Task::launch(launch, cx)),
            Some(message) => {
                self.add_task(now, |cx| Task::refuse(launch, TaskReason::ResourcesExceeded, message, cx));
            }
        }
    }

    /// The agent's own check that nothing is promised twice, whatever the master believes.
    fn shortage(&self, wanted: &Resources) -> Option<String> {
        let mut free = self.config.agent.resources.clone();
        for spec in self.specs_in_use() {
            match free.checked_sub(&spec.resources) {
                Some(rest) => free = rest,
                None => return Some("the agent's tasks hold more than it has now; end some of them first".to_owned()),
            }
        }
        let short = free.shortage(wanted)?;
        Some(format!("the agent has {free} left and lacks {}", short.0))
    }

    fn kill(&mut self, now: Now, key: &TaskKey, policy: Option<KillPolicy>, reason: TaskReason) {
        let Some(task) = self.tasks.get(key) else {
            // It ended and that is confirmed: nothing to do. Never heard of: the master must learn that.
            if !self.ended_serials.contains_key(key) {
                self.expect(now, key.clone());
            }
            return;
        };
        let Some(policy) = policy.or(task.spec().map(|spec| spec.kill_policy)) else { return };
        let reason = if reason == TaskReason::None { TaskReason::KillRequested } else { reason };
        let order = KillOrder { reason, grace_ms: policy.grace_ms };
        self.with_task(now, key, |task, cx| task.kill(order, cx));
    }

    /// The master believes the agent has this task: answers when that is not so.
    fn expect(&mut self, now: Now, key: TaskKey) {
        if self.tasks.contains_key(&key) {
            self.with_task(now, &key, |task, cx| task.repeat_end(cx));
        } else if let Some(ended) = self.recall(&key) {
            // Terminal is final: the same end is said again, with its old number.
            self.add_task(now, |cx| Task::end_again(ended, cx));
        } else {
            let message = "the agent never got this task; launch it again";
            self.add_task(now, |cx| Task::answer(key, TaskState::Dropped, TaskReason::AgentRestarted, message, cx));
        }
    }
}
