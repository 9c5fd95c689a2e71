//! Spec files: what is read, and that every mistake is told with its line and its fix.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proffer::spec::{self, SpecError, Stack};
use proffer_proto_model::task::{NetworkMode, Protocol, PullPolicy};
use proffer_proto_model::{Bytes, ConstraintOperator, MilliCpus};

const FULL: &str = r#"
version: 1
services:
  web:
    image: hello:latest
    command: ["/bin/httpd"]
    args: ["-f", "-p", 8080]
    env: {GREETING: hello, EMPTY: , VERSION: 1.10, "ON": yes}
    instances: 3
    resources: {cpus: 0.1, memory: 64MiB}
    limits: {memory: 128MiB, pids: 50}
    ports: [{name: http, container: 8080, protocol: tcp}]
    mounts: [{target: /data, host: /srv, read_only: true}, {target: /tmp, tmpfs: 16MiB}, {target: /db, volume: db}]
    pull: never
    stop_grace: 5s
    constraints: ["zone == b", "exists gpu"]
    labels: {team: web}
    role: eng/web
    priority: -5
    revocable: true
  quiet:
    image: busybox:1.36
jobs:
  sums:
    image: hello:latest
    completions: 20
    parallelism: 4
    retries: 2
    timeout: 1m
    priority: 10
"#;

fn parse(text: &str) -> Result<Stack, SpecError> {
    spec::parse(Path::new("stack.yaml"), text)
}

#[test]
fn a_whole_stack_is_read() {
    let stack = parse(FULL).unwrap_or_else(|error| panic!("{error}"));
    let [web, quiet] = stack.services.as_slice() else { panic!("two services: {stack:?}") };
    assert_eq!((web.name.as_str(), web.instances), ("web", 3));
    assert_eq!(web.container.args, ["-f", "-p", "8080"]);
    let env: Vec<(&str, &str)> = web.container.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(env, [("GREETING", "hello"), ("EMPTY", ""), ("VERSION", "1.10"), ("ON", "yes")]);
    assert_eq!((web.resources.cpus, web.resources.memory), (MilliCpus(100), Bytes::mib(64)));
    assert_eq!((web.limits.memory, web.limits.pids), (Some(Bytes::mib(128)), Some(50)));
    assert_eq!((web.container.ports[0].container_port, web.container.ports[0].protocol), (8080, Protocol::Tcp));
    assert_eq!((web.container.network, web.container.pull), (NetworkMode::Bridge, PullPolicy::Never));
    assert_eq!((web.kill_policy.grace_ms, web.container.mounts.len()), (5_000, 3));
    assert_eq!(web.constraints[1].operator, ConstraintOperator::Exists);
    assert_eq!(web.role.as_ref().map(ToString::to_string).as_deref(), Some("eng/web"));
    assert_eq!((web.priority, web.is_revocable), (-5, true));

    assert_eq!((quiet.instances, quiet.container.network), (1, NetworkMode::Host));
    assert_eq!((quiet.priority, quiet.is_revocable), (0, false));
    assert_eq!((quiet.resources.cpus, quiet.resources.memory), (MilliCpus(100), Bytes::mib(128)));

    let [sums] = stack.jobs.as_slice() else { panic!("one job: {stack:?}") };
    assert_eq!((sums.completions, sums.parallelism, sums.retries, sums.attempt_timeout_ms), (20, 4, 2, 60_000));
    assert_eq!((sums.priority, sums.is_revocable), (10, false));
}

/// One line of a service, the line and column at fault, and what must be told.
const BAD_LINES: &[(&str, &str, u64, &str)] = &[
    ("imgae: x", "services.web.imgae", 5, "did you mean \"image\"?"),
    ("replicas: 3", "services.web.replicas", 5, "the fields are"),
    ("instances: -1", "services.web.instances", 16, "it must be 0 to 10000"),
    ("instances: 1.5", "services.web.instances", 16, "not a whole number"),
    ("instances: 99999999999999999999999", "services.web.instances", 16, "0 to 10000"),
    ("instances: many", "services.web.instances", 16, "not a whole number"),
    ("instances: [3]", "services.web.instances", 16, "is a list, not a single value"),
    ("resources: {cpus: -1}", "services.web.resources.cpus", 23, "is negative"),
    ("resources: {cpus: 1cpu}", "services.web.resources.cpus", 23, "500m"),
    ("resources: {memory: 64mb}", "services.web.resources.memory", 25, "did you mean 64MiB?"),
    ("resources: {memory: 64 MiB}", "services.web.resources.memory", 25, "write sizes as 512MiB"),
    ("resources: {cpu: 1}", "services.web.resources.cpu", 17, "did you mean \"cpus\"?"),
    ("limits: {memory: 1MiB}", "services.web.limits.memory", 22, "below the 128MiB"),
    ("ports: [{name: http, container: 70000}]", "services.web.ports[0].container", 37, "ports are 1 to 65535"),
    ("ports: [{name: http, container: 0}]", "services.web.ports[0].container", 37, "ports are 1 to 65535"),
    ("ports: [{name: http, container: -80}]", "services.web.ports[0].container", 37, "ports are 1 to 65535"),
    ("ports: [{container: 80}]", "services.web.ports[0].name", 13, "give the port a name"),
    ("ports: [{name: http}]", "services.web.ports[0].container", 13, "which port the container listens on"),
    ("ports: [{name: a, container: 1, protocol: sctp}]", "services.web.ports[0].protocol", 47, "tcp, udp"),
    ("ports: [{name: a, container: 1}, {name: a, container: 2}]", "services.web.ports[1].name", 45, "unique"),
    ("ports: 8080", "services.web.ports", 12, "not a list"),
    ("network: bridged", "services.web.network", 14, "did you mean \"bridge\"?"),
    ("pull: sometimes", "services.web.pull", 11, "always, missing, never"),
    ("stop_grace: 5", "services.web.stop_grace", 17, "has no unit"),
    ("stop_grace: 2d", "services.web.stop_grace", 17, "at most 1d"),
    ("command: /bin/sh", "services.web.command", 14, "write [\"/bin/httpd\", \"-f\"]"),
    ("env: [A=b]", "services.web.env", 10, "is a list, not a map"),
    ("env: {A: {b: c}}", "services.web.env.A", 14, "is a map, not a single value"),
    ("constraints: [\"zone = b\"]", "services.web.constraints[0]", 19, "\"zone == b\""),
    ("working_dir: tmp", "services.web.working_dir", 18, "absolute path"),
    ("read_only_root: maybe", "services.web.read_only_root", 21, "true or false"),
    ("mounts: [{target: /a}]", "services.web.mounts[0]", 14, "one of \"volume: name\", \"host: /path\""),
    ("role: /eng", "services.web.role", 11, "empty part"),
    ("priority: high", "services.web.priority", 15, "write a whole number such as 10: higher matters more"),
    ("priority: 1.5", "services.web.priority", 15, "write a whole number"),
    ("priority: 3000000000", "services.web.priority", 15, "it must be -2147483648 to 2147483647"),
    ("revocable: maybe", "services.web.revocable", 16, "true or false"),
    ("priorty: 1", "services.web.priorty", 5, "did you mean \"priority\"?"),
    ("completions: 3", "services.web.completions", 5, "not a field here"),
];

