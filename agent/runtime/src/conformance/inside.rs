//! Cases that look around from inside a container.

use super::{Behaviour, Suite, must_fail};
use crate::{ContainerRequest, Limits, Mount, RuntimeErrorKind};

fn blank(suite: &Suite<'_>, id: &str) -> ContainerRequest {
    suite.fixture.request(id, Behaviour::Shell(String::new()))
}

pub(super) async fn user(suite: &Suite<'_>) {
    for (position, (user, expected)) in [
        ("65534:65534", "65534 65534\n"),
        ("web", "1000 1000\n"),
        ("1000", "1000 1000\n"),
        ("4242", "4242 0\n"),
        ("web:logs", "1000 40\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = ContainerRequest { user: Some(user.into()), ..blank(suite, &format!("user-{position}")) };
        assert_eq!(suite.shell(request, "echo $(id -u) $(id -g)").await, expected, "user {user}");
    }
    let request = ContainerRequest { user: Some("stranger".into()), ..blank(suite, "user") };
    let error = must_fail("create", suite.runtime.create(&request).await, RuntimeErrorKind::Invalid);
    assert!(error.to_string().contains("/etc/passwd"), "{error}");
}

pub(super) async fn environment(suite: &Suite<'_>) {
    let request = ContainerRequest {
        env: vec![("COLOUR".into(), "blue green".into())],
        working_dir: Some("/tmp".into()),
        hostname: Some("web-0".into()),
        ..blank(suite, "env")
    };
    let seen = suite.shell(request, "echo $COLOUR; pwd; hostname; echo $$").await;
    assert_eq!(seen, "blue green\n/tmp\nweb-0\n1\n");
}

pub(super) async fn privileges(suite: &Suite<'_>) {
    let seen = suite.shell(blank(suite, "status"), "grep -E 'NoNewPrivs|CapBnd' /proc/self/status").await;
    assert!(seen.contains("NoNewPrivs:\t1"), "{seen}");
    let bounding = seen.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap_or_default();
    let bounding = u64::from_str_radix(bounding, 16).unwrap_or(u64::MAX);
    const DOCKERS: u64 = 0xa804_25fb;
    assert_eq!(bounding & !DOCKERS, 0, "more than Docker grants: {bounding:x}");

    let attempts = "mknod /tmp/disk b 8 0 2>/dev/null && echo made a device; \
                    (echo 1 > /proc/sys/kernel/panic) 2>/dev/null && echo wrote /proc/sys; \
                    (echo '#' >> /etc/hosts) 2>/dev/null && echo wrote hosts; \
                    mount -t tmpfs none /tmp 2>/dev/null && echo mounted; \
                    cat /proc/kcore 2>/dev/null | head -c 1; echo done";
    assert_eq!(suite.shell(blank(suite, "attempts"), attempts).await, "done\n");

    let request = ContainerRequest { read_only_root: true, ..blank(suite, "read-only") };
    assert_eq!(suite.shell(request, "touch /x 2>/dev/null || echo refused").await, "refused\n");
}

pub(super) async fn limits(suite: &Suite<'_>) {
    let request = ContainerRequest {
        limits: Limits {
            cpu_request_millis: 500,
            cpu_limit_millis: Some(250),
            memory_limit_bytes: Some(32 * 1024 * 1024),
            pids_limit: Some(17),
        },
        ..blank(suite, "limits")
    };
    let text = "cd /sys/fs/cgroup; if [ -e memory.max ]; then cat memory.max pids.max cpu.max; else \
                cat memory/memory.limit_in_bytes pids/pids.max; \
                echo $(cat cpu/cpu.cfs_quota_us) $(cat cpu/cpu.cfs_period_us); fi";
    assert_eq!(suite.shell(request, text).await, "33554432\n17\n25000 100000\n");
}

pub(super) async fn mounts(suite: &Suite<'_>) {
    let blank = blank(suite, "mounts");
    let data = blank.log_dir.join("data");
    let written = std::fs::create_dir_all(&data).and_then(|()| std::fs::write(data.join("in"), "from the host"));
    assert!(written.is_ok(), "{written:?}");
    let bind = |target: &str, read_only| Mount::Bind { source: data.clone(), target: target.into(), read_only };
    let request = ContainerRequest {
        mounts: vec![
            bind("/data", false),
            bind("/frozen", true),
            Mount::Tmpfs { target: "/scratch".into(), size_bytes: 1024 * 1024 },
        ],
        ..blank
    };
    let text = "cat /data/in; echo; echo back > /data/out; touch /frozen/x 2>/dev/null || echo frozen; \
                head -c 4000000 /dev/zero 2>/dev/null > /scratch/big || echo full";
    let seen = suite.shell(request, text).await;
    assert!(seen.starts_with("from the host\nfrozen\n"), "{seen}");
    assert!(!data.join("x").exists());

    let absent = Mount::Bind { source: data.join("absent"), target: "/absent".into(), read_only: true };
    let request = ContainerRequest { mounts: vec![absent], ..self::blank(suite, "mounts") };
    let error = must_fail("create", suite.runtime.create(&request).await, RuntimeErrorKind::Invalid);
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert_eq!(std::fs::read_to_string(data.join("out")).unwrap_or_default(), "back\n");
}
