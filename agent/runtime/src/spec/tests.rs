//! The specification of a handful of requests, as runc would read it.

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::{Limits, Mount};

fn image() -> ImageDefaults {
    ImageDefaults {
        env: vec!["LANG=C".into()],
        entrypoint: vec!["/bin/web".into()],
        cmd: vec!["--port".into(), "80".into()],
        ..ImageDefaults::default()
    }
}

fn request() -> ContainerRequest {
    ContainerRequest { id: "web.0".into(), image: "docker.io/library/web:1".into(), ..ContainerRequest::default() }
}

fn built(request: &ContainerRequest, cgroup: CgroupVersion) -> Value {
    let input = SpecInput {
        request,
        image: &image(),
        user: ResolvedUser::default(),
        cgroups_path: "/proffer/test/web.0".into(),
        cgroup,
        swap_accounting: true,
        etc: EtcFiles { resolv_conf: Some("/etc/resolv.conf".into()), ..EtcFiles::default() },
    };
    let mut value = serde_json::to_value(build(&input).unwrap()).unwrap();
    // Capabilities are a set without order.
    for list in value["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
        list.as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    // The filter of system calls is long and has tests of its own.
    assert!(value["linux"].as_object_mut().unwrap().remove("seccomp").is_some());
    value
}

#[test]
fn the_defaults_are_tight() {
    insta::assert_json_snapshot!(built(&request(), CgroupVersion::V1));
}

#[test]
fn everything_asked_for_is_there() {
    let request = ContainerRequest {
        args: vec!["--debug".into()],
        env: vec![("LANG".into(), "de".into()), ("MODE".into(), "test".into())],
        working_dir: Some("srv".into()),
        hostname: Some("web-0".into()),
        read_only_root: true,
        mounts: vec![
            Mount::Bind { source: "/data".into(), target: "/var/lib/web".into(), read_only: true },
            Mount::Bind { source: "/my/resolv".into(), target: "/etc/resolv.conf".into(), read_only: true },
            Mount::Tmpfs { target: "/tmp".into(), size_bytes: 1 << 20 },
        ],
        limits: Limits {
            cpu_request_millis: 500,
            cpu_limit_millis: Some(1500),
            memory_limit_bytes: Some(64 << 20),
            pids_limit: Some(32),
        },
        netns: Some(PathBuf::from("/run/netns/web-0")),
        ..request()
    };
    insta::assert_json_snapshot!(built(&request, CgroupVersion::V2));
}

#[test]
fn a_new_command_drops_the_images_cmd() {
    let request = ContainerRequest { command: vec!["/bin/sh".into()], ..request() };
    assert_eq!(built(&request, CgroupVersion::V1)["process"]["args"], serde_json::json!(["/bin/sh"]));
}

#[test]
fn no_command_anywhere_is_invalid() {
    let error = process::command_line(&request(), &ImageDefaults::default()).unwrap_err();
    assert_eq!(error.kind, crate::RuntimeErrorKind::Invalid);
    assert!(error.to_string().contains("set `command`"), "{error}");
}

#[test]
fn relative_mounts_are_invalid() {
    let request = ContainerRequest { mounts: vec![Mount::Tmpfs { target: "tmp".into(), size_bytes: 1 }], ..request() };
    assert!(mounts::check(&request).unwrap_err().to_string().contains("must start with /"));
}
