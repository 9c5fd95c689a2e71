//! Tests of the task builder.

use super::*;
use crate::model::PortSet;

#[test]
fn a_task_needs_only_an_id_and_an_image() {
    let task = Task::new("web.1").image("busybox").build().unwrap();
    assert_eq!((task.id.as_str(), task.name.as_str()), ("web.1", "web.1"));
    assert_eq!(task.resources, Resources::new(MilliCpus(100), Bytes::mib(32)));
    assert_eq!(task.container.network, NetworkMode::Host);
    assert_eq!(task.kill_policy.grace_ms, 10_000);
}

#[test]
fn every_defect_is_told_at_once() {
    let task = Task::new("a/b").cpus(f64::NAN).memory_mib(u64::MAX).env("A=B", "c").port("x", 1).port("x", 2);
    let error = task.port("ü", 1).mount_tmpfs("tmp", 1).kill_grace_ms(u64::MAX).build().unwrap_err();
    let fields: Vec<&str> = error.defects.iter().map(|defect| defect.field.as_str()).collect();
    assert_eq!(fields, ["id", "cpus", "memory", "env", "kill_grace_ms", "image", "port", "port", "mount"]);
    let text = error.to_string();
    assert!(text.starts_with("task \"a/b\" is wrong: id: holds '/'"), "{text}");
    assert!(text.contains("; image: is missing; name one"), "{text}");
}

#[test]
fn cpus_are_exact_to_a_thousandth() {
    for (cpus, milli) in [(0.1, 100), (0.3, 300), (1.0, 1_000), (2.125, 2_125), (0.0004, 0)] {
        let task = Task::new("a").image("x").cpus(cpus).build().unwrap();
        assert_eq!(task.resources.cpus, MilliCpus(milli));
    }
    for cpus in [-0.1, f64::INFINITY, 1e300] {
        assert!(Task::new("a").image("x").cpus(cpus).build().is_err(), "{cpus}");
    }
}

#[test]
fn the_network_follows_from_the_ports() {
    let network = |task: Task| task.build().unwrap().container.network;
    let task = || Task::new("a").image("x");
    assert_eq!(network(task().port("http", 8_080)), NetworkMode::Bridge);
    assert_eq!(network(task().port("http", 0)), NetworkMode::Host);
    let host = task().port("http", 8_080).network(NetworkMode::Host).build().unwrap();
    assert_eq!(host.container.ports[0].host_port, 8_080, "on the host's network the port is the port");
    assert_eq!(host.resources.ports, PortSet::single(8_080), "and it must be in the offer");
}

#[test]
fn what_no_master_takes_is_refused_here_with_its_field() {
    let task = || Task::new("a").image("x");
    let limits = ResourceLimits { memory: Some(Bytes::mib(1)), ..ResourceLimits::default() };
    for (task, field) in [
        (task().limits(limits), "limits.memory_bytes"),
        (task().image("two words"), "container.image"),
        (task().working_dir("relative"), "container.working_dir"),
        (task().name(""), "name"),
    ] {
        let error = task.build().unwrap_err();
        assert_eq!(error.defects[0].field, field);
    }
}
