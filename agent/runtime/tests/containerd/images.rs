//! Images from archives and registries.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};

use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{CreateRequest, DeleteRequest};
use containerd_client::with_namespace;
use proffer_agent_runtime::image_builder::{BuiltImage, ImageBuilder};
use proffer_agent_runtime::{
    ContainerRequest, ContainerRuntime, ExitCause, ProgressSink, PullPolicy, RuntimeErrorKind,
};
use tonic::Request;

use crate::registry::{Registry, digest as sha256};
use crate::support::{Stage, silent};

/// Two layers: the second one deletes and replaces files of the first.
fn two_layers(name: &str) -> ImageBuilder {
    ImageBuilder::busybox(name)
        .unwrap()
        .file("etc/old", 0o644, "old")
        .file("etc/changed", 0o644, "before")
        .next_layer()
        .white_out("etc/old")
        .file("etc/changed", 0o644, "after")
        .entrypoint(["/bin/sh", "-c"])
        .cmd(["cat /etc/changed; ls /etc/old 2>/dev/null; exit 6"])
}

/// Runs an image with its own command and gives back what it printed.
async fn output_of(stage: &Stage, id: &str, image: &str) -> String {
    let runtime = stage.runtime();
    let logs = stage.directory.path().join("logs").join(id);
    let request = ContainerRequest { id: id.into(), image: image.into(), log_dir: logs.clone(), ..Default::default() };
    runtime.create(&request).await.unwrap();
    runtime.start(id).await.unwrap();
    assert_eq!(runtime.wait(id).await.unwrap().cause, ExitCause::Code(6));
    runtime.delete(id).await.unwrap();
    std::fs::read_to_string(logs.join("stdout.log")).unwrap()
}

