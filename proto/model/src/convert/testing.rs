//! Arbitrary valid domain words for the round-trip tests.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    Acknowledgement, AgentMessage, AgentTask, AttachRequest, ErrorKind, LaunchTask, MasterEnvelope, MasterMessage,
    SchedulerCall, SchedulerEvent, StatusUpdate,
};
use crate::task::{
    ContainerSpec, ContainerStatus, KillPolicy, MAX_GRACE_MS, Mount, MountSource, NetworkMode, PortMapping, Protocol,
    PullPolicy, ResourceLimits,
};
use crate::*;

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 äß☃/=:_.\"'-]{0,12}"
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9ä_.:/-]{0,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_ .ä-]{1,12}"
}

macro_rules! id_strategy {
    ($($fn_name:ident: $id:ident),* $(,)?) => { $(fn $fn_name() -> impl Strategy<Value = $id> {
        "[a-zA-Z0-9_-]{1,20}".prop_map(|text| $id::new(text).unwrap())
    })* };
}
id_strategy!(cluster: ClusterId, framework: FrameworkId, agent: AgentId, offer_id: OfferId, task_id: TaskId,
    volume_id: VolumeId);

fn offer_ids() -> impl Strategy<Value = Vec<OfferId>> {
    btree_set(offer_id(), 1..5).prop_map(|ids| ids.into_iter().collect())
}

