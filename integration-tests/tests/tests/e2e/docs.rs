//! The documents tell the truth: every `proffer` command they show is one that the program takes, the files they
//! name exist, and the code of the example framework is the code in the repository.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use proffer_integration_harness::binary;

/// Documents whose commands people copy.
const DOCUMENTS: [&str; 4] = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs"];

/// Words after which a shell reads something else than the command.
const ENDS: [&str; 6] = ["#", "|", "&", "&&", ">", "2>"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn documents() -> Vec<(PathBuf, String)> {
    let files = DOCUMENTS.iter().flat_map(|name| {
        let path = root().join(name);
        match path.is_dir() {
            true => std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect(),
            false => vec![path],
        }
    });
    let text = |path: PathBuf| {
        path.extension().is_some_and(|e| e == "md").then(|| std::fs::read_to_string(&path).map(|text| (path, text)))
    };
    files.filter_map(text).map(|read| read.expect("a document can be read")).collect()
}

/// Commands in code: lines of blocks that begin with a prompt or `proffer`, and `proffer …` in backticks.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut is_block = false;
    // A backslash at the end goes on with the next line.
    let text = text.replace("\\\n", " ");
    for line in text.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
            continue;
        }
        if is_block {
            let line = line.trim_start();
            let line = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")).unwrap_or(line);
            let line = line.strip_prefix("try ").unwrap_or(line).trim_start();
            found.extend(line.strip_prefix("proffer ").map(str::to_owned));
        } else {
            let code = line.split('`').skip(1).step_by(2);
            found.extend(code.filter_map(|code| code.strip_prefix("proffer ")).map(str::to_owned));
        }
    }
    // `proffer dev: master ended` is what the program says, not what people type.
    found.retain(|line| line.split_whitespace().next().is_some_and(|word| !word.ends_with(':')));
    found.iter().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// With `--help` at the end the command line is read up to there and nothing is done.
#[test]
fn every_command_in_the_documents_is_one() {
    let mut seen = 0;
    for (path, text) in documents() {
        for words in commands(&text) {
            let words: Vec<String> =
                words.iter().map(|word| placeholder(word)).take_while(|word| !ENDS.contains(&word.as_str())).collect();
            let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
            let mut line = words.clone();
            line.insert(end, "--help".to_owned());
            let output = Command::new(binary("proffer", "proffer")).args(&line).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: proffer {}: {told}", path.display(), words.join(" "));
            let help = String::from_utf8_lossy(&output.stdout);
            let command = words.iter().find(|word| !word.starts_with('-')).expect("a command");
            assert!(help.contains(command.as_str()), "{}: {command} is none of proffer's: {help}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} commands were found: are they still written the same way?");
}

fn placeholder(word: &str) -> String {
    word.trim_matches(['…', '[', ']']).to_owned()
}

#[test]
fn every_page_that_a_document_links_or_file_that_a_command_names_exists() {
    for (path, text) in documents() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let local = links.filter(|link| !link.starts_with("http") && !link.starts_with('#'));
        for link in local {
            let file = path.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(file.exists(), "{}: {link} does not exist", path.display());
        }
        for words in commands(&text) {
            for file in words.iter().filter(|word| word.starts_with("examples/")) {
                assert!(root().join(file).is_file(), "{}: {file} does not exist", path.display());
            }
        }
    }
}

#[test]
fn the_readme_shows_the_example_framework_as_it_is() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let source = std::fs::read_to_string(root().join("frameworks/examples/hello/src/main.rs")).unwrap();
    let shown = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of Rust");
    assert_eq!(shown.trim(), source.trim());
}
