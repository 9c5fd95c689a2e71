//! Roles, weights and quotas as operators see and set them, before and after a restart of the master.

use proffer_proto_wire::common::{Quota, ResourceLimit, Resources, TaskReason, TaskState};
use proffer_proto_wire::operator::{self, cluster_event};
use proffer_proto_wire::scheduler::rescind::Reason;
use proffer_proto_wire::scheduler::{self, call, event};
use tonic::Code;

use crate::support::{Agent, Cluster, Framework, soon};
use crate::words::{info, task};

fn cpus(milli: i64) -> Resources {
    Resources { cpus_milli: milli, ..Default::default() }
}

fn quota(guarantee: i64, limit: Option<i64>) -> Quota {
    let limit = ResourceLimit { cpus_milli: limit, ..Default::default() };
    Quota { guarantee: Some(cpus(guarantee)), limit: Some(limit) }
}

fn set(role: &str, quota: Quota) -> operator::SetQuotaRequest {
    operator::SetQuotaRequest { role: role.to_owned(), quota: Some(quota), ..Default::default() }
}

fn weights(list: &[(&str, u32)]) -> operator::SetWeightsRequest {
    let weight = |(role, weight_milli): &(&str, u32)| operator::RoleWeight {
        role: (*role).to_owned(),
        weight_milli: *weight_milli,
    };
    operator::SetWeightsRequest { weights: list.iter().map(weight).collect(), dry_run: false }
}

fn remove(role: &str) -> operator::RemoveQuotaRequest {
    operator::RemoveQuotaRequest { role: role.to_owned(), dry_run: false }
}

async fn roles(cluster: &Cluster) -> Vec<operator::Role> {
    let asked = cluster.operator().list_roles(operator::ListRolesRequest {}).await;
    asked.unwrap().into_inner().roles
}

async fn role(cluster: &Cluster, name: &str) -> operator::Role {
    roles(cluster).await.into_iter().find(|role| role.role == name).expect(name)
}

async fn subscribe_in(cluster: &Cluster, name: &str, role: &str) -> Framework {
    let mut framework = Framework::open(cluster).await;
    framework.join(scheduler::FrameworkInfo { roles: vec![role.to_owned()], ..info("", name) }).await;
    let item = scheduler::DemandItem { role: role.to_owned(), ..Default::default() };
    framework.say(call::Call::Demand(scheduler::Demand { items: vec![item] })).await;
    framework
}

#[tokio::test]
async fn settings_and_use_are_listed_watched_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut framework = subscribe_in(&cluster, "web", "eng/web").await;
    let offer = framework.offer().await;
    framework.launch(&offer, vec![task("a")]).await;
    agent.launched().await;
    let mut operators = cluster.operator();
    operators.set_weights(weights(&[("eng", 2_000), ("eng-x", 500)])).await.unwrap();
    operators.set_quota(set("eng", quota(1_000, Some(2_000)))).await.unwrap();
    let is_set = |event: &cluster_event::Event| matches!(event, cluster_event::Event::Role(role) if role.role == "eng" && role.quota.is_some());
    soon("the quota in a watch", cluster.watch_until("the quota", is_set)).await;

    let listed = roles(&cluster).await;
    let names: Vec<_> = listed.iter().map(|role| role.role.as_str()).collect();
    assert_eq!(names, ["eng", "eng/web", "eng-x"], "a role comes right before those in it");
    let (eng, web) = (&listed[0], &listed[1]);
    assert_eq!((eng.weight_milli, web.weight_milli), (2_000, 1_000));
    assert_eq!(eng.quota, Some(quota(1_000, Some(2_000))));
    assert_eq!((eng.allocated.as_ref(), eng.tasks_active), (web.allocated.as_ref(), 1), "what is below counts above");
    assert_eq!(web.allocated.as_ref().unwrap().cpus_milli, 100);
    assert_eq!(web.frameworks[0].name, "web");
    assert!(eng.frameworks.is_empty(), "it is in the role below");
    assert!(web.share_millionths >= 25_000, "{web:?}");

    cluster.stop().await;
    let cluster = Cluster::start(dir.path()).await;
    let eng = role(&cluster, "eng").await;
    assert_eq!((eng.weight_milli, eng.quota, eng.tasks_active), (2_000, Some(quota(1_000, Some(2_000))), 1));
    cluster.operator().remove_quota(remove("eng")).await.unwrap();
    assert_eq!(role(&cluster, "eng").await.quota, None);
    cluster.stop().await;
}

