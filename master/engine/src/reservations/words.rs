//! What stands against a reservation, in words: the field, what is wrong with it, and after a `;` what to do.

use proffer_proto_model::{AgentId, Bytes, Resources, Role};

use crate::registry::AgentRecord;
use crate::volumes::beside_volumes;

/// What is missing, and what there is.
#[derive(Debug)]
pub(super) struct Lack {
    pub missing: Resources,
    pub have: Resources,
}

/// No agent of that name.
pub(super) fn no_agent(agent: &AgentId) -> String {
    format!("agent_id: there is no agent {agent}; see `proffer agents` for the right id")
}

/// Nothing was asked for.
pub(super) fn nothing_named() -> String {
    "resources: nothing is named; name an amount, e.g. cpus=2,memory=4GiB".to_owned()
}

/// More than what is neither used nor reserved.
pub(super) fn too_much(record: &AgentRecord, wanted: &Resources, lack: &Lack) -> String {
    let (agent, Lack { missing, have }, all) = (&record.id, lack, &record.info.resources);
    let start = format!("resources: {agent} lacks {missing}");
    if all.shortage(wanted).is_some() {
        return format!("{start}: it has {all} in all; name less, or another agent: `proffer agents`");
    }
    format!(
        "{start}: {have} of it is neither used nor reserved; name less or another agent (`proffer agents`), or make \
         room: end tasks there (`proffer tasks`, `proffer drain {agent}`) or reservations (`proffer reservations`)"
    )
}

/// More than what is reserved for the role that is refined and not used.
pub(super) fn too_much_to_refine(record: &AgentRecord, from: &Role, lack: &Lack) -> String {
    let (agent, Lack { missing, have }) = (&record.id, lack);
    if !record.pools.iter().any(|pool| pool.role == *from) {
        return format!(
            "from_role: nothing is reserved for {from} on {agent}; reserve it for {from} first, or leave from_role out \
             to take what is not reserved"
        );
    }
    format!(
        "resources: {agent} lacks {missing}: {have} is reserved for {from} and not used; name less, reserve more for \
         {from} first, or end tasks that use it"
    )
}

/// A reservation is refined for a role that is not below.
pub(super) fn not_below(role: &Role, from: &Role) -> String {
    format!(
        "role: {role} does not lie below {from}; name a role below it, such as {from}/web, or leave from_role out to \
         take what is not reserved"
    )
}

/// Nothing is reserved for the role that a call could end.
pub(super) fn nothing_reserved(record: &AgentRecord, role: &Role) -> String {
    let agent = &record.id;
    let mut others: Vec<&str> = record.pools.iter().map(|pool| pool.role.as_str()).collect();
    others.sort_unstable();
    others.dedup();
    let there = match others.as_slice() {
        [] => "nothing is reserved there at all".to_owned(),
        others => format!("there it is reserved for {}", others.join(", ")),
    };
    format!("role: nothing is reserved for {role} on {agent}, {there}; `proffer reservations` shows what is where")
}

/// More than a call can end of what is reserved for the role.
pub(super) fn too_much_to_end(record: &AgentRecord, role: &Role, lack: &Lack) -> String {
    let (agent, Lack { missing, have }) = (&record.id, lack);
    let of_role = || record.pools.iter().filter(|pool| pool.role == *role);
    if of_role().all(|pool| pool.is_static) {
        return format!(
            "role: what is reserved for {role} on {agent} is set by the agent's own flags and can only be changed \
             there; start it with another --reserve"
        );
    }
    let of_flags = match of_role().any(|pool| pool.is_static) {
        true => ", what the agent reserves by its own flags left out, which can only be changed there",
        false => "",
    };
    let text = format!(
        "resources: {agent} lacks {missing}: {have} is reserved for {role} and not used{of_flags}; name at most that, \
         or end the tasks that use the rest"
    );
    if missing.disk > Bytes(0) { beside_volumes(record, role, text) } else { text }
}
