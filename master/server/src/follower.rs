//! What a master serves while another one leads: the way to the leader, and that it is alive. It reads and changes nothing.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proffer_proto_transport::{Address, LEADER_HEADER, not_leading};
use proffer_proto_wire::operator::operator_server::OperatorServer;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::api::operator::OperatorApi;
use crate::election::Standing;

/// Where this master stands, as the election tells it.
type Standings = watch::Receiver<Standing>;

/// Every call is told who leads; a health check is told that this one does not serve.
pub(crate) async fn grpc(standings: Standings) -> Routes {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_not_serving::<OperatorServer<OperatorApi>>().await;
    let calls = Router::new().fallback(refuse).with_state(standings);
    let mut routes = Routes::builder();
    routes.add_service(health_service);
    Routes::from(routes.routes().into_axum_router().reset_fallback().merge(calls))
}

/// Every page and every path of the JSON API leads to the same one of the leader.
pub(crate) fn http(standings: Standings) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .fallback(redirect)
        .with_state(standings)
}

async fn refuse(State(standings): State<Standings>) -> Response {
    not_leading(leader(&standings).as_ref()).into_http::<Body>()
}

async fn redirect(State(standings): State<Standings>, uri: Uri) -> Response {
    let Some(leader) = leader(&standings) else {
        let told = "no master leads yet; this one tries to reach etcd and the others, so try again in a moment\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store")], told).into_response();
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let (Ok(to), Ok(name)) =
        (HeaderValue::try_from(format!("{}{path}", leader.uri())), HeaderValue::try_from(leader.to_string()))
    else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // Kept by no browser: another one leads tomorrow. The method stays as it is.
    let headers = [(LOCATION, to), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let told = format!("this master does not lead; the leader is {leader}\n");
    let mut answer = (StatusCode::TEMPORARY_REDIRECT, headers, told).into_response();
    answer.headers_mut().insert(LEADER_HEADER, name);
    answer
}

/// The one thing that can be measured of it; everything else is the leader's to tell.
async fn metrics() -> Response {
    let text = "# HELP proffer_master_leads 1 when this master leads, 0 when it follows.\n\
                # TYPE proffer_master_leads gauge\nproffer_master_leads 0\n# EOF\n";
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

fn leader(standings: &Standings) -> Option<Address> {
    match &*standings.borrow() {
        Standing::Follows(leader) => leader.clone(),
        // It is about to begin.
        Standing::Leads(_) => None,
    }
}
