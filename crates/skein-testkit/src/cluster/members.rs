//! The nodes of a cluster as one of them tells them: the JSON array of `GET /api/v1/cluster/nodes`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

/// A node as another knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its id.
    pub node_id: u16,
    /// Its name.
    pub name: String,
    /// Where others reach it.
    pub address: String,
    /// Its weight in elections.
    pub qrank: f64,
    /// Which life of the node it is.
    pub incarnation: u64,
    /// Whether it is there.
    pub state: MemberState,
}

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// It is.
    Up,
    /// It has said that it goes.
    Leaving,
    /// It is not.
    Down,
}

/// Reads the array.
///
/// # Errors
/// What is not as it should be.
pub(super) fn read(body: &str) -> Result<Vec<Member>, String> {
    let value: Value = serde_json::from_str(body).map_err(|error| format!("no JSON ({error}): {body}"))?;
    let entries = value.as_array().ok_or_else(|| format!("no array: {body}"))?;
    entries.iter().map(|entry| member(entry).ok_or_else(|| format!("no node: {entry}"))).collect()
}

fn member(entry: &Value) -> Option<Member> {
    let text = |key: &str| Some(entry.get(key)?.as_str()?.to_owned());
    Some(Member {
        node_id: u16::try_from(entry.get("node_id")?.as_u64()?).ok()?,
        name: text("name")?,
        address: text("address")?,
        qrank: entry.get("qrank")?.as_f64()?,
        incarnation: entry.get("incarnation")?.as_u64()?,
        state: match entry.get("state")?.as_str()? {
            "up" => MemberState::Up,
            "leaving" => MemberState::Leaving,
            "down" => MemberState::Down,
            _ => return None,
        },
    })
}

/// The ids of those that are up.
pub(super) fn up(members: &[Member]) -> BTreeSet<u16> {
    members.iter().filter(|member| member.state == MemberState::Up).map(|member| member.node_id).collect()
}

/// Id, state and incarnation of each, for the failure of a test.
pub(super) fn in_words(members: &[Member]) -> String {
    let mut words = String::new();
    for Member { node_id, state, incarnation, .. } in members {
        // Writing to a String cannot fail.
        let _ = write!(words, "{node_id} {state:?} (incarnation {incarnation}), ");
    }
    words.trim_end_matches(", ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"[
        {"node_id": 1, "name": "a", "address": "127.0.0.1:1", "qrank": 1, "incarnation": 7, "state": "up"},
        {"node_id": 2, "name": "b", "address": "127.0.0.1:2", "qrank": 0.5, "incarnation": 18446744073709551615,
         "state": "leaving", "more": [1]}]"#;

    #[test]
    fn reads_nodes_and_passes_over_what_it_does_not_know() {
        let members = read(TWO).unwrap();
        let [one, two] = members.as_slice() else { panic!("two nodes: {members:?}") };
        assert_eq!((one.node_id, one.name.as_str(), one.state), (1, "a", MemberState::Up));
        assert_eq!((two.address.as_str(), two.qrank), ("127.0.0.1:2", 0.5));
        assert_eq!((two.incarnation, two.state), (u64::MAX, MemberState::Leaving));
        assert_eq!(up(&members), BTreeSet::from([1]));
        assert_eq!(in_words(&members[..1]), "1 Up (incarnation 7)");
    }

    #[test]
    fn what_is_missing_or_strange_is_an_error() {
        for body in [
            "",
            "{}",
            "[1]",
            "[{}]",
            &TWO.replace("leaving", "asleep"),
            &TWO.replace("\"node_id\": 2", "\"node_id\": 65536"),
            &TWO.replace("\"incarnation\": 7", "\"incarnation\": \"7\""),
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        assert_eq!(read("[]").unwrap(), []);
    }
}