#[tokio::test]
async fn every_kind_of_archive_is_imported() {
    let stage = Stage::bare("archives").await;
    let runtime = stage.runtime();
    let path = |name: &str| stage.directory.path().join(name);

    two_layers("oci:1").write(&path("oci.tar")).unwrap();
    two_layers("docker:1").uncompressed().build().unwrap().write_docker(&path("docker.tar")).unwrap();
    two_layers("zipped:1").build().unwrap().write_docker(&path("plain.tar")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(File::create(path("zipped.tar.gz")).unwrap(), Default::default());
    gzip.write_all(&std::fs::read(path("plain.tar")).unwrap()).unwrap();
    gzip.finish().unwrap();

    for (file, name) in [("oci.tar", "oci:1"), ("docker.tar", "docker:1"), ("zipped.tar.gz", "zipped:1")] {
        let images = runtime.import_image(path(file), silent()).await.unwrap();
        assert_eq!(images[0].reference, format!("docker.io/library/{name}"));
        assert_eq!(output_of(&stage, name.split(':').next().unwrap(), name).await, "after", "{file}");
        // Importing again changes nothing.
        assert_eq!(runtime.import_image(path(file), silent()).await.unwrap(), images);
    }
    assert_eq!(runtime.images().await.unwrap().len(), 3);
    stage.stop().await;
}

#[tokio::test]
async fn broken_archives_say_what_is_wrong() {
    let stage = Stage::bare("broken").await;
    let runtime = stage.runtime();
    let path = stage.directory.path().join("broken.tar");

    std::fs::write(&path, "no archive").unwrap();
    let error = runtime.import_image(path.clone(), silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::Invalid);
    let error = runtime.import_image("/nonexistent.tar".into(), silent()).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent.tar"), "{error}");

    // A layer that is not what the manifest says.
    let image = two_layers("lie:1").build().unwrap();
    image.write_oci(&path).unwrap();
    let honest = std::fs::read(&path).unwrap();
    let layer = image.layers[1].clone();
    let position = honest.windows(layer.len()).position(|window| window == layer).unwrap();
    let mut forged = honest;
    forged[position + 20] ^= 0xff;
    std::fs::write(&path, forged).unwrap();
    let error = runtime.import_image(path.clone(), silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable, "{error}");
    assert!(error.to_string().contains("digest"), "{error}");

    // A configuration that promises other content than the layers have.
    let honest = two_layers("lie:2").build().unwrap();
    let config: serde_json::Value = serde_json::from_slice(&honest.config).unwrap();
    let promised = config["rootfs"]["diff_ids"][1].as_str().unwrap();
    let text = String::from_utf8(honest.config.clone()).unwrap();
    let lying = text.replace(promised, &format!("sha256:{}", "0".repeat(64))).into_bytes();
    let manifest = String::from_utf8(honest.manifest.clone()).unwrap();
    let manifest = manifest.replace(&sha256(&honest.config), &sha256(&lying)).into_bytes();
    BuiltImage { config: lying, manifest, ..honest }.write_oci(&path).unwrap();
    let error = runtime.import_image(path, silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable, "{error}");
    assert!(error.to_string().contains("the image says sha256:0000"), "{error}");
    stage.stop().await;
}

#[tokio::test]
async fn images_survive_the_garbage_collector() {
    let stage = Stage::start("garbage").await;
    let runtime = stage.runtime();
    let tar = stage.directory.path().join("two.tar");
    two_layers("two:1").write(&tar).unwrap();
    runtime.import_image(tar, silent()).await.unwrap();
    let request = stage.shell("kept", "sleep 1000");
    runtime.create(&request).await.unwrap();

    // Deleting a lease synchronously runs the collector to its end.
    let channel = containerd_client::connect(stage.daemon.socket()).await.unwrap();
    let mut leases = LeasesClient::new(channel);
    let create = CreateRequest { id: "collect".into(), ..Default::default() };
    leases.create(with_namespace!(create, stage.namespace)).await.unwrap();
    let delete = DeleteRequest { id: "collect".into(), sync: true };
    leases.delete(with_namespace!(delete, stage.namespace)).await.unwrap();

    runtime.start("kept").await.unwrap();
    assert_eq!(output_of(&stage, "two", "two:1").await, "after");
    stage.stop().await;
}

#[tokio::test]
async fn images_come_from_a_registry() {
    let stage = Stage::bare("registry").await;
    let registry = Registry::start(stage.directory.path()).await;
    let runtime = stage.runtime();
    registry.push("two:1", &two_layers("two:1").build().unwrap()).await;
    let reference = registry.reference("two:1");

    let error = runtime.ensure_image(&reference, PullPolicy::Never, silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::NotFound);
    let steps: Arc<Mutex<Vec<_>>> = Arc::default();
    let sink: ProgressSink = Arc::new({
        let steps = steps.clone();
        move |progress| steps.lock().unwrap().push(progress)
    });
    let pulled = runtime.ensure_image(&reference, PullPolicy::Missing, sink).await.unwrap();
    let steps = steps.lock().unwrap().clone();
    assert!(steps.iter().any(|step| step.step == "pulling" && step.done_bytes == step.total_bytes), "{steps:?}");
    assert!(steps.iter().any(|step| step.step == "unpacking"), "{steps:?}");
    assert_eq!(output_of(&stage, "pulled", &reference).await, "after");

    // A new image under the same tag is only seen by those who always ask.
    registry.push("two:1", &two_layers("two:1").env("NEW", "1").build().unwrap()).await;
    assert_eq!(runtime.ensure_image(&reference, PullPolicy::Missing, silent()).await.unwrap(), pulled);
    let fresh = runtime.ensure_image(&reference, PullPolicy::Always, silent()).await.unwrap();
    assert_ne!(fresh.digest, pulled.digest);

    // By digest the first one is still there.
    let by_digest = format!("{}@{}", registry.reference("two"), pulled.digest);
    let again = runtime.ensure_image(&by_digest, PullPolicy::Missing, silent()).await.unwrap();
    assert_eq!(again.digest, pulled.digest);
    stage.stop().await;
}

#[tokio::test]
async fn an_index_gives_the_image_for_this_machine() {
    let stage = Stage::bare("index").await;
    let registry = Registry::start(stage.directory.path()).await;
    registry.push_index("multi:1", &two_layers("multi:1").build().unwrap()).await;
    let reference = registry.reference("multi:1");
    let runtime = stage.runtime();
    let (one, two) = tokio::join!(
        runtime.ensure_image(&reference, PullPolicy::Missing, silent()),
        runtime.ensure_image(&reference, PullPolicy::Missing, silent()),
    );
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(output_of(&stage, "multi", &reference).await, "after");
    stage.stop().await;
}

#[tokio::test]
async fn registries_without_the_image_and_without_life_differ() {
    let stage = Stage::bare("refused").await;
    let registry = Registry::start(stage.directory.path()).await;
    let runtime = stage.runtime();
    let error =
        runtime.ensure_image(&registry.reference("nothing:1"), PullPolicy::Missing, silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable, "{error}");
    assert!(error.to_string().contains("check name and tag"), "{error}");

    let dead = registry.reference("nothing:1");
    drop(registry);
    let error = runtime.ensure_image(&dead, PullPolicy::Missing, silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    stage.stop().await;
}
