//! The state as the API shows it. Never changes it.

use proffer_proto_wire::service as wire;
use proffer_sdk::Context;

use super::{Change, ChangeKind, ServiceScheduler};
use crate::state::{Placed, Service, Slot};

impl ServiceScheduler {
    /// All services as the API shows them, by name.
    pub fn list(&self, cx: &Context<'_>) -> Vec<wire::Service> {
        self.state.services().map(|service| self.view(service, cx)).collect()
    }

    /// One service as the API shows it.
    pub fn view(&self, service: &Service, cx: &Context<'_>) -> wire::Service {
        wire::Service {
            spec: Some(service.record.spec.clone().into()),
            version: service.record.version,
            instances: service.slots.iter().flat_map(|(number, slot)| instances(*number, slot, service, cx)).collect(),
            removing: service.record.is_removing,
            message: self.message(service, cx),
        }
    }
}

/// The instance of a slot, and the one that is to take over.
fn instances(number: u32, slot: &Slot, service: &Service, cx: &Context<'_>) -> Vec<wire::Instance> {
    let present = instance(number, slot, slot.task.as_ref(), service, cx);
    let next = slot.next.as_ref().map(|next| instance(number, slot, Some(next), service, cx));
    [present].into_iter().chain(next).collect()
}

fn instance(number: u32, slot: &Slot, task: Option<&Placed>, service: &Service, cx: &Context<'_>) -> wire::Instance {
    wire::Instance {
        slot: number,
        task_id: task.map(|task| task.task.to_string()).unwrap_or_default(),
        status: task.and_then(|task| task.status.clone()).map(Into::into),
        version: task.map_or(service.record.version, |task| task.version),
        restarts: slot.restarts,
        back_off_until_unix_ms: if slot.is_backing_off(cx.now()) { slot.back_off_until_unix_ms } else { 0 },
        hostname: task.map(|task| task.hostname.clone()).unwrap_or_default(),
        last_failure: slot.last_failure.clone(),
    }
}

impl From<Change> for wire::Change {
    fn from(Change { service, kind, before, after }: Change) -> Self {
        let kind = match kind {
            ChangeKind::Created => wire::change::Kind::Created,
            ChangeKind::Updated => wire::change::Kind::Updated,
            ChangeKind::Scaled => wire::change::Kind::Scaled,
            ChangeKind::Unchanged => wire::change::Kind::Unchanged,
        };
        Self { service, kind: kind.into(), instances_before: before, instances_after: after }
    }
}
