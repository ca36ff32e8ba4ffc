//! Who may use which route.

use std::{net::IpAddr, sync::atomic::Ordering::Relaxed};

use skein_access::{Access, AccessList, Anonymous, Credentials, NewUser, new_user_block};
use skein_http::{HttpSettings, ROLE_ADMIN, ROLE_MONITOR};
use skein_types::Moment;

use crate::{
    client::{Client, OPERATOR, anonymously as request},
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

/// Those of them that monitors may use.
const FOR_MONITORS: [&str; 3] = ["/metrics", "/api/v1/openapi.json", "/api/v1/status"];

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
    let node =
        Fixture::start(Access::new(AccessList::parse(&text).unwrap(), anonymous), HttpSettings::default());
    node.connect("ann", None, 60);
    node
}

fn without_users(list: AccessList, anonymous: Anonymous) -> Fixture {
    let settings = HttpSettings::default();
    Fixture::start(Access::new(list, anonymous), settings)
}

/// Lets so much time go by that no address is slowed for its wrong passwords.
fn pay_for_failures(node: &Fixture) {
    node.clock_millis.fetch_add(60_000, Relaxed);
}

#[test]
fn who_fails_too_often_is_slowed_and_who_is_known_is_not() {
    let node = with_users(Anonymous::Never);
    let answer =
        |authorization: &str| request(node.address, "GET", "/metrics", &[("authorization", authorization)]);
    assert_eq!(answer(ROOT).status, 200);
    assert_eq!(answer(ROOT_WRONG).status, 401);
    let (access, now) = (node.plane.access(), Moment::from_millis(node.clock_millis.load(Relaxed)));
    let guess = access.guess(IpAddr::from([127, 0, 0, 1]), now, now).unwrap();
    // At another door, say.
    (0..100).for_each(|_| access.guess_failed(guess, now));
    let refused = answer(ROOT_WRONG);
    assert_eq!((refused.status, &*refused.problem()), (429, "too_many_failures"));
    assert_eq!(answer(ROOT).status, 200);
    pay_for_failures(&node);
    assert_eq!(answer(WATCH).status, 200, "a minute later");
}

#[test]
fn open_routes_ask_nobody() {
    let node = with_users(Anonymous::Never);
    assert_eq!(request(node.address, "GET", "/healthz", &[]).status, 200);
    assert_eq!(request(node.address, "GET", "/readyz", &[]).status, 503);
    for headers in [[("authorization", ROOT_WRONG)], [("host", "evil.example")]] {
        assert_eq!(request(node.address, "GET", "/healthz", &headers).status, 200);
    }
}

#[test]
fn users_and_their_roles() {
    let node = with_users(Anonymous::Never);
    for (method, path) in GUARDED {
        let status = |authorization: &str| {
            pay_for_failures(&node);
            request(node.address, method, path, &[("authorization", authorization)]).status
        };
        assert_eq!(status(ROOT), 200, "{method} {path}");
        let expected = if FOR_MONITORS.contains(&path) { 200 } else { 403 };
        assert_eq!(status(WATCH), expected, "{method} {path}");
        assert_eq!(status(PLAIN), 403, "{method} {path}");
        for bad in [ROOT_WRONG, GHOST, "Basic cm9vdA==", "Basic !", "Bearer x", ""] {
            assert_eq!(status(bad), 401, "{method} {path} {bad}");
        }
        let answer = request(node.address, "GET", path, &[]);
        let expected = if method == "GET" { 401 } else { 405 };
        assert_eq!(answer.status, expected, "{path}");
    }
    let answer = request(node.address, "GET", "/metrics", &[("authorization", PLAIN)]);
    assert_eq!(answer.problem(), "role_missing");
}

