//! How a master that does not lead says who does, and how clients hear it.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::Address;

/// The header, of gRPC answers and of HTTP ones, that names the leading master.
pub const LEADER_HEADER: &str = "proffer-leader";

/// What a master that does not lead answers to every call.
pub fn not_leading(leader: Option<&Address>) -> Status {
    let Some(leader) = leader else {
        return Status::unavailable("this master does not lead and knows none that does yet; try again in a moment");
    };
    let mut status = Status::unavailable(format!("this master does not lead; the leader is {leader}"));
    // An address holds only what a header may hold.
    if let Ok(value) = MetadataValue::try_from(leader.to_string()) {
        status.metadata_mut().insert(LEADER_HEADER, value);
    }
    status
}

/// The leader that a failed call named; `None` when it failed for another reason.
pub fn leader_of(status: &Status) -> Option<Address> {
    if status.code() != Code::Unavailable {
        return None;
    }
    status.metadata().get(LEADER_HEADER)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_is_told_and_heard() {
        for text in ["10.0.0.1:5050", "[fe80::1]:5050", "master-2.example:80"] {
            let leader: Address = text.parse().unwrap();
            let status = not_leading(Some(&leader));
            assert!(status.message().contains(text));
            assert_eq!(leader_of(&status), Some(leader));
        }
        assert_eq!(leader_of(&not_leading(None)), None);
    }

    #[test]
    fn what_is_no_address_leads_nowhere() {
        for text in ["", "nowhere", "a b:1", "https://x:1"] {
            let mut status = not_leading(None);
            status.metadata_mut().insert(LEADER_HEADER, MetadataValue::try_from(text).unwrap());
            assert_eq!(leader_of(&status), None, "{text:?}");
        }
        let mut status = Status::internal("broken");
        status.metadata_mut().insert(LEADER_HEADER, MetadataValue::from_static("a:1"));
        assert_eq!(leader_of(&status), None);
    }
}
