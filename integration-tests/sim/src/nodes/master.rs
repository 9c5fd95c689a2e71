//! The master's process around its real engine, and its disk.

use proffer_master_engine::registry::{Operation, Registry};
use proffer_master_engine::{AttachedTask, Config, Effect, Engine, Frame, FrameworkCall, Input, SessionId, Stored};
use proffer_proto_model::{ClusterId, Epoch};

use super::Call;
use crate::faults::CommitFault;
use crate::invariants::owned;
use crate::net::{ConnId, End};
use crate::views::Views;
use crate::world::{Event, Message, Node, World};

/// The master: what is durable, and the process while it lives.
pub struct MasterNode {
    cluster: ClusterId,
    /// Last epoch written.
    pub epoch: Epoch,
    /// What is durable.
    pub registry: Registry,
    /// The engine of the living process.
    pub engine: Option<Engine>,
    /// Counts the lives of the process.
    pub life: u64,
    /// What readers of the living process know.
    pub views: Views,
}

impl MasterNode {
    /// A master with an empty disk, not started.
    pub fn new() -> Self {
        let cluster = ClusterId::new("sim").expect("a valid id");
        Self { cluster, epoch: Epoch(0), registry: Registry::default(), engine: None, life: 0, views: Views::default() }
    }
}

impl Default for MasterNode {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub(crate) fn master_start(&mut self) {
        if self.master.engine.is_some() {
            return;
        }
        let now = self.now();
        let master = &mut self.master;
        master.life += 1;
        master.epoch = Epoch(master.epoch.0 + 1);
        let recovered =
            Engine::recover(Config::default(), master.cluster.clone(), master.epoch, master.registry.clone(), now);
        master.engine = Some(recovered.expect("what the master stored can be read by the next one"));
        master.views = Views::default();
        let (life, next) = (master.life, master.engine.as_ref().and_then(Engine::next_deadline));
        self.touch(Node::Master);
        self.wake(Node::Master, life, next);
        if life == 1 {
            self.first_quotas();
        }
    }

    /// The process dies; its connections break.
    pub(crate) fn master_crash(&mut self) {
        if self.master.engine.take().is_some() {
            self.master.life += 1;
            for conn in self.net.alive() {
                self.cut(conn, 200);
            }
            let ms = self.faults.downtime_ms();
            self.queue.after(ms, Event::Start(Node::Master));
        }
    }

    pub(crate) fn master_tick(&mut self, life: u64) {
        if life == self.master.life {
            self.master_handle(Input::Tick);
        }
    }

    /// A connection of the master is gone.
    pub(crate) fn master_lost(&mut self, conn: ConnId) {
        let session = SessionId(conn.0);
        match self.dialled.get(&conn) {
            Some(Node::Agent(_)) => self.master_handle(Input::AgentDisconnected { session }),
            Some(Node::Framework(_)) => self.master_handle(Input::FrameworkDisconnected { session }),
            Some(Node::Master) | None => {}
        }
    }

    pub(crate) fn master_hears(&mut self, conn: ConnId, message: Message) {
        let session = SessionId(conn.0);
        let input = match message {
            Message::FromAgent(message) => from_agent(session, message),
            Message::FromFramework(Call::Subscribe { framework, demand }) => {
                Some(Input::Subscribe { session, framework, demand })
            }
            Message::FromFramework(call) => {
                if let Call::Accept(accept) = &call {
                    self.oracle.accepted(conn, accept);
                }
                from_framework(call).map(|call| Input::Framework { session, call })
            }
            other => panic!("the world is wrong: the master hears {other:?}"),
        };
        if let Some(input) = input {
            self.master_handle(input);
        }
    }

    pub(crate) fn master_handle(&mut self, input: Input) {
        let now = self.now();
        let Some(engine) = &mut self.master.engine else { return };
        let frame = engine.handle(now, input);
        self.master.views.take_in(engine.take_changes());
        let next = engine.next_deadline();
        let life = self.master.life;
        self.touch(Node::Master);
        self.wake(Node::Master, life, next);
        self.master_commit(frame);
    }

    fn master_stores(&mut self, operations: &[Operation]) {
        let removed = owned::forgotten(&self.master.registry, operations);
        let before = (!removed.is_empty()).then(|| self.master.registry.clone());
        for operation in operations {
            self.master.registry.apply(operation);
        }
        if let Some(before) = before
            && let Err(broken) = owned::check(self, &before, &removed)
        {
            self.oracle.note_broken(broken);
        }
    }

    fn master_commit(&mut self, frame: Frame) {
        let fault = if frame.operations().is_empty() { None } else { self.faults.on_commit(self.queue.now()) };
        if fault == Some(CommitFault::Before) {
            return self.master_crash();
        }
        self.master_stores(frame.operations());
        if fault == Some(CommitFault::After) {
            return self.master_crash();
        }
        let epoch = self.master.epoch;
        for effect in frame.into_effects(Stored::after_commit()) {
            match effect {
                Effect::ToFramework { session, message } => {
                    self.send(ConnId(session.0), End::Client, Message::ToFramework(message));
                }
                Effect::ToAgent { session, message } => {
                    self.send(ConnId(session.0), End::Client, Message::ToAgent(epoch, message));
                }
                Effect::Close { session } => self.send(ConnId(session.0), End::Client, Message::Close),
                Effect::OperatorReply { .. } | Effect::WhyReply { .. } => {}
            }
        }
    }
}

fn from_agent(session: SessionId, message: proffer_agent_engine::ToMaster) -> Option<Input> {
    use proffer_agent_engine::ToMaster;
    Some(match message {
        ToMaster::Attach { agent, incarnation, tasks, seen_epoch, cluster, volumes } => {
            let tasks = tasks.into_iter().map(|t| AttachedTask {
                framework: t.framework,
                spec: (*t.spec).clone(),
                latest: t.latest,
                role: t.role,
            });
            let (agent, tasks) = (*agent, tasks.collect());
            Input::AgentAttach { session, agent, incarnation, tasks, seen_epoch, cluster, volumes }
        }
        ToMaster::Updates(updates) => {
            let updates = updates.into_iter().map(|u| (u.framework, u.status, u.latest)).collect();
            Input::AgentUpdates { session, updates }
        }
        ToMaster::Volumes(reports) => Input::AgentVolumes { session, reports },
        ToMaster::Pong { .. } => Input::AgentPong { session },
        // The stream's end says the same.
        ToMaster::Detach => return None,
    })
}

fn from_framework(call: Call) -> Option<FrameworkCall> {
    Some(match call {
        // Handled before: it is an input of its own.
        Call::Subscribe { .. } => return None,
        Call::Update(info) => FrameworkCall::Update(info),
        Call::Demand(demand) => FrameworkCall::Demand(demand),
        Call::Accept(accept) => FrameworkCall::Accept(accept),
        Call::Decline { offers, reason, filter } => FrameworkCall::Decline { offers, reason, filter },
        Call::Kill { task, agent, policy } => FrameworkCall::Kill { task, agent, policy },
        Call::Acknowledge(acks) => {
            FrameworkCall::Acknowledge(acks.into_iter().map(|a| (a.task, a.seq, a.source)).collect())
        }
        Call::Reconcile(tasks) => FrameworkCall::Reconcile(tasks),
        Call::InverseReply(reply) => FrameworkCall::InverseReply(reply),
        Call::Teardown => FrameworkCall::Teardown,
    })
}
