//! The operator API as its schema describes it, comments included.

use proffer_proto_wire::DESCRIPTORS;
use prost_reflect::{DescriptorPool, FileDescriptor, MethodDescriptor, ServiceDescriptor};

use super::routes::Route;

const SERVICE: &str = "proffer.operator.v1.Operator";

/// The schema of all APIs, of which the operator API is served here. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    service: ServiceDescriptor,
}

impl Schema {
    /// Reads the schema that is built in.
    pub(super) fn new() -> Result<Self, String> {
        let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|e| format!("the API's description is wrong: {e}"))?;
        let service = pool.get_service_by_name(SERVICE);
        Ok(Self { service: service.ok_or_else(|| format!("the API's description has no {SERVICE}"))? })
    }

    /// The operator API.
    #[cfg(test)]
    pub(super) fn service(&self) -> &ServiceDescriptor {
        &self.service
    }

    /// The gRPC method of a route.
    pub(super) fn method(&self, route: &Route) -> Result<MethodDescriptor, String> {
        let method = self.service.methods().find(|method| method.name() == route.method);
        method.ok_or_else(|| format!("{} is routed to {}, which the API does not have", route.path, route.method))
    }
}

/// The comment before a definition, on one line; `path` is where the definition is in its file.
pub(super) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let place = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let lines = place.map(|place| place.leading_comments().trim()).unwrap_or_default();
    lines.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