#[tokio::test]
async fn a_dry_run_checks_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut operators = cluster.operator();
    operators.set_weights(operator::SetWeightsRequest { dry_run: true, ..weights(&[("eng", 5)]) }).await.unwrap();
    let quota = set("eng", quota(0, Some(1_000)));
    operators.set_quota(operator::SetQuotaRequest { dry_run: true, ..quota.clone() }).await.unwrap();
    assert_eq!(roles(&cluster).await, []);
    operators.set_quota(quota).await.unwrap();
    operators.remove_quota(operator::RemoveQuotaRequest { dry_run: true, ..remove("eng") }).await.unwrap();
    assert!(role(&cluster, "eng").await.quota.is_some());
    cluster.stop().await;
}

#[tokio::test]
async fn every_bad_value_is_refused_with_the_field_and_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut framework = subscribe_in(&cluster, "web", "eng").await;
    let offer = framework.offer().await;
    framework.launch(&offer, vec![task("a")]).await;
    agent.launched().await;
    let mut operators = cluster.operator();

    let bad_weights: [(&[(&str, u32)], &str); 5] = [
        (&[], "weights: none is given"),
        (&[("eng", 0)], "weights[0].weight_milli of role eng: 0 is not a weight; give 0.001"),
        (&[("eng", 1), ("ops", 1_000_000_001)], "weights[1].weight_milli of role ops: 1000000.001"),
        (&[("eng//web", 1)], "weights[0].role"),
        (&[("eng", 1), ("eng", 2)], "role eng is there twice"),
    ];
    for (list, told) in bad_weights {
        let status = operators.set_weights(weights(list)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(told), "{list:?}: {status}");
    }
    let negative = Quota { limit: Some(ResourceLimit { cpus_milli: Some(-1), ..Default::default() }), guarantee: None };
    let bad_quotas = [
        (set("", quota(1, None)), "role"),
        (set("eng", Quota::default()), "promises and limits nothing"),
        (set("eng", quota(-1, None)), "quota.guarantee.cpus_milli"),
        (set("eng", negative), "quota.limit.cpus_milli"),
        (set("eng", quota(2_000, Some(1_000))), "guarantee of cpus is 2, more than the limit of 1"),
        (set("eng", quota(0, Some(50))), "its tasks hold 0.1 cpus now, more than the limit of 0.05"),
        (set("ops", quota(5_000, None)), "the cluster has 4 cpus"),
        (set("eng/web", quota(1_000, None)), "raise the guarantee of eng by 1 cpus first"),
    ];
    for (request, told) in bad_quotas {
        let what = format!("{request:?}");
        let status = operators.set_quota(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
        assert!(status.message().contains(told), "{what}: {status}");
    }
    let status = operators.remove_quota(remove("nobody")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("role: nobody has no quota"), "{status}");
    let eng = role(&cluster, "eng").await;
    assert_eq!((eng.weight_milli, eng.quota), (1_000, None), "nothing was changed");
    // Force sets a limit below what is held: what runs goes on.
    operators.set_quota(operator::SetQuotaRequest { force: true, ..set("eng", quota(0, Some(50))) }).await.unwrap();
    assert_eq!(role(&cluster, "eng").await.tasks_active, 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_policy_is_set_shown_kept_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let set = operator::SetRolePolicyRequest {
        role: "eng".to_owned(),
        placement: Some("spread:@zone".to_owned()),
        min_offer: Some(cpus(500)),
        offers: operator::OfferMode::Optimistic.into(),
        ..Default::default()
    };
    let mut operators = cluster.operator();
    let dry = operator::SetRolePolicyRequest { dry_run: true, ..set.clone() };
    operators.set_role_policy(dry).await.unwrap();
    assert_eq!(roles(&cluster).await, []);
    operators.set_role_policy(set.clone()).await.unwrap();
    let is_set =
        |event: &cluster_event::Event| matches!(event, cluster_event::Event::Role(role) if role.policy.is_some());
    cluster.watch_until("the policy", is_set).await;
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    let shown = role(&cluster, "eng").await.policy.unwrap();
    assert_eq!(shown.offers(), operator::OfferMode::Optimistic);
    assert_eq!((shown.placement.as_deref(), shown.min_offer), (Some("spread:@zone"), Some(cpus(500))));
    let mut operators = cluster.operator();
    let wrong =
        |change: operator::SetRolePolicyRequest| operator::SetRolePolicyRequest { role: "eng".into(), ..change };
    let ports = proffer_proto_wire::common::PortRange { begin: 1, end: 9 };
    let table = [
        (
            wrong(operator::SetRolePolicyRequest { placement: Some("packed".into()), ..Default::default() }),
            "placement: ",
        ),
        (wrong(operator::SetRolePolicyRequest { reset_min_offer: true, ..set.clone() }), "reset_min_offer: "),
        (
            wrong(operator::SetRolePolicyRequest {
                min_offer: Some(Resources { ports: vec![ports], ..Default::default() }),
                ..Default::default()
            }),
            "min_offer names ports",
        ),
        (wrong(operator::SetRolePolicyRequest { offers: 9, ..Default::default() }), "offers: 9 is not known"),
        (wrong(operator::SetRolePolicyRequest::default()), "give a placement"),
        (operator::SetRolePolicyRequest { role: "a//b".into(), ..set }, "role: "),
    ];
    for (request, told) in table {
        let status = operators.set_role_policy(request).await.unwrap_err();
        assert!(status.code() == Code::InvalidArgument && status.message().contains(told), "{status}");
    }
    let back = operator::SetRolePolicyRequest {
        role: "eng".into(),
        placement: Some(String::new()),
        reset_min_offer: true,
        offers: operator::OfferMode::Exclusive.into(),
        ..Default::default()
    };
    operators.set_role_policy(back).await.unwrap();
    assert_eq!(roles(&cluster).await, []);

    let mut framework = Framework::open(&cluster).await;
    let info = scheduler::FrameworkInfo { placement: "packed".into(), ..info("", "web") };
    framework.say(crate::words::subscribe(info)).await;
    let told = framework.error().await.message;
    assert!(told.contains("placement") && told.contains("write first, pack"), "{told}");
}

#[tokio::test]
async fn frameworks_of_an_optimistic_role_race_and_the_slower_one_is_told_and_offered_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let set = operator::SetRolePolicyRequest {
        role: "lab".to_owned(),
        offers: operator::OfferMode::Optimistic.into(),
        ..Default::default()
    };
    cluster.operator().set_role_policy(set).await.unwrap();
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut slow = subscribe_in(&cluster, "slow", "lab").await;
    let mut fast = subscribe_in(&cluster, "fast", "lab").await;
    let (first, second) = (slow.offer().await, fast.offer().await);
    assert_eq!(first.resources, second.resources, "both see the whole agent");
    assert!(first.is_optimistic && second.is_optimistic);
    fast.launch(&second, vec![task("won")]).await;
    assert_eq!(agent.launched().await.task.unwrap().task_id, "won");
    let rescind = slow.wait_for("the end of the race", |event| match event {
        event::Event::Rescind(rescind) => Some(rescind),
        _ => None,
    });
    let rescind = rescind.await;
    assert_eq!((rescind.offer_ids.as_slice(), rescind.reason()), (&[first.offer_id.clone()][..], Reason::LostRace));
    let rest = slow.offer().await.resources.unwrap();
    assert_eq!(rest.cpus_milli, first.resources.as_ref().unwrap().cpus_milli - 100);
    slow.launch(&first, vec![task("late")]).await;
    let status = slow.status().await;
    assert_eq!((status.state(), status.reason()), (TaskState::Dropped, TaskReason::InvalidOffers));
}
