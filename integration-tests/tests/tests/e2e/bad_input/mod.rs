//! Bad input of every kind: each gets an error that names the place and the fix, nothing crashes, nothing is lost.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod raw;

use crate::common::running;
use proffer_integration_harness::Cluster;

/// What is put in.
enum Input {
    /// A service's lines in a file given to `apply`; the image is there unless a line says otherwise.
    Service(&'static str),
    /// A whole file given to `apply`.
    File(&'static str),
    /// A command line; `{dir}` is a directory and `{torn}` an image archive that was cut short.
    Line(&'static [&'static str]),
    /// Bytes sent as the body of a gRPC call.
    Grpc(&'static str, &'static [u8]),
    /// Bytes sent to the port instead of a request.
    Bytes(&'static [u8]),
    /// A framework that comes with this id.
    Subscribe(&'static str),
    /// An operator who removes a framework of this id.
    Teardown(&'static str),
}
use Input::{Bytes, File, Grpc, Line, Service, Subscribe, Teardown};

/// A message that says it is longer than it is, whole as a frame.
const CUT_MESSAGE: &[u8] = b"\0\0\0\0\x05\x0a\x10abc";
/// A frame that says it is longer than it is.
const CUT_FRAME: &[u8] = b"\0\0\0\0\x40\x0a\x10abc";

const APPLY: &str = "proffer.service.v1.Services/Apply";
const TEARDOWN: &str = "proffer.operator.v1.Operator/TeardownFramework";
const SESSION: &str = "proffer.scheduler.v1.Scheduler/Session";
const ATTACH: &str = "proffer.agent.v1.AgentRegistry/Attach";
const LIST: &str = "proffer.operator.v1.Operator/ListTasks";

/// Name, input, the place that must be told, the fix that must be told.
const TABLE: &[(&str, Input, &str, &str)] = &[
    ("unknown field", Service("imgae: x"), ":5:5: services.web.imgae", "did you mean \"image\"?"),
    ("unknown section", File("version: 1\nservice: {}"), ":2:1: service", "did you mean \"services\"?"),
    ("no version", File("services: {}"), ":1:1: version", "begin the file with \"version: 1\""),
    ("wrong unit of memory", Service("resources: {memory: 64mb}"), ":5:25: services.web.resources.memory", "64MiB?"),
    ("wrong unit of cpus", Service("resources: {cpus: 1cpu}"), ":5:23: services.web.resources.cpus", "500m"),
    ("no unit of time", Service("stop_grace: 5"), ":5:17: services.web.stop_grace", "has no unit"),
    ("negative count", Service("instances: -1"), ":5:16: services.web.instances", "it must be 0 to 10000"),
    ("negative scale", Line(&["scale", "web", "-1"]), "'<INSTANCES>'", "-1 is not in 0..=10000"),
    (
        "negative completions",
        Line(&["job", "run", "--image", "hello:latest", "--completions", "-3"]),
        "'--completions <COMPLETIONS>'",
        "-3 is not in 1..=1000000",
    ),
    (
        "wrong unit of a flag",
        Line(&["job", "run", "--image", "hello:latest", "--memory", "64mb"]),
        "'--memory <MEMORY>'",
        "did you mean 64MiB?",
    ),
    (
        "port 70000",
        Service("ports: [{name: http, container: 70000}]"),
        ":5:37: services.web.ports[0].container",
        "ports are 1 to 65535",
    ),
    ("port 70000 of a master", Line(&["--master", "127.0.0.1:70000", "ps"]), "\"127.0.0.1:70000\"", "1 to 65535"),
    ("missing image", File("version: 1\nservices:\n  web: {}"), ":3:8: services.web.image", "image: hello:latest"),
    (
        "image that no agent has",
        Line(&["job", "run", "-f", "{ghost}"]),
        "docker.io/library/ghost:1",
        "import it with `proffer image import`",
    ),
    ("missing file", Line(&["apply", "-f", "/nowhere/x.yaml"]), "cannot read /nowhere/x.yaml", "check the name"),
    ("directory as a file", Line(&["apply", "-f", "{dir}"]), "cannot read {dir}", "Is a directory"),
    ("file that is no text", Line(&["apply", "-f", "{binary}"]), "{binary}", "UTF-8"),
    ("missing archive", Line(&["image", "import", "/nowhere/x.tar"]), "/nowhere/x.tar", "check the name"),
    ("directory as an archive", Line(&["image", "import", "{dir}"]), "{dir}", "give a tar archive"),
    ("archive cut short", Line(&["image", "import", "{torn}"]), "import {torn}", "the archive is incomplete"),
    ("text as an archive", Line(&["image", "import", "{ghost}"]), "import {ghost}", "write it with `docker save`"),
    ("unknown service", Line(&["ps", "nobody"]), "there is no service \"nobody\"", "see `proffer ps`"),
    ("unknown agent", Line(&["image", "ls", "--agent", "A9-9"]), "there is no agent \"A9-9\"", "`proffer agents`"),
    ("unknown framework", Line(&["tasks", "--framework", "F9-9"]), "no framework \"F9-9\"", "`proffer frameworks`"),
    ("weight of 0", Line(&["weights", "set", "web=0"]), "weight of web", "give 0.001 to 1000000"),
    ("negative quota", Line(&["quota", "set", "eng", "--limit", "cpus=-1"]), "'--limit <RESOURCES>': cpus", "500m"),
    (
        "guarantee above the limit",
        Line(&["quota", "set", "eng", "--limit", "cpus=1", "--guarantee", "cpus=2"]),
        "guarantee of cpus is 2",
        "raise the limit",
    ),
    (
        "guarantee that nobody can keep",
        Line(&["quota", "set", "eng", "--guarantee", "cpus=100000"]),
        "guarantee of role eng",
        "lower a guarantee",
    ),
    ("unknown role", Line(&["quota", "show", "nobody"]), "no role nobody", "`proffer roles`"),
    ("role without a name", Line(&["weights", "set", "/web=1"]), "role \"/web\"", "a path like \"eng/web\""),
    ("unknown policy", Line(&["roles", "set", "eng", "--placement", "packed"]), "'--placement <POLICY>'", "pack,"),
    (
        "reservation of nothing",
        Line(&["reserve", "agent-1", "--role", "eng", "--resources", "cpus=0"]),
        "resources: ",
        "name an amount",
    ),
    (
        "reservation of too much",
        Line(&["reserve", "agent-1", "--role", "eng", "--resources", "cpus=100000"]),
        "resources: ",
        "name less, or another agent: `proffer agents`",
    ),
    (
        "refinement of what is not reserved",
        Line(&["reserve", "agent-1", "--role", "eng/web", "--from", "eng", "--resources", "cpus=0.1"]),
        "from_role: nothing is reserved for eng",
        "reserve it for eng first",
    ),
    (
        "refinement for a role beside",
        Line(&["reserve", "agent-1", "--role", "ops", "--from", "eng", "--resources", "cpus=0.1"]),
        "role: ops does not lie below eng",
        "name a role below it",
    ),
    (
        "end of what is not reserved",
        Line(&["unreserve", "agent-1", "--role", "eng", "--resources", "cpus=1"]),
        "role: nothing is reserved for eng",
        "`proffer reservations`",
    ),
    (
        "volume of nothing reserved",
        Line(&["volumes", "create", "agent-1", "db", "--role", "eng", "--size", "1GiB"]),
        "role: nothing is reserved for eng",
        "`proffer reserve A",
    ),
    (
        "end of an unknown volume",
        Line(&["volumes", "destroy", "agent-1", "db", "--role", "eng"]),
        "volume_id: A",
        "see `proffer volumes ls`",
    ),
    (
        "drain that is not under way",
        Line(&["drain", "cancel", "agent-1"]),
        "agent_id: agent A",
        "to begin one: `proffer drain A",
    ),
    (
        "window of an unknown agent",
        Line(&["maintenance", "add", "nobody", "--start", "now", "--duration", "1h"]),
        "no agent \"nobody\"",
        "`proffer agents`",
    ),
    (
        "window that is too long",
        Line(&["maintenance", "add", "agent-1", "--start", "2h", "--duration", "9000h"]),
        "duration",
        "at most 366 days",
    ),
    ("end of no quota", Line(&["quota", "remove", "nobody"]), "role: nobody has no quota", "`proffer quota list`"),
    ("policy of nothing", Line(&["roles", "set", "eng"]), "placement", "--placement"),
    (
        "window at no time",
        Line(&["maintenance", "add", "agent-1", "--start", "yesterday", "--duration", "1h"]),
        "'--start <WHEN>'",
        "a time from now as 2h",
    ),
    ("unknown window", Line(&["maintenance", "remove", "w9"]), "no window w9", "`proffer maintenance"),
    (
        "snapshot of a directory that is not there",
        Line(&["snapshot", "save", "{dir}/x.snapshot", "--data-dir", "{dir}/nowhere"]),
        "/nowhere holds no registry",
        "name the data directory of a master with --data-dir",
    ),
    (
        "move of a directory that is not there",
        Line(&["snapshot", "move", "--data-dir", "{dir}/nowhere", "--etcd", "127.0.0.1:1"]),
        "/nowhere/master.redb is not there",
        "name the data directory of a master with --data-dir",
    ),
    (
        "agent timeout below the heartbeat",
        Line(&["master", "--data-dir", "{dir}/nowhere", "--agent-timeout", "3s"]),
        "agent_timeout_ms (--agent-timeout) is 3000; the master hears of an agent every 5000 ms",
        "5001 at least",
    ),
    (
        "window at the same time",
        Line(&["maintenance", "add", "agent-1", "--start", "50h", "--duration", "1h"]),
        "A1-1 is in window M1-1 at that time",
        "choose another time",
    ),
    ("weight that is no number", Line(&["weights", "set", "web=NaN"]), "weight of web", "give 0.001 to 1000000"),
    (
        "unknown kind",
        Line(&["quota", "set", "eng", "--limit", "cpu=1"]),
        "'--limit <RESOURCES>'",
        "did you mean \"cpus\"?",
    ),
    ("drain of nobody", Line(&["drain", "nobody"]), "no agent \"nobody\"", "`proffer agents`"),
    ("why of nobody", Line(&["why", "wbe"]), "\"wbe\"", "`proffer ps`"),
    ("cut message of the service framework", Grpc(APPLY, CUT_MESSAGE), "Services/Apply", "send it whole"),
    ("cut message of the master", Grpc(TEARDOWN, CUT_MESSAGE), "TeardownFrameworkRequest", "send it whole"),
    ("cut message of a framework", Grpc(SESSION, CUT_MESSAGE), "Call.call", "send messages of this API"),
    ("cut message of an agent", Grpc(ATTACH, CUT_MESSAGE), "AgentMessage.message", "send messages of this API"),
    ("cut frame", Grpc(LIST, CUT_FRAME), "Operator/ListTasks", "send it whole"),
    ("no frame", Grpc(LIST, b"GARBAGE"), "Operator/ListTasks", "send it whole"),
    ("no HTTP", Bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), "HTTP/1.1 400", "Bad Request"),
    // Nobody is left to be told.
    ("HTTP/2 that is cut short", Bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x04\x01\x05"), "", ""),
    ("unknown framework id", Subscribe("F9-9"), "framework F9-9 is not known in cluster", "subscribe without an id"),
    ("framework id of no kind", Subscribe("no such"), "framework.framework_id", "only a-z A-Z 0-9 . _ - are allowed"),
    ("removal of an unknown framework", Teardown("F9-9"), "F9-9", "see `proffer frameworks`"),
];

const STACK: &str = "version: 1\nservices:\n  web:\n    image: hello:latest\n    instances: 2\n    \
                     command: [\"/bin/sleep\", \"3600\"]\n    stop_grace: 1s\n    \
                     resources: {cpus: 0.1, memory: 16MiB}\n";
const GHOST: &str = "version: 1\njobs:\n  ghost:\n    image: ghost:1\n    pull: never\n";

#[test]
fn bad_input_is_told_with_place_and_fix_and_harms_nothing() {
    let cluster = Cluster::start();
    cluster.ok(&["apply", "-f", &cluster.file("stack.yaml", STACK)]);
    cluster.ok(&["maintenance", "add", "agent-1", "--start", "49h", "--duration", "2h"]);
    let (instances, before) = (running(&cluster, "web", 2), seen(&cluster));
    let parts = ["master", "agent-1", "service", "batch"];
    let pids = parts.map(|part| cluster.pid(part));

    let mut wrong = Vec::new();
    for (name, input, place, fix) in TABLE {
        let told = put_in(&cluster, input);
        for (what, wanted) in [("place", place), ("fix", fix)] {
            let wanted = with_files(&cluster, wanted);
            if !told.contains(&wanted) {
                wrong.push(format!("{name}: the {what} {wanted:?} is not in: {told}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!cluster.scratch().join("nowhere").exists(), "what is refused makes nothing");

    assert_eq!(running(&cluster, "web", 2), instances, "nothing is lost");
    assert_eq!(seen(&cluster), before, "nothing has changed");
    assert_eq!(parts.map(|part| cluster.pid(part)), pids, "nothing crashed");
    cluster.ok(&["scale", "web", "3"]);
}

/// Services, agents, frameworks and living tasks; what comes and goes with offers left out.
fn seen(cluster: &Cluster) -> Vec<String> {
    let tasks = cluster.json(&["tasks"]).to_string();
    let names = |list: &str, keys: [&str; 3]| {
        let list = cluster.json(&[list]);
        let row = |row: &serde_json::Value| format!("{:?}", keys.map(|key| row[key].to_string()));
        list.as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let agents = names("agents", ["agent_id", "state", "tasks_active"]);
    let frameworks = names("frameworks", ["framework_id", "connected", "tasks_active"]);
    [vec![cluster.json(&["ps"]).to_string(), tasks], agents, frameworks].concat()
}

/// Gives the input to the cluster and returns all that was said.
fn put_in(cluster: &Cluster, input: &Input) -> String {
    let apply = |text: &str| refused(cluster, &["apply", "-f", &cluster.file("bad.yaml", text)]);
    match input {
        Service(line) => apply(&format!("version: 1\nservices:\n  web:\n    image: hello:latest\n    {line}\n")),
        File(text) => apply(text),
        Line(words) => {
            let words: Vec<String> = words.iter().map(|word| with_files(cluster, word)).collect();
            refused(cluster, &words.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Grpc(call, body) => raw::call(cluster, call, body),
        Bytes(bytes) => raw::send(&cluster.master(), bytes),
        Subscribe(id) => raw::subscribe(&cluster.master(), id),
        Teardown(id) => raw::teardown(&cluster.master(), id),
    }
}

fn refused(cluster: &Cluster, words: &[&str]) -> String {
    let output = cluster.proffer(words);
    if output.status.success() {
        return format!("IT WAS ACCEPTED: {output:?}");
    }
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    format!("{} {}", output.told(), output.stdout)
}

/// Puts the names of prepared files into a text.
fn with_files(cluster: &Cluster, text: &str) -> String {
    let mut text = text.replace("{dir}", &cluster.scratch().to_string_lossy());
    if text.contains("{ghost}") {
        text = text.replace("{ghost}", &cluster.file("ghost.yaml", GHOST));
    }
    if text.contains("{binary}") {
        let path = cluster.scratch().join("binary.yaml");
        std::fs::write(&path, [0xff, 0xfe, 0x00, 0x80]).unwrap();
        text = text.replace("{binary}", &path.to_string_lossy());
    }
    if text.contains("{torn}") {
        let whole = std::fs::read(cluster.data_dir().join("hello.tar")).unwrap();
        let path = cluster.scratch().join("torn.tar");
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        text = text.replace("{torn}", &path.to_string_lossy());
    }
    text
}