#[test]
fn sessions_are_ended_by_administrators() {
    let node = with_users(Anonymous::Never);
    let end =
        |headers: &[(&str, &str)]| request(node.address, "DELETE", "/api/v1/sessions/ann", headers).status;
    for (authorization, expect) in [(WATCH, 403), (PLAIN, 403), (ROOT_WRONG, 401), (GHOST, 401)] {
        assert_eq!(end(&[("authorization", authorization)]), expect);
    }
    assert_eq!(end(&[]), 401);
    assert_eq!(end(&[("authorization", ROOT), ("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(node.plane.sessions().len(), 1);
    assert_eq!(end(&[("authorization", ROOT)]), 200);
    assert!(node.plane.sessions().is_empty());
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
fn once_there_are_users_everybody_logs_in() {
    let node = with_users(Anonymous::Loopback);
    assert_eq!(request(node.address, "GET", "/api/v1/status", &[]).status, 401);
    let status = |authorization: &str| {
        request(node.address, "GET", "/api/v1/status", &[("authorization", authorization)]).status
    };
    assert_eq!((status(ROOT), status(ROOT_WRONG), status(WATCH)), (200, 401, 200));
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
    let node = without_users(AccessList::open(), Anonymous::Loopback);
    for (method, path) in FOR_MONITORS.map(|path| ("GET", path)) {
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.nip.io"] {
            let answer = request(node.address, method, path, &[("host", host)]);
            assert_eq!((answer.status, &*answer.problem()), (403, "host_not_allowed"), "{path} {host}");
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]:8080", "skein.example:443"] {
            assert_eq!(request(node.address, method, path, &[("host", host)]).status, 200, "{path} {host}");
        }
    }
    for authorization in [ROOT, OPERATOR] {
        let as_user = [("host", "other.example"), ("authorization", authorization)];
        assert_eq!(request(with_users(Anonymous::Loopback).address, "GET", "/metrics", &as_user).status, 200);
    }
    // The target of the request goes before the header (RFC 9112 section 3.2.2).
    let answer = request(node.address, "GET", "http://evil.example/metrics", &[("host", "localhost")]);
    assert_eq!((answer.status, &*answer.problem()), (403, "host_not_allowed"));
}

#[test]
fn a_request_names_one_host() {
    let node = without_users(AccessList::open(), Anonymous::Loopback);
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
        let mut headers = headers.to_vec();
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            headers.push(("authorization", OPERATOR));
        }
        request(node.address, "POST", "/api/v1/mqtt/clients/ann/disconnect", &headers)
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

/// Every route with who may use it, from the table in docs/access.md; it has those that the door describes, and no other.
fn routes() -> Vec<(String, String, String)> {
    let rows = include_str!("../../../../docs/access.md").lines().filter_map(|line| {
        let (route, needs) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (method, path) = route.split_once(' ')?;
        path.starts_with('/')
            .then(|| (method.to_owned(), path.to_owned(), needs.trim_end_matches(" |").to_owned()))
    });
    let rows: Vec<_> = rows.collect();
    let description: serde_json::Value =
        serde_json::from_str(include_str!("../../src/openapi.json")).unwrap();
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        described.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    let mut documented: Vec<_> =
        rows.iter().map(|(method, path, _)| (method.clone(), path.clone())).collect();
    documented.sort_unstable();
    described.sort_unstable();
    assert_eq!(documented, described);
    rows
}

/// A path that some route takes; there is nothing behind it.
fn filled_in(path: &str) -> String {
    path.replace("{position}", "1").replace(['{', '}'], "")
}

/// Whether the guard lets the request through, whatever it is then answered.
fn passes(node: &Fixture, method: &str, path: &str, headers: &[(&str, &str)]) -> bool {
    pay_for_failures(node);
    ![401, 403].contains(&request(node.address, method, &filled_in(path), headers).status)
}

#[test]
fn each_route_is_open_to_those_whom_the_documentation_names() {
    let with_users = with_users(Anonymous::Always);
    let without = without_users(AccessList::open(), Anonymous::Loopback);
    for (method, path, needs) in routes() {
        let (monitors, all) = match &*needs {
            "nothing" => (true, true),
            "`monitor` or `admin`" => (true, false),
            "`admin`" => (false, false),
            other => panic!("{path}: {other}"),
        };
        let passes_as = |node: &Fixture, headers: &[(&str, &str)]| passes(node, &method, &path, headers);
        for (headers, expected) in [
            (&[][..], all),
            (&[("authorization", PLAIN)], all),
            (&[("authorization", ROOT_WRONG)], all),
            (&[("authorization", "Bearer 44")], all),
            (&[("authorization", WATCH)], monitors),
            (&[("authorization", ROOT)], true),
            (&[("authorization", ROOT), ("x-forwarded-for", "192.0.2.1")], true),
            (&[("authorization", OPERATOR)], true),
            (&[("authorization", OPERATOR), ("x-forwarded-for", "192.0.2.1")], all),
        ] {
            assert_eq!(passes_as(&with_users, headers), expected, "{method} {path} {headers:?}");
        }
        for (headers, expected) in [
            (&[][..], monitors),
            (&[("authorization", ROOT)], monitors),
            (&[("authorization", OPERATOR)], true),
            (&[("x-forwarded-for", "192.0.2.1")], all),
            (&[("forwarded", "for=192.0.2.1")], all),
            (&[("via", "1.1 proxy")], all),
            (&[("x-real-ip", "127.0.0.1")], all),
        ] {
            assert_eq!(passes_as(&without, headers), expected, "{method} {path} {headers:?}");
        }
    }
}

#[test]
fn anonymous_administers_nothing_with_a_file_or_without() {
    let file = "[[rules]]\nallow = true\nfilters = ['#']\n";
    for (list, anonymous) in [
        (AccessList::open(), Anonymous::Loopback),
        (AccessList::open(), Anonymous::Always),
        (AccessList::parse("").unwrap(), Anonymous::Loopback),
        (AccessList::parse(file).unwrap(), Anonymous::Always),
    ] {
        let node = Fixture::start(Access::new(list, anonymous), HttpSettings::default());
        for (method, path, _) in routes().iter().filter(|(method, ..)| method != "GET") {
            let answer = request(node.address, method, &filled_in(path), &[]);
            assert_eq!((answer.status, &*answer.problem()), (401, "unauthenticated"), "{method} {path}");
        }
    }
}
