//! Images from a real registry over HTTP: an explicit pull, the pull that a task needs, and clear words when the
//! tag, the repository or the registry is not there.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use proffer_agent_runtime::image_builder::ImageBuilder;
use proffer_integration_harness::{Cluster, Registry, free_port};

#[test]
fn images_come_from_a_registry() {
    let registry = Registry::start();
    let cluster = Cluster::start();
    let image = |text: &str| ImageBuilder::busybox("unused").unwrap().file("etc/motd", 0o644, text);
    let first = registry.push("team/box:1", &image("the first\n"));
    let second = registry.push("team/box:2", &image("the second\n"));

    let pulled = cluster.json(&["image", "pull", &first]);
    assert_eq!((&pulled[0]["reference"], &pulled[0]["hostname"]), (&first.as_str().into(), &"agent-1".into()));
    let images = cluster.json(&["image", "ls"]);
    let has = |name: &str| images.as_array().unwrap().iter().any(|image| image["reference"] == name);
    assert!(has(&first) && !has(&second), "{images:#}");

    // The second one was not pulled before: its task does it.
    assert_eq!(motd(&cluster, "first", &first), "the first\n");
    assert_eq!(motd(&cluster, "second", &second), "the second\n");

    what_is_missing_is_named(&cluster, &registry);
    // Pulled images need no registry any more.
    drop(registry);
    assert_eq!(motd(&cluster, "third", &first), "the first\n");
}

fn motd(cluster: &Cluster, job: &str, image: &str) -> String {
    let line = ["job", "run", "--image", image, "--name", job, "--memory", "32MiB", "--", "/bin/cat", "/etc/motd"];
    cluster.ok(&line);
    cluster.ok(&["logs", job])
}

fn what_is_missing_is_named(cluster: &Cluster, registry: &Registry) {
    let cases = [
        (format!("{}/team/box:none", registry.address()), "has no such image: check name and tag, or push it first"),
        (format!("{}/team/nothing:1", registry.address()), "has no such image: check name and tag, or push it first"),
    ];
    for (reference, why) in &cases {
        let pull = cluster.proffer(&["image", "pull", reference]);
        let told = pull.told();
        assert!(!pull.status.success(), "{pull:?}");
        assert!(told.contains(reference.as_str()) && told.contains(why), "{reference}: {why:?} is not in {told}");

        let run = cluster.proffer(&["-o", "json", "job", "run", "--image", reference, "--name", "missing"]);
        assert_eq!(run.status.code(), Some(1), "{run:?}");
        let job: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let status = &job["attempts"][0]["status"];
        let message = status["message"].as_str().unwrap_or_default();
        assert_eq!(status["reason"], "IMAGE_UNAVAILABLE", "{status:#}");
        assert!(message.contains(reference.as_str()) && message.contains(why), "{message}");
    }
    // A task would be tried again for a minute: a registry that is away may come back.
    let nobody = format!("127.0.0.1:{}/team/box:1", free_port());
    let told = cluster.proffer(&["image", "pull", &nobody]).told();
    assert!(told.contains(&nobody) && told.contains("cannot be reached") && told.contains("refused"), "{told}");
}
