//! Users and rules by HTTP on a node that keeps nothing on disk: what can be seen, and why nothing can be changed.
//! Changing them is shown with the whole program, which has a store.

use serde_json::json;
use skein_access::{Access, AccessList, Anonymous};
use skein_http::HttpSettings;

use crate::{
    client::{Answer, Client, OPERATOR, get},
    fixture::Fixture,
};

fn send(node: &Fixture, method: &str, path: &str, kind: &str, body: &str) -> Answer {
    let mut client = Client::connect(node.address);
    client.send(&format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: {OPERATOR}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.read().unwrap()
}

#[test]
fn users_of_the_file_are_listed_without_their_secrets() {
    let text = "[[users]]\nname = \"bob\"\nroles = [\"b\"]\n[[users]]\nname = \"a/n\"\n";
    let access = Access::new(AccessList::parse(text).unwrap(), Anonymous::Loopback);
    let node = Fixture::start(access, HttpSettings::default());
    let user = |name: &str, roles: &[&str]| {
        json!({"name": name, "source": "file", "roles": roles, "has_password": false, "has_scram": false,
            "created_at": null, "changed_at": null})
    };
    let page = get(node.address, "/api/v1/users").json();
    assert_eq!(
        (&page["items"], &page["total"]),
        (&json!([user("a/n", &[]), user("bob", &["b"])]), &json!(2))
    );
    assert_eq!(
        get(node.address, "/api/v1/users?page=2&page_size=1").json()["items"],
        json!([user("bob", &["b"])])
    );
    assert_eq!(get(node.address, "/api/v1/users/a%2Fn").json(), user("a/n", &[]));
    let answer = get(node.address, "/api/v1/users/ann");
    assert_eq!((answer.status, &*answer.problem()), (404, "user_not_found"));
}

#[test]
fn without_a_store_nothing_can_be_changed_and_it_is_said_what_to_set() {
    let node = Fixture::open();
    let rule = r##"{"allow":true,"filters":["#"]}"##;
    for (method, path, body) in [
        ("POST", "/api/v1/users", r#"{"name":"ann","password":"secret"}"#),
        ("PUT", "/api/v1/users/ann", r#"{"password":"secret"}"#),
        ("DELETE", "/api/v1/users/ann", ""),
        ("GET", "/api/v1/rules", ""),
        ("POST", "/api/v1/rules", rule),
        ("PUT", "/api/v1/rules/1", rule),
        ("DELETE", "/api/v1/rules/1", ""),
    ] {
        let answer = send(&node, method, path, "application/json", body);
        assert_eq!((answer.status, &*answer.problem()), (501, "no_store"), "{method} {path}");
        assert!(answer.body.contains("mqtt.durability = \\\"disk\\\""), "{}", answer.body);
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
}

#[test]
fn bodies_that_are_not_what_the_route_takes() {
    let node = Fixture::open();
    for (method, path, kind, body, part) in [
        ("POST", "/api/v1/users", "text/plain", r#"{"name":"a","password":"b"}"#, "application/json"),
        ("POST", "/api/v1/users", "application/json", r#"{"name":"a"}"#, "password"),
        ("POST", "/api/v1/users", "application/json", r#"{"name":"a","password":"b","role":"c"}"#, "role"),
        (
            "POST",
            "/api/v1/users",
            "application/json",
            r#"{"name":"a","password":"b","credentials":"md5"}"#,
            "md5",
        ),
        ("PUT", "/api/v1/users/a", "application/json", "{}", "changes nothing"),
        (
            "PUT",
            "/api/v1/users/a",
            "application/json",
            r#"{"credentials":"scram","roles":[]}"#,
            "changes nothing",
        ),
        ("POST", "/api/v1/rules", "application/json", r#"{"filters":["a"]}"#, "allow"),
        ("POST", "/api/v1/rules", "application/json", r#"{"allow":true,"filter":["a"]}"#, "filter"),
        (
            "PUT",
            "/api/v1/rules/1",
            "application/json",
            r#"{"position":2,"allow":true,"filters":[]}"#,
            "position",
        ),
        ("POST", "/api/v1/rules", "application/json", "allow", "body"),
    ] {
        let answer = send(&node, method, path, kind, body);
        assert_eq!((answer.status, &*answer.problem()), (400, "bad_body"), "{method} {path} {body}");
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    for path in ["/api/v1/rules/-1", "/api/v1/rules/x", "/api/v1/users/%FF"] {
        let answer = send(&node, "DELETE", path, "application/json", "");
        assert_eq!((answer.status, &*answer.problem()), (400, "bad_parameter"), "{path}");
    }
}
