//! The walls between layers, read from `cargo metadata`: a dependency that runs the wrong way fails here.

#![allow(clippy::expect_used)] // A test that cannot set itself up must stop.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Normal dependencies of every package in the resolved graph.
struct Graph {
    names: BTreeMap<PackageId, String>,
    edges: BTreeMap<PackageId, Vec<PackageId>>,
    ours: BTreeMap<String, PackageId>,
}

impl Graph {
    fn load() -> Self {
        let metadata: Metadata = MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .other_options(vec![
                "--locked".to_owned(),
                "--filter-platform".to_owned(),
                "x86_64-unknown-linux-gnu".to_owned(),
            ])
            .exec()
            .expect("cargo metadata works in this workspace");
        let members: BTreeSet<PackageId> = metadata.workspace_members.iter().cloned().collect();
        let names: BTreeMap<_, _> = metadata.packages.iter().map(|p| (p.id.clone(), p.name.to_string())).collect();
        let ours = members.iter().map(|id| (names[id].clone(), id.clone())).collect();
        let resolve = metadata.resolve.expect("metadata holds the resolved graph");
        let edges = resolve
            .nodes
            .into_iter()
            .map(|node| {
                let normal = node.deps.into_iter().filter(|d| {
                    d.dep_kinds.iter().any(|k| matches!(k.kind, DependencyKind::Normal | DependencyKind::Build))
                });
                (node.id, normal.map(|d| d.pkg).collect())
            })
            .collect();
        Self { names, edges, ours }
    }

    /// Names of our own packages that `package` names as dependencies.
    fn direct(&self, package: &str) -> BTreeSet<String> {
        let id = self.ours.get(package).unwrap_or_else(|| panic!("{package} is not in the workspace"));
        let names = self.edges[id].iter().map(|dep| self.names[dep].clone());
        names.filter(|name| self.ours.contains_key(name)).collect()
    }
}

/// Who may name whom. A package that is not listed here fails the test: decide where it belongs.
const ALLOWED: &[(&str, &[&str])] = &[
    ("proffer-proto-wire", &[]),
    ("proffer-proto-model", &["proffer-proto-wire"]),
    ("proffer-proto-transport", &["proffer-proto-model", "proffer-proto-wire"]),
    ("proffer-master-allocator", &["proffer-proto-model"]),
    ("proffer-master-engine", &["proffer-master-allocator", "proffer-proto-model"]),
    (
        "proffer-master-server",
        &["proffer-master-engine", "proffer-proto-model", "proffer-proto-transport", "proffer-proto-wire"],
    ),
    ("proffer-agent-engine", &["proffer-proto-model"]),
    ("proffer-agent-runtime", &["proffer-proto-model"]),
    ("proffer-agent-network", &["proffer-proto-model"]),
    (
        "proffer-agent-server",
        &[
            "proffer-agent-engine",
            "proffer-agent-network",
            "proffer-agent-runtime",
            "proffer-proto-model",
            "proffer-proto-transport",
            "proffer-proto-wire",
        ],
    ),
    ("proffer-sdk", &["proffer-proto-model", "proffer-proto-transport", "proffer-proto-wire"]),
    ("proffer-testkit", &["proffer-proto-model", "proffer-proto-transport", "proffer-proto-wire", "proffer-sdk"]),
    ("proffer-service", &["proffer-proto-model", "proffer-proto-transport", "proffer-proto-wire", "proffer-sdk"]),
    ("proffer-batch", &["proffer-proto-model", "proffer-proto-transport", "proffer-proto-wire", "proffer-sdk"]),
    ("proffer-example-hello", &["proffer-sdk"]),
];

/// Packages that see everything.
const SEE_EVERYTHING: &[&str] = &[
    "proffer",
    "proffer-integration-sim",
    "proffer-integration-harness",
    "proffer-integration-tests",
    "proffer-integration-bench",
];

#[test]
fn dependencies_run_only_in_the_allowed_direction() {
    let graph = Graph::load();
    let allowed: BTreeMap<_, BTreeSet<String>> =
        ALLOWED.iter().map(|(name, deps)| (*name, deps.iter().map(|d| (*d).to_owned()).collect())).collect();
    let mut wrong = Vec::new();
    for name in graph.ours.keys() {
        if SEE_EVERYTHING.contains(&name.as_str()) {
            continue;
        }
        let Some(may) = allowed.get(name.as_str()) else {
            wrong.push(format!("{name} has no place in the table of this test: decide what it may depend on"));
            continue;
        };
        for dep in graph.direct(name).difference(may) {
            wrong.push(format!("{name} must not depend on {dep}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Each pure crate, built alone: features other crates switch on do not count.
#[test]
fn engines_never_reach_tokio_tonic_or_prost() {
    const PURE: [&str; 4] =
        ["proffer-proto-model", "proffer-master-allocator", "proffer-master-engine", "proffer-agent-engine"];
    const NEVER: [&str; 8] = ["tokio", "tonic", "prost", "rand", "getrandom", "axum", "chrono", "jiff"];
    for package in PURE {
        let output = std::process::Command::new(env!("CARGO"))
            .args(["tree", "--locked", "-e", "normal", "--prefix", "none", "-p", package])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .output()
            .expect("cargo tree runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(tree.contains(package), "cargo tree printed something else: {tree}");
        for line in tree.lines() {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(!NEVER.contains(&name), "{package} reaches {name}");
        }
    }
}
