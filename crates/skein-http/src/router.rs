//! The table of routes: path, method, who may use it, and what answers it.
//!
//! `openapi.json` describes the same routes; a test holds the two together.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post, put},
};

use skein_door::UpgradeRoute;

use crate::{
    clients, cluster,
    door::Shared,
    guard::{self, Guard, Need},
    health, metrics,
    problem::{Kind, Problem},
    queue, retained, rules, status,
    upgrade::{self, Upgrade},
    users,
};

const OPENAPI: &str = include_str!("openapi.json");

/// One route.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the handler holds it too; tests compare it with openapi.json")
    )]
    pub(crate) method: Method,
    pub(crate) need: Need,
    handler: fn() -> MethodRouter<Arc<Shared>>,
}

const fn route(
    method: Method,
    path: &'static str,
    need: Need,
    handler: fn() -> MethodRouter<Arc<Shared>>,
) -> Route {
    Route { path, method, need, handler }
}

/// Every route of the door.
pub(crate) const ROUTES: &[Route] = &[
    route(Method::GET, "/healthz", Need::Nothing, || get(health::healthz)),
    route(Method::GET, "/readyz", Need::Nothing, || get(health::readyz)),
    route(Method::GET, "/metrics", Need::Monitor, || get(metrics::metrics)),
    route(Method::GET, "/api/v1/openapi.json", Need::Monitor, || get(openapi)),
    route(Method::GET, "/api/v1/status", Need::Monitor, || get(status::status)),
    route(Method::GET, "/api/v1/mqtt/clients", Need::Admin, || get(clients::list)),
    route(Method::GET, "/api/v1/mqtt/clients/{id}", Need::Admin, || get(clients::one)),
    route(Method::POST, "/api/v1/mqtt/clients/{id}/disconnect", Need::Admin, || post(clients::disconnect)),
    route(Method::GET, "/api/v1/cluster/nodes", Need::Monitor, || get(cluster::nodes)),
    route(Method::POST, "/api/v1/cluster/drain", Need::Admin, || post(cluster::drain)),
    route(Method::DELETE, "/api/v1/sessions/{id}", Need::Admin, || delete(clients::end)),
    route(Method::GET, "/api/v1/sessions/{id}/queue", Need::Admin, || get(queue::list)),
    route(Method::GET, "/api/v1/retained", Need::Admin, || get(retained::list)),
    route(Method::DELETE, "/api/v1/retained/{topic}", Need::Admin, || delete(retained::remove)),
    route(Method::GET, "/api/v1/users", Need::Admin, || get(users::list)),
    route(Method::POST, "/api/v1/users", Need::Admin, || post(users::add)),
    route(Method::GET, "/api/v1/users/{name}", Need::Admin, || get(users::one)),
    route(Method::PUT, "/api/v1/users/{name}", Need::Admin, || put(users::change)),
    route(Method::DELETE, "/api/v1/users/{name}", Need::Admin, || delete(users::remove)),
    route(Method::GET, "/api/v1/rules", Need::Admin, || get(rules::list)),
    route(Method::POST, "/api/v1/rules", Need::Admin, || post(rules::add)),
    route(Method::PUT, "/api/v1/rules/{position}", Need::Admin, || put(rules::change)),
    route(Method::DELETE, "/api/v1/rules/{position}", Need::Admin, || delete(rules::remove)),
];

/// The router of the table, with the paths of other doors.
pub(crate) fn router(shared: &Arc<Shared>, upgrades: &[UpgradeRoute]) -> Router {
    let mut router = Router::new();
    for route in upgrades {
        let state = Upgrade { route: route.clone(), readiness: shared.readiness.clone() };
        router = router.route(route.path, get(upgrade::upgrade).with_state(state));
    }
    for route in ROUTES {
        let guard = Guard { shared: shared.clone(), need: route.need };
        let handler = (route.handler)().route_layer(middleware::from_fn_with_state(guard, guard::guard));
        router = router.route(route.path, handler);
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn(label))
        .with_state(shared.clone())
}

/// Answers are about this moment and for whoever asked: nobody keeps them, and nobody takes them for something else.
async fn label(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("there is nothing at {}", uri.path()),
        "/api/v1/openapi.json lists what there is",
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!("{method} is not possible at {}", uri.path()),
        "the header allow lists the methods that are",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn described() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[test]
    fn the_description_has_each_route_and_no_other() {
        let table: BTreeSet<(String, String)> = ROUTES
            .iter()
            .map(|route| (route.path.to_owned(), route.method.as_str().to_ascii_lowercase()))
            .collect();
        let description: BTreeSet<(String, String)> = described()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(table, description);
    }

    #[test]
    fn the_description_says_who_may_use_a_route() {
        for route in ROUTES {
            let operation = &described()["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            let open = operation["security"].as_array().is_some_and(Vec::is_empty);
            assert_eq!(open, route.need == Need::Nothing, "{}", route.path);
            assert_eq!(operation["responses"]["401"].is_object(), !open, "{}", route.path);
            let monitor = operation["description"].as_str().is_some_and(|text| text.contains("monitor"));
            assert_eq!(monitor, route.need == Need::Monitor, "{}", route.path);
        }
    }

    #[test]
    fn the_description_has_each_error_code() {
        let described = described();
        let codes: BTreeSet<&str> =
            described["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
                .as_array()
                .unwrap()
                .iter()
                .map(|code| code.as_str().unwrap())
                .collect();
        // This one is written before a request is read.
        let table: BTreeSet<&str> =
            Kind::ALL.iter().map(|kind| kind.code()).chain(["too_many_connections"]).collect();
        assert_eq!(codes, table);
    }
}
