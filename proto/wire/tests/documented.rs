//! The schema is what authors of frameworks in other languages read: everything in it says what it is.

use prost::Message;
use prost_types::source_code_info::Location;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// Numbers of the parts of a descriptor, see descriptor.proto.
const MESSAGES: i32 = 4;
const ENUMS: i32 = 5;
const SERVICES: i32 = 6;
const MEMBERS: i32 = 2;
const NESTED_MESSAGES: i32 = 3;
const NESTED_ENUMS: i32 = 4;

/// Whether a path names a message, field, enum, value, service or method.
fn is_named_thing(path: &[i32]) -> bool {
    match path {
        [MESSAGES | ENUMS | SERVICES, _] | [MESSAGES | ENUMS | SERVICES, _, MEMBERS, _] => true,
        [MESSAGES, _, NESTED_MESSAGES, rest @ ..] => is_named_thing(&[&[MESSAGES], rest].concat()),
        [MESSAGES, _, NESTED_ENUMS, rest @ ..] => is_named_thing(&[&[ENUMS], rest].concat()),
        _ => false,
    }
}

fn undocumented(file: &FileDescriptorProto) -> Vec<String> {
    let locations = file.source_code_info.as_ref().expect("descriptors keep the comments").location.iter();
    let is_silent = |l: &&Location| l.leading_comments().trim().is_empty() && l.trailing_comments().trim().is_empty();
    let named = locations.filter(|location| is_named_thing(&location.path));
    named.filter(is_silent).map(|l| format!("{}:{}", file.name(), l.span[0] + 1)).collect()
}

#[test]
fn everything_in_the_schema_is_documented() {
    let set = FileDescriptorSet::decode(proffer_proto_wire::DESCRIPTORS).expect("made by the build script");
    let ours = || set.file.iter().filter(|file| file.package().starts_with("proffer."));
    let named: usize = ours()
        .flat_map(|file| file.source_code_info.as_ref().map(|info| &info.location))
        .map(|locations| locations.iter().filter(|l| is_named_thing(&l.path)).count())
        .sum();
    assert!(named > 500, "only {named} things found: the test looks at the wrong place");
    assert_eq!(ours().flat_map(undocumented).collect::<Vec<_>>(), Vec::<String>::new());
}