fn role() -> impl Strategy<Value = Role> {
    "[a-z]{1,5}(/[a-z]{1,5}){0,2}".prop_map(|text| Role::new(text).unwrap())
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(name(), text(), 0..3)
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

pub(super) fn resources() -> impl Strategy<Value = Resources> {
    let ports = vec((1u16..60_000, 0u16..50), 0..4)
        .prop_map(|ranges| ranges.into_iter().map(|(begin, more)| PortRange { begin, end: begin + more }).collect());
    let sets = btree_map(name(), btree_set(name(), 1..3), 0..2);
    let scalars = btree_map(name(), 1u64..1 << 50, 0..3);
    (0u64..1 << 62, any::<u64>(), any::<u64>(), any::<u32>(), ports, scalars, sets).prop_map(
        |(cpus, memory, disk, gpus, ports, scalars, sets): (_, _, _, _, _, _, BTreeMap<String, BTreeSet<String>>)| {
            Resources { cpus: MilliCpus(cpus), memory: Bytes(memory), disk: Bytes(disk), gpus, ports, scalars, sets }
        },
    )
}

fn port_mappings() -> impl Strategy<Value = Vec<PortMapping>> {
    let one = (1u16.., 1u16.., select(vec![Protocol::Tcp, Protocol::Udp]));
    btree_map(name(), one, 0..4).prop_map(|ports| {
        let mapping =
            |(name, (container_port, host_port, protocol))| PortMapping { name, container_port, host_port, protocol };
        ports.into_iter().map(mapping).collect()
    })
}

fn mount() -> impl Strategy<Value = Mount> {
    let source = prop_oneof![
        ("/[a-z]{0,9}", any::<bool>()).prop_map(|(path, read_only)| MountSource::Host { path, read_only }),
        (1u64..).prop_map(|size_bytes| MountSource::Tmpfs { size_bytes }),
        (volume_id(), option::of(role()), any::<bool>()).prop_map(|(id, role, read_only)| MountSource::Volume {
            id,
            role,
            read_only
        }),
    ];
    ("/[a-z]{0,9}", source).prop_map(|(target, source)| Mount { target, source })
}

fn container() -> impl Strategy<Value = ContainerSpec> {
    let pull = select(vec![PullPolicy::Always, PullPolicy::Missing, PullPolicy::Never]);
    let network = select(vec![NetworkMode::Host, NetworkMode::Bridge]);
    let env = vec(("[A-Z_]{1,9}", text()), 0..4);
    let what = ("[a-z]{1,9}(:[a-z0-9]{1,5})?", pull, vec(text(), 0..3), vec(text(), 0..3), env);
    let how = (word(), "(/[a-z]{1,5}){0,2}", any::<bool>(), network, port_mappings(), vec(mount(), 0..3));
    (what, how).prop_map(|((image, pull, command, args, env), how)| {
        let (user, working_dir, read_only_root, network, ports, mounts) = how;
        ContainerSpec { image, pull, command, args, env, user, working_dir, read_only_root, network, ports, mounts }
    })
}

fn kill_policy() -> impl Strategy<Value = KillPolicy> {
    (0..=MAX_GRACE_MS).prop_map(|grace_ms| KillPolicy { grace_ms })
}

pub(super) fn task() -> impl Strategy<Value = TaskSpec> {
    let limits = (option::of(0u64..1000), option::of(Just(u64::MAX)), option::of(1u64..));
    let amounts = (resources(), limits).prop_map(|(mut resources, (cpus, memory, pids))| {
        resources.cpus.0 += 1;
        let cpus = cpus.map(|more| MilliCpus(resources.cpus.0 + more));
        let limits = ResourceLimits { cpus, memory: memory.map(Bytes), pids };
        (resources, limits)
    });
    let life = (kill_policy(), option::of(1u64..), labels(), text(), data());
    (task_id(), name(), container(), amounts, life).prop_map(|(id, name, container, (resources, limits), life)| {
        let (kill_policy, max_run_time_ms, labels, discovery_name, data) = life;
        TaskSpec {
            id,
            name,
            container,
            resources,
            limits,
            kill_policy,
            max_run_time_ms,
            labels,
            discovery_name,
            data,
            priority: 7,
            is_revocable: true,
        }
    })
}

fn state() -> impl Strategy<Value = TaskState> {
    select(TaskState::ALL.to_vec())
}

fn reason() -> impl Strategy<Value = TaskReason> {
    (0i32..=27).prop_map(|number| super::status::task_reason("reason", number).unwrap())
}

fn source() -> impl Strategy<Value = TaskSource> {
    select(vec![TaskSource::Master, TaskSource::Agent])
}

pub(super) fn status() -> impl Strategy<Value = TaskStatus> {
    let container = (word(), any::<u32>(), word(), word(), port_mappings()).prop_map(
        |(container_id, pid, host_address, address, ports)| ContainerStatus {
            container_id,
            pid,
            host_address,
            address,
            ports,
        },
    );
    let who = (task_id(), option::of(agent()), state(), reason(), source(), 1u64..);
    let ended = (option::of(any::<u32>()), option::of(any::<u32>()), option::of(any::<u64>()));
    (who, text(), any::<u64>(), ended, option::of(container), data(), labels()).prop_map(
        |((task, agent, state, reason, source, seq), message, at, ended, container, data, labels)| {
            let (exit_code, signal, peak_memory_bytes) = ended;
            let at = UnixMillis(at);
            TaskStatus {
                task,
                agent,
                state,
                reason,
                source,
                seq,
                message,
                at,
                exit_code,
                signal,
                peak_memory_bytes,
                container,
                data,
                labels,
            }
        },
    )
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let rule = prop_oneof![
        select(vec![ConstraintOperator::Exists, ConstraintOperator::NotExists]).prop_map(|o| (o, String::new())),
        (select(vec![ConstraintOperator::Equals, ConstraintOperator::NotEquals]), text()),
        "[a-z]{0,8}[.]\\*(x\\|y)?".prop_map(|text| {
            let pattern = crate::Pattern::new(&text).unwrap();
            (ConstraintOperator::Matches(pattern), String::new())
        }),
    ];
    (name(), rule).prop_map(|(subject, (operator, value))| Constraint { subject, operator, value })
}

fn demand() -> impl Strategy<Value = Demand> {
    let shape = prop_oneof![
        option::of(1u32..).prop_map(|count| (None, count)),
        (resources(), 1u32..).prop_map(|(shape, count)| (Some(shape), Some(count))),
    ];
    let item = (role(), shape, vec(constraint(), 0..3), any::<i32>(), 0u32..=65_535).prop_map(
        |(role, (shape, count), constraints, priority, ports)| DemandItem {
            role,
            shape,
            count,
            constraints,
            priority,
            ports,
        },
    );
    vec(item, 0..3).prop_map(|items| Demand { items })
}

fn framework_info() -> impl Strategy<Value = FrameworkInfo> {
    let roles = btree_set(role(), 1..4).prop_map(|roles| roles.into_iter().collect());
    let placement = || {
        option::of(prop_oneof![
            Just(Placement::Pack),
            "[a-z]{1,8}".prop_map(|attribute| Placement::Spread { attribute })
        ])
    };
    let who = (option::of(framework()), "[a-zA-Z0-9_-]{1,12}", name(), roles);
    let kept = (placement(), any::<bool>());
    (who, 0..=MAX_FAILOVER_TIMEOUT_MS, word(), labels(), text(), kept).prop_map(
        |((id, name, principal, roles), failover_timeout_ms, api_address, labels, hostname, kept)| FrameworkInfo {
            id,
            name,
            principal,
            roles,
            failover_timeout_ms,
            api_address,
            labels,
            hostname,
            placement: kept.0,
            leaves_reservations: kept.1,
        },
    )
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let value = prop_oneof![text().prop_map(AttributeValue::Text), any::<i64>().prop_map(AttributeValue::ScalarMilli),];
    vec((name(), value).prop_map(|(name, value)| Attribute { name, value }), 0..3)
}

fn offer() -> impl Strategy<Value = Offer> {
    let part = (role(), vec(role(), 0..3), resources(), labels(), any::<bool>(), option::of(framework())).prop_map(
        |(role, refines, resources, labels, is_static, owner)| Reserved {
            role,
            refines,
            resources,
            labels,
            is_static,
            owner,
        },
    );
    let unavailability = option::of(unavailability());
    let place =
        (attributes(), any::<u64>(), text(), text(), word(), vec(part, 0..3), vec(volume_info(), 0..3), unavailability);
    (offer_id(), agent(), text(), role(), resources(), place, any::<bool>()).prop_map(
        |(id, agent, hostname, role, resources, place, is_optimistic)| {
            let (attributes, expires_in_ms, region, zone, agent_address, reserved, volumes, unavailability) = place;
            Offer {
                id,
                agent,
                hostname,
                role,
                resources,
                attributes,
                expires_in_ms,
                region,
                zone,
                agent_address,
                reserved,
                volumes,
                unavailability,
                is_optimistic,
            }
        },
    )
}

fn volume_info() -> impl Strategy<Value = VolumeInfo> {
    use VolumeState::*;
    let key = (framework(), task_id()).prop_map(|(framework, task)| TaskKey { framework, task });
    let state = select(vec![Creating, Ready, Destroying, Lost]);
    let rest = (state, vec(key, 0..3), text(), option::of(framework()));
    (volume_id(), role(), any::<u64>(), rest).prop_map(|(id, role, size, (state, used_by, message, owner))| {
        VolumeInfo { id, role, size: Bytes(size), state, used_by, message, owner }
    })
}

fn volume() -> impl Strategy<Value = Volume> {
    (1u64.., volume_id(), role(), 1u64..).prop_map(|(number, id, role, size)| Volume {
        number,
        id,
        role,
        size: Bytes(size),
    })
}

fn unavailability() -> impl Strategy<Value = Unavailability> {
    (any::<u64>(), any::<u64>())
        .prop_map(|(start, duration_ms)| Unavailability { start: UnixMillis(start), duration_ms })
}

fn inverse_id() -> impl Strategy<Value = InverseOfferId> {
    (any::<u64>(), any::<u64>()).prop_map(|(epoch, number)| InverseOfferId::numbered(epoch, number))
}

fn inverse_offer() -> impl Strategy<Value = InverseOffer> {
    use InverseCause::*;
    let cause = select(vec![Maintenance, Drain, Preemption]);
    let tasks = proptest::collection::btree_set(task_id(), 0..3).prop_map(|tasks| tasks.into_iter().collect());
    ((inverse_id(), agent(), text(), cause), unavailability(), tasks, resources(), text()).prop_map(
        |((id, agent, hostname, cause), unavailability, tasks, resources, message)| InverseOffer {
            id,
            agent,
            hostname,
            cause,
            unavailability,
            tasks,
            resources,
            message,
        },
    )
}

fn inverse_reply() -> impl Strategy<Value = InverseReply> {
    let answer = select(vec![InverseAnswer::Accepted, InverseAnswer::Declined]);
    (inverse_id(), answer, text(), option::of(filter())).prop_map(|(id, answer, message, filter)| InverseReply {
        offers: vec![id],
        answer,
        message,
        filter,
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    (0..=MAX_REFUSE_MS).prop_map(|refuse_ms| Filter { refuse_ms })
}

fn decline_reason() -> impl Strategy<Value = DeclineReason> {
    use DeclineKind::*;
    let kind = prop_oneof![
        select(vec![Unspecified, NoDemand, BackOff, Spread, Leftover, NotReady, Other]),
        resources().prop_map(|shortage| ResourcesShort { shortage }),
        option::of(constraint()).prop_map(|constraint| DeclineKind::Constraint { constraint }),
    ];
    (kind, text()).prop_map(|(kind, message)| DeclineReason { kind, message })
}

fn operation() -> impl Strategy<Value = Operation> {
    let launches = || {
        let launch = (
            option::of(agent()),
            task(),
            select(vec![ReservedUse::ReservedFirst, ReservedUse::ReservedOnly, ReservedUse::UnreservedOnly]),
        );
        vec(launch.prop_map(|(agent, task, reserved_use)| TaskLaunch { agent, task, reserved_use }), 1..3).prop_map(
            |mut list| {
                list.dedup_by(|a, b| a.task.id == b.task.id);
                list
            },
        )
    };
    let volume = || (text(), agent(), volume_id(), role());
    let amount = || (text(), agent(), role(), resources());
    prop_oneof![
        launches().prop_map(|tasks| Operation::Launch { tasks }),
        (text(), launches()).prop_map(|(operation_id, tasks)| Operation::LaunchGroup { operation_id, tasks }),
        (amount(), option::of(role()), labels()).prop_map(
            |((operation_id, agent, role, resources), from_role, labels)| Operation::Reserve {
                operation_id,
                agent,
                role,
                from_role,
                resources,
                labels
            }
        ),
        amount().prop_map(|(operation_id, agent, role, resources)| Operation::Unreserve {
            operation_id,
            agent,
            role,
            resources
        }),
        (volume(), 1u64..).prop_map(|((operation_id, agent, volume_id, role), size)| Operation::CreateVolume {
            operation_id,
            agent,
            volume_id,
            role,
            size: Bytes(size)
        }),
        volume().prop_map(|(operation_id, agent, volume_id, role)| Operation::DestroyVolume {
            operation_id,
            agent,
            volume_id,
            role
        }),
    ]
}

fn accept() -> impl Strategy<Value = Accept> {
    // One operation: random ids of several could meet by chance, which an Accept must not have.
    (offer_ids(), vec(operation(), 0..2), filter(), decline_reason())
        .prop_map(|(offers, operations, filter, leftover)| Accept { offers, operations, filter, leftover })
}

pub(super) fn call() -> impl Strategy<Value = SchedulerCall> {
    let acknowledgement = (task_id(), option::of(agent()), 1u64.., source())
        .prop_map(|(task, agent, seq, source)| Acknowledgement { task, agent, seq, source });
    prop_oneof![
        (framework_info(), demand()).prop_map(|(framework, demand)| SchedulerCall::Subscribe { framework, demand }),
        framework_info().prop_map(SchedulerCall::Update),
        demand().prop_map(SchedulerCall::Demand),
        accept().prop_map(SchedulerCall::Accept),
        (offer_ids(), decline_reason(), filter()).prop_map(|(offers, reason, filter)| SchedulerCall::Decline {
            offers,
            reason,
            filter
        }),
        (task_id(), option::of(agent()), option::of(kill_policy()))
            .prop_map(|(task, agent, policy)| SchedulerCall::Kill { task, agent, policy }),
        vec(acknowledgement, 0..4).prop_map(SchedulerCall::Acknowledge),
        vec((task_id(), option::of(agent())), 0..4).prop_map(SchedulerCall::Reconcile),
        inverse_reply().prop_map(SchedulerCall::InverseReply),
        Just(SchedulerCall::Teardown),
    ]
}

pub(super) fn event() -> impl Strategy<Value = SchedulerEvent> {
    use RescindReason::*;
    let rescind = select(vec![Expired, AgentLost, AgentChanged, DemandChanged, Operator, LostRace]);
    let outcome = select(vec![
        OperationOutcome::Done,
        OperationOutcome::Refused,
        OperationOutcome::Dropped,
        OperationOutcome::Pending,
        OperationOutcome::Failed,
    ]);
    let ends = select(vec![InverseEnd::Left, InverseEnd::Cancelled, InverseEnd::Replaced, InverseEnd::AgentLost]);
    let kind = select(vec![
        ErrorKind::StaleInverseOffer,
        ErrorKind::Full,
        ErrorKind::Invalid,
        ErrorKind::UnknownFramework,
        ErrorKind::TooSlow,
        ErrorKind::Forbidden,
    ]);
    prop_oneof![
        (framework(), any::<u64>(), any::<u64>(), cluster()).prop_map(|(framework, epoch, interval, cluster)| {
            SchedulerEvent::Subscribed { framework, epoch: Epoch(epoch), heartbeat_interval_ms: interval, cluster }
        }),
        vec(offer(), 0..3).prop_map(SchedulerEvent::Offers),
        (offer_ids(), rescind).prop_map(|(offers, reason)| SchedulerEvent::Rescind { offers, reason }),
        vec(status(), 0..3).prop_map(SchedulerEvent::Status),
        (word(), outcome, text()).prop_map(|(operation_id, outcome, message)| SchedulerEvent::OperationStatus {
            operation_id,
            outcome,
            message
        }),
        vec(inverse_offer(), 0..3).prop_map(SchedulerEvent::InverseOffers),
        (inverse_id(), ends).prop_map(|(id, end)| SchedulerEvent::RescindInverse { offers: vec![id], end }),
        (agent(), text()).prop_map(|(agent, hostname)| SchedulerEvent::AgentLost { agent, hostname }),
        (kind, text(), any::<bool>()).prop_map(|(kind, message, is_fatal)| SchedulerEvent::Error {
            kind,
            message,
            is_fatal
        }),
        (any::<u64>(), text())
            .prop_map(|(retry_after_ms, message)| SchedulerEvent::TooFast { retry_after_ms, message }),
        Just(SchedulerEvent::Heartbeat),
    ]
}

pub(super) fn agent_message() -> impl Strategy<Value = AgentMessage> {
    let fixed = (role(), resources(), labels()).prop_map(|(role, resources, labels)| StaticReservation {
        role,
        resources,
        labels,
    });
    let place = (attributes(), text(), text(), text(), text(), vec(fixed, 0..3));
    let info = (option::of(agent()), name(), word(), word(), resources(), place).prop_map(
        |(
            id,
            hostname,
            api_address,
            address,
            resources,
            (attributes, region, zone, version, boot_id, reservations),
        )| AgentInfo {
            id,
            hostname,
            api_address,
            address,
            resources,
            attributes,
            region,
            zone,
            version,
            boot_id,
            reservations,
        },
    );
    let held = (framework(), task(), status(), role()).prop_map(|(framework, spec, latest, role)| AgentTask {
        framework,
        spec,
        latest,
        role,
    });
    let held_state = select(vec![HeldState::Making, HeldState::Ready, HeldState::Removing]);
    let volumes = vec((volume(), held_state).prop_map(|(volume, state)| HeldVolume { volume, state }), 0..3);
    let attach = (info, any::<u64>(), vec(held, 0..3), any::<u64>(), option::of(cluster()), volumes).prop_map(
        |(agent, incarnation, tasks, seen_epoch, cluster, volumes)| {
            let seen_epoch = Epoch(seen_epoch);
            AgentMessage::Attach(Box::new(AttachRequest { agent, incarnation, tasks, seen_epoch, cluster, volumes }))
        },
    );
    let report =
        (1u64.., any::<bool>(), text(), any::<bool>()).prop_map(|(number, is_ready, message, is_tried_again)| {
            VolumeReport { number, is_ready, message, is_tried_again }
        });
    let update = (framework(), status(), state()).prop_map(|(framework, status, latest_state)| StatusUpdate {
        framework,
        status,
        latest_state,
    });
    prop_oneof![
        attach,
        vec(update, 0..3).prop_map(AgentMessage::Updates),
        vec(report, 0..3).prop_map(AgentMessage::Volumes),
        any::<u64>().prop_map(|nonce| AgentMessage::Pong { nonce }),
        Just(AgentMessage::Detach),
    ]
}

pub(super) fn master_message() -> impl Strategy<Value = MasterEnvelope> {
    let key = || (framework(), task_id()).prop_map(|(framework, task)| TaskKey { framework, task });
    let launch = (framework(), task(), role()).prop_map(|(framework, spec, role)| LaunchTask { framework, spec, role });
    let not_none = reason().prop_filter("the wire has none for KILL_REQUESTED", |reason| *reason != TaskReason::None);
    let message = prop_oneof![
        (agent(), any::<u64>(), cluster()).prop_map(|(agent, ping_interval_ms, cluster)| MasterMessage::Attached {
            agent,
            ping_interval_ms,
            cluster
        }),
        vec(launch, 0..3).prop_map(MasterMessage::Launch),
        (framework(), task_id(), option::of(kill_policy()), not_none)
            .prop_map(|(framework, task, policy, reason)| MasterMessage::Kill { framework, task, policy, reason }),
        vec((key(), 1u64..), 0..4).prop_map(MasterMessage::Acknowledge),
        vec(key(), 0..4).prop_map(MasterMessage::Expect),
        volume().prop_map(MasterMessage::CreateVolume),
        any::<u64>().prop_map(|number| MasterMessage::DestroyVolume { number }),
        any::<u64>().prop_map(|nonce| MasterMessage::Ping { nonce }),
        (text(), any::<bool>()).prop_map(|(message, is_final)| MasterMessage::Refused { message, is_final }),
    ];
    (any::<u64>(), message).prop_map(|(epoch, message)| MasterEnvelope { epoch: Epoch(epoch), message })
}