#[test]
fn every_bad_line_is_told_with_its_place_and_fix() {
    for (line, path, column, told) in BAD_LINES {
        let text = format!("version: 1\nservices:\n  web:\n    image: hello\n    {line}\n");
        let problems = problems(&text);
        let [problem] = problems.as_slice() else { panic!("{line}: one problem, not {problems:?}") };
        assert_eq!((problem.path.as_str(), problem.line, problem.column), (*path, 5, *column), "{line}: {problem:?}");
        assert!(problem.message.contains(told), "{line}: {:?} must say {told:?}", problem.message);
    }
}

fn problems(text: &str) -> Vec<spec::Problem> {
    match parse(text) {
        Err(SpecError::Wrong(problems)) => problems.list().to_vec(),
        other => panic!("{text}\nmust be refused: {other:?}"),
    }
}

#[test]
fn a_file_that_is_wrong_as_a_whole_is_told_so() {
    let table = [
        ("", 0, "not a map"),
        ("just words", 1, "not a map"),
        ("services: {}", 1, "begin the file with \"version: 1\""),
        ("version: 2", 1, "reads version 1"),
        ("version: 1\nservice: {}", 2, "did you mean \"services\"?"),
        ("version: 1\nservices:\n  Web: {image: a}", 3, "names are 1 to 63"),
        ("version: 1\nservices:\n  web: {}", 3, "image: hello:latest"),
        ("version: 1\nservices:\n  web:\n\timage: a", 4, "tab"),
        ("version: 1\nservices:\n  web: {image: a}\n  web: {image: b}", 4, "duplicate"),
        ("version: 1\nservices:\n  web: {image: a", 0, "not valid YAML"),
        ("version: 1\njobs:\n  sums: {image: a, completions: 0}", 3, "1 to 1000000"),
        ("version: 1\njobs:\n  sums: {image: a, ports: []}", 3, "not a field here"),
    ];
    for (text, line, told) in table {
        let problems = problems(text);
        let problem = &problems[0];
        assert!(problem.message.contains(told), "{text:?}: {problem:?} must say {told:?}");
        assert!(line == 0 || problem.line == line, "{text:?}: {problem:?} must be in line {line}");
    }
}

#[test]
fn all_problems_of_a_file_are_told_together_in_its_order() {
    let text = "version: 1\nservices:\n  web:\n    imgae: x\n    instances: -1\n  b:\n    image: c\n    pull: no\n";
    let lines: Vec<u64> = problems(text).iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 4, 5, 8], "the missing image is told at the service");
    let told = parse(text).unwrap_err().to_string();
    assert!(told.starts_with("stack.yaml has 4 problems:") && told.contains("stack.yaml:5:16:"), "{told}");
}

#[test]
fn an_unreadable_file_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("absent.yaml"), folder.path().to_owned()] {
        let told = spec::load(&path).unwrap_err().to_string();
        assert!(told.starts_with("cannot read") && told.contains(&path.display().to_string()), "{told}");
    }
    let binary = folder.path().join("binary.yaml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00, 0x80]).unwrap();
    assert!(spec::load(&binary).is_err());
}

#[test]
fn an_escape_in_a_name_does_not_reach_the_terminal() {
    let told = parse("version: 1\nservices:\n  web:\n    image: a\n    \"\\e[31mx\": 1\n").unwrap_err().to_string();
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn the_files_in_the_documentation_are_right() {
    let tutorial = include_str!("../../docs/tutorial.md");
    let blocks: Vec<&str> = tutorial.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "the tutorial has a file");
    for text in blocks {
        parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    }
}
