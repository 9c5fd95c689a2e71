//! Amounts of resources: exact integers in newtypes, checked arithmetic, one strict text grammar.

mod parse;
mod ports;
mod quantity;
mod set;

pub use parse::{ParseError, format_bytes, format_milli, parse_bytes, parse_cpus, parse_duration_ms, parse_ports};
pub use ports::{PortError, PortRange, PortSet};
pub use quantity::{Bytes, MilliCpus};
pub use set::{Resources, Shortage};
