//! The containerd driver against a private containerd. Needs root, containerd, runc and busybox.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proffer_agent_runtime::containerd::ContainerdRuntime;
use proffer_agent_runtime::containerd::private::PrivateContainerd;
use proffer_agent_runtime::image_builder::ImageBuilder;
use proffer_agent_runtime::*;

fn logger() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_proffer-container-log"))
}

#[tokio::test]
async fn thin() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = PrivateContainerd::start(dir.path().join("c"))
        .await
        .unwrap();
    let runtime = ContainerdRuntime::new(daemon.config("thin-test", logger())).unwrap();
    println!("{:?}", runtime.info().await.unwrap());
    let tar = dir.path().join("image.tar");
    ImageBuilder::busybox("proffer.test/box:1")
        .unwrap()
        .write(&tar)
        .unwrap();
    let sink: ProgressSink = Arc::new(|_| {});
    println!("{:?}", runtime.import_image(tar, sink).await.unwrap());
    let request = ContainerRequest {
        id: "a".into(),
        image: "proffer.test/box:1".into(),
        command: vec![
            "sh".into(),
            "-c".into(),
            "echo hello; echo err >&2; cat /proc/self/status | grep NoNew; exit 42".into(),
        ],
        log_dir: dir.path().join("logs"),
        ..Default::default()
    };
    println!("{:?}", runtime.create(&request).await.unwrap());
    runtime.start("a").await.unwrap();
    println!("{:?}", runtime.wait("a").await.unwrap());
    println!("{:?}", runtime.list().await.unwrap());
    runtime.delete("a").await.unwrap();
    println!(
        "{}",
        std::fs::read_to_string(dir.path().join("logs/stdout.log")).unwrap()
    );
    let _ = Path::new("/");
    daemon.stop().await.unwrap();
}
