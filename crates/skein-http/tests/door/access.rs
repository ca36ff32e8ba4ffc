//! Who may use which route.

use skein_access::{Access, AccessList, Anonymous, Credentials, NewUser, new_user_block};
use skein_http::{HttpSettings, ROLE_ADMIN, ROLE_MONITOR};

use crate::{
    client::{Client, get, request},
    fixture::Fixture,
};

const GUARDED: [(&str, &str); 9] = [
    ("GET", "/metrics"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/mqtt/clients"),
    ("GET", "/api/v1/mqtt/clients/ann"),
    ("POST", "/api/v1/mqtt/clients/ann/disconnect"),
    ("GET", "/api/v1/sessions/ann/queue"),
    ("GET", "/api/v1/retained"),
    ("GET", "/api/v1/users"),
];

// Base64 of name:password.
const ROOT: &str = "Basic cm9vdDpyaWdodA==";
const WATCH: &str = "Basic d2F0Y2g6cmlnaHQ=";
const PLAIN: &str = "Basic cGxhaW46cmlnaHQ=";
const ROOT_WRONG: &str = "Basic cm9vdDp3cm9uZw==";
const GHOST: &str = "Basic Z2hvc3Q6cmlnaHQ=";

fn with_users(anonymous: Anonymous) -> Fixture {
    let user = |name: &str, roles: &[&str]| {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        let credentials = Credentials::Hash;
        new_user_block(NewUser { name, password: "right", roles: &roles, credentials }).unwrap()
    };
    let text = [
        user("root", &["other", ROLE_ADMIN]),
        user("watch", &[ROLE_MONITOR]),
        user("plain", &["admins", "Admin"]),
    ]
    .concat();
    let node = Fixture::start(
        Access::new(AccessList::parse(&text).unwrap(), anonymous),
        HttpSettings { host_names: vec!["skein.example".to_owned()], ..HttpSettings::default() },
    );
    node.connect("ann", None, 60);
    node
}

#[test]
fn open_routes_ask_nobody() {
    let node = with_users(Anonymous::Never);
    assert_eq!(get(node.address, "/healthz").status, 200);
    assert_eq!(get(node.address, "/readyz").status, 503);
    for headers in [[("authorization", ROOT_WRONG)], [("host", "evil.example")]] {
        assert_eq!(request(node.address, "GET", "/healthz", &headers).status, 200);
    }
}

#[test]
fn users_and_their_roles() {
    let node = with_users(Anonymous::Never);
    for (method, path) in GUARDED {
        let status = |authorization: &str| {
            request(node.address, method, path, &[("authorization", authorization)]).status
        };
        assert_eq!(status(ROOT), 200, "{method} {path}");
        assert_eq!(status(WATCH), if path == "/metrics" { 200 } else { 403 }, "{method} {path}");
        assert_eq!(status(PLAIN), 403, "{method} {path}");
        for bad in [ROOT_WRONG, GHOST, "Basic cm9vdA==", "Basic !", "Bearer x", ""] {
            assert_eq!(status(bad), 401, "{method} {path} {bad}");
        }
        let answer = get(node.address, path);
        let expected = if method == "GET" { 401 } else { 405 };
        assert_eq!(answer.status, expected, "{path}");
    }
    let answer = request(node.address, "GET", "/metrics", &[("authorization", PLAIN)]);
    assert_eq!(answer.problem(), "role_missing");
}

#[test]
fn refusals_ask_for_basic_and_tell_nothing_of_the_user() {
    let node = with_users(Anonymous::Never);
    let answers = [ROOT_WRONG, GHOST]
        .map(|given| request(node.address, "GET", "/metrics", &[("authorization", given)]));
    for answer in &answers {
        assert_eq!((answer.status, &*answer.problem()), (401, "unauthenticated"));
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"skein\", charset=\"UTF-8\""));
    }
    assert_eq!(answers[0].body, answers[1].body);
    let twice = [("authorization", ROOT), ("authorization", ROOT)];
    assert_eq!(request(node.address, "GET", "/metrics", &twice).status, 401);
}

#[test]
fn wrong_passwords_are_refused_also_where_none_is_needed() {
    let node = with_users(Anonymous::Loopback);
    assert_eq!(get(node.address, "/api/v1/status").status, 200);
    let status = |authorization: &str| {
        request(node.address, "GET", "/api/v1/status", &[("authorization", authorization)]).status
    };
    assert_eq!((status(ROOT), status(ROOT_WRONG), status(WATCH)), (200, 401, 403));
}

#[test]
fn a_user_who_was_removed_is_out_at_once() {
    let node = with_users(Anonymous::Never);
    let status = || request(node.address, "GET", "/api/v1/status", &[("authorization", ROOT)]).status;
    assert_eq!(status(), 200);
    node.plane.access().reload("").unwrap();
    assert_eq!(status(), 401);
}

#[test]
fn requests_without_a_user_need_a_name_of_this_server() {
    let node = with_users(Anonymous::Loopback);
    for (method, path) in GUARDED {
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.nip.io"] {
            let answer = request(node.address, method, path, &[("host", host)]);
            assert_eq!((answer.status, &*answer.problem()), (403, "host_not_allowed"), "{path} {host}");
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]:8080", "skein.example:443"] {
            assert_eq!(request(node.address, method, path, &[("host", host)]).status, 200, "{path} {host}");
        }
    }
    let as_user = [("host", "other.example"), ("authorization", ROOT)];
    assert_eq!(request(node.address, "GET", "/metrics", &as_user).status, 200);
    // The target of the request goes before the header (RFC 9112 section 3.2.2).
    let answer = request(node.address, "GET", "http://evil.example/metrics", &[("host", "localhost")]);
    assert_eq!((answer.status, &*answer.problem()), (403, "host_not_allowed"));
}

#[test]
fn a_request_names_one_host() {
    let node = with_users(Anonymous::Loopback);
    let status = |request: &str| {
        let mut client = Client::connect(node.address);
        client.send(request);
        client.read().unwrap().status
    };
    assert_eq!(status("GET /metrics HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET /metrics HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n"), 400);
    assert_eq!(status("GET /metrics HTTP/1.1\r\nhost: a b\r\n\r\n"), 400);
    assert_eq!(status("GET /metrics HTTP/1.0\r\n\r\n"), 200);
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let node = with_users(Anonymous::Loopback);
    let own = format!("http://{}", node.address);
    let post = |headers: &[(&str, &str)]| {
        request(node.address, "POST", "/api/v1/mqtt/clients/ann/disconnect", headers)
    };
    for headers in [
        [("origin", "http://evil.example"), ("accept", "*/*")],
        [("origin", "null"), ("accept", "*/*")],
        [("origin", "http://127.0.0.1:1"), ("accept", "*/*")],
        [("sec-fetch-site", "cross-site"), ("accept", "*/*")],
        [("sec-fetch-site", "same-site"), ("origin", &own)],
        [("sec-fetch-site", "cross-site"), ("authorization", ROOT)],
    ] {
        let answer = post(&headers);
        assert_eq!((answer.status, &*answer.problem()), (403, "cross_site"), "{headers:?}");
    }
    assert_eq!(node.plane.sessions().connected(), 1);
    assert_eq!(post(&[("origin", &own)]).status, 200);
    assert_eq!(node.plane.sessions().connected(), 0);
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", &own)]).status, 200);
}
