//! Registries that want a password, and registries with a certificate of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use proffer_agent_runtime::containerd::ContainerdRuntime;
use proffer_agent_runtime::image_builder::ImageBuilder;
use proffer_agent_runtime::{ContainerRuntime, PullPolicy, RuntimeError, RuntimeErrorKind};

use crate::registry::Registry;
use crate::support::{Stage, logger, silent};

/// `bot` with the password `geheim`, in the only form of hash that docker-registry takes.
const HTPASSWD: &str = "bot:$2b$04$Na7pudzRK8pI4q9.Ha4mjuZYglK7CUaBuvcIb/Y99dDgGacIIYBBi\n";

/// A stage with an image in the directory of its registry.
async fn stage_with_image(name: &str) -> Stage {
    let stage = Stage::bare(name).await;
    let open = Registry::start(stage.directory.path()).await;
    open.push("box:1", &ImageBuilder::busybox("box:1").unwrap().build().unwrap()).await;
    stage
}

fn runtime(stage: &Stage, auth: Option<&Path>, certs: Option<&Path>) -> ContainerdRuntime {
    let mut config = stage.daemon.config(&stage.namespace, logger());
    config.registry_auth_file = auth.map(Path::to_owned);
    config.registry_certs_dir = certs.map(Path::to_owned);
    ContainerdRuntime::new(config).unwrap()
}

async fn refused(runtime: &ContainerdRuntime, reference: &str) -> String {
    let error: RuntimeError = runtime.ensure_image(reference, PullPolicy::Missing, silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable, "trying again is no use: {error}");
    error.to_string()
}

#[tokio::test]
async fn a_registry_with_a_password_gives_its_images_to_those_who_have_it() {
    let stage = stage_with_image("password").await;
    let passwords = stage.directory.path().join("htpasswd");
    std::fs::write(&passwords, HTPASSWD).unwrap();
    let guard = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", passwords.display());
    let registry = Registry::guarded(stage.directory.path(), &guard).await;
    let reference = registry.reference("box:1");

    let told = refused(&runtime(&stage, None, None), &reference).await;
    assert!(told.contains("wants a user and a password") && told.contains("--registry-auth"), "{told}");

    let auth = stage.directory.path().join("config.json");
    let write = |secret: &str| {
        let address = registry.address;
        std::fs::write(&auth, format!(r#"{{"auths": {{"{address}": {{"auth": "{secret}"}}}}}}"#)).unwrap();
    };
    write("Ym90Ondyb25n"); // bot:wrong
    let runtime = runtime(&stage, Some(&auth), None);
    let told = refused(&runtime, &reference).await;
    assert!(told.contains("does not take this user") && told.contains("config.json"), "{told}");
    assert!(!told.contains("wrong"), "a password is never told: {told}");

    // The same driver: what is corrected counts at once.
    write("Ym90OmdlaGVpbQ=="); // bot:geheim
    runtime.ensure_image(&reference, PullPolicy::Missing, silent()).await.unwrap();
    stage.stop().await;
}

#[tokio::test]
async fn a_registry_with_a_certificate_of_its_own_is_trusted_once_its_authority_is_known() {
    let stage = stage_with_image("tls").await;
    let keys = make_keys(stage.directory.path());
    let guard = format!("  tls:\n    certificate: {0}/server.crt\n    key: {0}/server.key\n", keys.display());
    let registry = Registry::guarded(stage.directory.path(), &guard).await;
    let reference = registry.reference("box:1");
    let certs = stage.directory.path().join("certs");
    let own = certs.join(registry.address.to_string());
    std::fs::create_dir_all(&own).unwrap();

    // On this machine nobody expects TLS without being told.
    let told = refused(&runtime(&stage, None, None), &reference).await;
    assert!(told.contains("speaks TLS") && told.contains("--registry-certs"), "{told}");

    // The authority of somebody else.
    std::fs::copy(keys.join("other.crt"), own.join("ca.crt")).unwrap();
    let runtime = runtime(&stage, None, Some(&certs));
    let told = refused(&runtime, &reference).await;
    assert!(told.contains("nobody this host trusts") && told.contains("/ca.crt"), "{told}");

    std::fs::copy(keys.join("ca.crt"), own.join("ca.crt")).unwrap();
    runtime.ensure_image(&reference, PullPolicy::Missing, silent()).await.unwrap();
    stage.stop().await;
}

/// An authority, a server's certificate it has signed for 127.0.0.1, and another authority.
fn make_keys(directory: &Path) -> PathBuf {
    let keys = directory.join("keys");
    std::fs::create_dir(&keys).unwrap();
    let openssl = |line: &str| {
        let output = Command::new("openssl").current_dir(&keys).args(line.split(' ')).output();
        let output = output.expect("openssl is missing: apt-get install openssl");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let authority = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!("{authority} -subj /CN=test-authority -keyout ca.key -out ca.crt"));
    openssl(&format!("{authority} -subj /CN=other -keyout other.key -out other.crt"));
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry -keyout server.key -out server.csr",
    );
    std::fs::write(keys.join("san"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.crt");
    keys
}
