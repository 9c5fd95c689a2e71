//! The table of `/v1/`: one line for each method of the gRPC operator API, and nothing else.
//!
//! The router, the reading of requests and `/v1/openapi.json` are made from it and from the schema. A method without
//! a line fails a test.

use axum::routing::MethodFilter;

/// One path with one HTTP method. Fields of the request come from the path, then from the query of a GET, otherwise
/// from a JSON object in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// What asks.
    pub(super) verb: Verb,
    /// `{name}` is a field of the request.
    pub(super) path: &'static str,
    /// The gRPC method that answers.
    pub(super) method: &'static str,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    /// Reads.
    Get,
    /// Does something.
    Post,
}

/// Every method of the operator API.
pub(super) const ROUTES: &[Route] = &[
    get("/v1/cluster", "GetCluster"),
    get("/v1/agents", "ListAgents"),
    post("/v1/agents/{agent_id}/drain", "DrainAgent"),
    post("/v1/agents/{agent_id}/cancel-drain", "CancelDrain"),
    post("/v1/agents/{agent_id}/deactivate", "DeactivateAgent"),
    post("/v1/agents/{agent_id}/reactivate", "ReactivateAgent"),
    post("/v1/agents/{agent_id}/gone", "MarkAgentGone"),
    post("/v1/agents/{agent_id}/reserve", "Reserve"),
    post("/v1/agents/{agent_id}/unreserve", "Unreserve"),
    post("/v1/agents/{agent_id}/volumes", "CreateVolume"),
    post("/v1/agents/{agent_id}/volumes/{volume_id}/destroy", "DestroyVolume"),
    get("/v1/maintenance", "ListMaintenance"),
    post("/v1/maintenance", "ScheduleMaintenance"),
    get("/v1/inverse-offers", "ListInverseOffers"),
    post("/v1/maintenance/{window_id}/remove", "RemoveMaintenance"),
    get("/v1/frameworks", "ListFrameworks"),
    post("/v1/frameworks/{framework_id}/teardown", "TeardownFramework"),
    get("/v1/offers", "ListOffers"),
    get("/v1/tasks", "ListTasks"),
    get("/v1/roles", "ListRoles"),
    post("/v1/roles/{role}/quota", "SetQuota"),
    post("/v1/roles/{role}/remove-quota", "RemoveQuota"),
    post("/v1/roles/{role}/policy", "SetRolePolicy"),
    post("/v1/weights", "SetWeights"),
    get("/v1/why/{name}", "Why"),
    get("/v1/events", "Watch"),
];

const fn get(path: &'static str, method: &'static str) -> Route {
    Route { verb: Verb::Get, path, method }
}

const fn post(path: &'static str, method: &'static str) -> Route {
    Route { verb: Verb::Post, path, method }
}

impl Route {
    /// The fields of the request that the path holds.
    pub(super) fn path_fields(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

impl Verb {
    /// As the router wants it. A HEAD is answered as the GET without its body.
    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET.or(MethodFilter::HEAD),
            Self::Post => MethodFilter::POST,
        }
    }

    /// As OpenAPI writes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::schema::Schema;
    use super::*;

    #[test]
    fn every_method_of_the_operator_api_has_exactly_one_route() {
        let schema = Schema::new().unwrap();
        let methods: Vec<String> = schema.service().methods().map(|method| method.name().to_owned()).collect();
        let mut routed: Vec<&str> = ROUTES.iter().map(|route| route.method).collect();
        for method in &methods {
            let count = routed.iter().filter(|name| *name == method).count();
            assert_eq!(count, 1, "add one line for the gRPC method {method} to ROUTES");
        }
        routed.retain(|name| !methods.iter().any(|method| method == name));
        assert!(routed.is_empty(), "the operator API has no such methods: {routed:?}");
    }

    #[test]
    fn paths_name_fields_of_their_requests_and_differ() {
        let schema = Schema::new().unwrap();
        let mut seen = BTreeSet::new();
        for route in ROUTES {
            assert!(route.path.starts_with("/v1/"), "{}", route.path);
            assert!(seen.insert((route.path, route.verb)), "{} is there twice", route.path);
            let input = schema.method(route).unwrap().input();
            for field in route.path_fields() {
                assert!(input.get_field_by_name(field).is_some(), "{} has no field {field}", input.full_name());
            }
        }
    }
}
