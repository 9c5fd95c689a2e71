//! `proffer dev` as a newcomer meets it: the example answers, agents share nothing, a second run finds its
//! state, Ctrl-C leaves nothing behind (the harness looks at every stop).
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeSet;

use crate::common::{self, Instance, running};
use proffer_integration_harness::{Cluster, ClusterOptions, Leaks};

#[test]
fn dev_runs_the_example_and_finds_its_state_again() {
    let mut cluster = Cluster::start_with(ClusterOptions { agents: 3, with_stack: true, ..ClusterOptions::default() });
    let web = running(&cluster, "web", 3);
    for instance in &web {
        assert_eq!(instance.answer(), format!("hello from {}\n", instance.task_id));
    }
    place_one_on_each_agent(&cluster);
    agents_share_nothing(&cluster);
    let agents = agent_ids(&cluster);

    the_leak_check_sees_a_running_cluster(&cluster);
    let second = cluster.second_dev();
    assert!(!second.status.success() && second.told().contains("another proffer dev uses"), "{second:?}");
    assert!(second.told().contains("--data-dir, --port, --host-ports and --subnet"), "{second:?}");
    cluster.stop();
    cluster.run_dev();

    assert!(!cluster.dev_output().contains("building the image"), "it was there: {}", cluster.dev_output());
    assert_eq!(agent_ids(&cluster), agents, "the agents are the same ones");
    let again = running(&cluster, "web", 3);
    for instance in &again {
        assert_eq!(instance.answer(), format!("hello from {}\n", instance.task_id));
    }
    let old: BTreeSet<&str> = web.iter().map(|instance| instance.task_id.as_str()).collect();
    assert!(again.iter().all(|i| !old.contains(i.task_id.as_str())), "Ctrl-C ended the old ones: {again:?}");
    for agent in cluster.agents() {
        assert_eq!(running(&cluster, &format!("only-{agent}"), 1)[0].hostname, agent, "a service that was applied");
    }
    cluster.stop();
}

/// A service on each agent, so that none of them has nothing to show.
fn place_one_on_each_agent(cluster: &Cluster) {
    let service = |agent: &String| {
        format!(
            "  only-{agent}:\n    image: hello:latest\n    resources: {{ cpus: 0.1, memory: 16MiB }}\n    \
             constraints: [\"@hostname == {agent}\"]\n    stop_grace: 1s\n    \
             ports: [{{ name: http, container: 8080 }}]\n"
        )
    };
    let services: String = cluster.agents().iter().map(service).collect();
    let file = cluster.file("each.yaml", &format!("version: 1\nservices:\n{services}"));
    cluster.ok(&["apply", "-f", &file]);
}

/// Each agent has a containerd namespace, a subnet and host ports of its own, and uses only those.
fn agents_share_nothing(cluster: &Cluster) {
    let services = cluster.json(&["ps"]);
    let names = services.as_array().unwrap().iter().map(|service| service["name"].as_str().unwrap());
    let all: Vec<Instance> = names.flat_map(|name| common::try_running(cluster, name).unwrap()).collect();
    assert_eq!(all.len(), 6, "{all:?}");
    let mut seen = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    let mut last_port = 0;
    for agent in cluster.agents() {
        let flags = cluster.flags(&agent);
        let is_new = [&flags.namespace, &flags.subnet, &flags.bridge].into_iter().zip(&mut seen);
        assert!(is_new.into_iter().all(|(name, seen)| seen.insert(name.clone())), "{flags:?} repeats one of {agent}");
        let (begin, end) = flags.host_ports.split_once('-').expect("a range");
        let (begin, end): (u16, u16) = (begin.parse().unwrap(), end.parse().unwrap());
        assert!(begin > last_port, "{flags:?} overlaps the ports before {last_port}");
        last_port = end;

        let here: Vec<&Instance> = all.iter().filter(|instance| instance.hostname == agent).collect();
        assert!(!here.is_empty(), "{agent} runs nothing");
        let told: BTreeSet<u32> = here.iter().map(|instance| instance.pid).collect();
        let real: BTreeSet<u32> = cluster.containers(&flags.namespace).into_values().collect();
        assert_eq!(told, real, "containerd's namespace of {agent}");
        for instance in here {
            let prefix = flags.subnet.trim_end_matches("0/24");
            assert!(instance.address.starts_with(prefix), "{instance:?} is not in {}", flags.subnet);
            let port: u16 = instance.published.rsplit(':').next().unwrap().parse().unwrap();
            assert!((begin..=end).contains(&port), "{instance:?} is not in {}", flags.host_ports);
            assert!(!instance.answer().is_empty());
        }
    }
}

/// A check that finds nothing proves something only when it finds what is there.
fn the_leak_check_sees_a_running_cluster(cluster: &Cluster) {
    let mut leaks = Leaks::watch(cluster);
    leaks.note_links();
    let seen = leaks.left();
    for kind in ["process", "mount", "network namespace", "link", "cgroup", "iptables-save"] {
        assert!(seen.iter().any(|line| line.starts_with(kind)), "no {kind} among {seen:#?}");
    }
}

fn agent_ids(cluster: &Cluster) -> BTreeSet<String> {
    let agents = cluster.json(&["agents"]);
    let agents = agents.as_array().expect("a list");
    agents.iter().map(|agent| format!("{} {}", agent["hostname"], agent["agent_id"])).collect()
}
