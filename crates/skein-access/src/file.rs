//! Reads the text of an access file into an access list, with every fault it has.
//!
//! The text is parsed into a tree that knows its positions, and the tree is walked against what users and rules may
//! hold. Nothing here reads a file or guesses: a key that is not known is a fault, with the name it may have meant.

use std::{collections::HashMap, ops::Range, sync::Arc};

use skein_types::UserName;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    AccessFaults, AccessList, Door, Verdict,
    fault::{Faults, nearest_name, position},
    list::User,
    password,
    rule::{NamePattern, Network, Rule, RuleFilters, Template},
    scram::ScramKeys,
};

const FILE_KEYS: [&str; 2] = ["users", "rules"];
const USER_KEYS: [&str; 4] = ["name", "password", "scram", "roles"];
const RULE_KEYS: [&str; 9] =
    ["allow", "verdict", "users", "roles", "client_ids", "addresses", "doors", "actions", "filters"];

impl AccessList {
    /// Reads the text of an access file.
    ///
    /// # Errors
    /// Every fault of the text, in its order.
    pub fn parse(text: &str) -> Result<Self, AccessFaults> {
        let mut faults = Faults::of(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let reason = error.message().trim_end().replace('\n', ": ");
            faults.add(&error.span().unwrap_or_default(), format!("this is not TOML: {reason}"));
        }
        let mut reader = Reader { text, faults };
        // What can be recovered of a broken text would only raise faults that are none.
        let recovered = document.get_ref();
        let nothing = DeTable::new();
        let document = if errors.is_empty() { recovered } else { &nothing };
        reader.refuse_unknown(document, &FILE_KEYS, "an access file");
        let users = reader.users(document);
        let rules =
            reader.entries(document, "rules").into_iter().filter_map(|entry| reader.rule(entry)).collect();
        reader.faults.into_result()?;
        Ok(Self::from_file(users, rules))
    }
}

type Entry<'d> = (&'d DeTable<'d>, Range<usize>);

struct Reader<'t> {
    text: &'t str,
    faults: Faults<'t>,
}

impl Reader<'_> {
    fn users(&mut self, document: &DeTable<'_>) -> Vec<User> {
        let mut users = Vec::new();
        let mut first_lines: HashMap<UserName, usize> = HashMap::new();
        for (table, span) in self.entries(document, "users") {
            let Some(user) = self.user(table, &span) else { continue };
            let line = position(self.text, span.start).0;
            if let Some(first) = first_lines.get(&user.name) {
                let name = &user.name;
                self.faults
                    .add(&span, format!("user {name:?} is there twice, first at line {first}; remove one"));
            }
            first_lines.entry(user.name.clone()).or_insert(line);
            users.push(user);
        }
        users
    }

    /// The tables under `[[key]]`.
    fn entries<'d>(&mut self, document: &'d DeTable<'_>, key: &str) -> Vec<Entry<'d>> {
        let Some(value) = document.get(key) else { return Vec::new() };
        let advice = format!("{key} is not a list of tables; write [[{key}]] before each entry");
        let Some(list) = value.get_ref().as_array() else {
            self.faults.add(&value.span(), advice);
            return Vec::new();
        };
        let mut entries = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_table() {
                Some(table) => entries.push((table, item.span())),
                None => self.faults.add(&item.span(), advice.clone()),
            }
        }
        entries
    }

    fn user(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Option<User> {
        self.refuse_unknown(table, &USER_KEYS, "a user");
        let roles = self.texts(table, "roles").unwrap_or_default();
        let roles = roles.into_iter().map(|(role, _)| role.to_owned()).collect();
        let password = self.text_of(table, "password").and_then(|(hash, span)| {
            let advice = "make one with `skein user passwd`; passwords never stand here in clear";
            let refuse = |reason| self.faults.add(&span, format!("password {reason}; {advice}"));
            password::parse_hash(hash).map_err(refuse).ok()
        });
        let scram = self.text_of(table, "scram").and_then(|(keys, span)| {
            let parsed = ScramKeys::parse(keys);
            if parsed.is_none() {
                let form = "SCRAM-SHA-256$<4096 or more>:<salt>$<StoredKey>:<ServerKey> in base64";
                self.faults.add(
                    &span,
                    format!("scram is not of the form {form}; make one with `skein user passwd`"),
                );
            }
            parsed
        });
        let Some(value) = table.get("name") else {
            self.faults.add(span, "this user has no name; add name = \"…\"");
            return None;
        };
        let (name, name_span) = self.text_of(table, "name")?;
        if name.is_empty() || name.contains('\0') {
            self.faults.add(&name_span, "a user name needs at least one character and none of them U+0000");
        }
        if name.len() > password::USER_BYTES_MAX {
            let max = password::USER_BYTES_MAX;
            self.faults
                .add(&name_span, format!("the user name has {} bytes; {max} are the most", name.len()));
        }
        if stringprep::saslprep(name).ok().as_deref() != Some(name) && scram.is_some() {
            let reason =
                "SCRAM clients could never send this name, because SASLprep (RFC 4013) changes or forbids it";
            self.faults.add(&value.span(), format!("{reason}; choose another name or remove scram"));
        }
        Some(User { name: UserName::new(name), password, scram, roles })
    }

    fn rule(&mut self, (table, span): Entry<'_>) -> Option<Rule> {
        self.refuse_unknown(table, &RULE_KEYS, "a rule");
        let verdict = self.verdict(table, &span);
        let patterns = |texts: Vec<(&str, Range<usize>)>| -> Vec<NamePattern> {
            texts.into_iter().map(|(text, _)| NamePattern::new(text)).collect()
        };
        let users = self.some_texts(table, "users").map(patterns);
        let client_ids = self.some_texts(table, "client_ids").map(patterns);
        let roles = self.some_texts(table, "roles");
        let roles = roles.map(|roles| roles.into_iter().map(|(role, _)| role.to_owned()).collect());
        let addresses = self.each(table, "addresses", Network::parse, |text| {
            format!("{text:?} is not an address or network such as 10.0.0.0/8 or fd00::/8")
        });
        let doors = self.each(table, "doors", door_named, unknown_door);
        let (publish, subscribe, connect) = self.actions(table);
        // A rule that is only about connecting has no topics.
        let filters = match publish || subscribe || !connect {
            true => self.filters(table, &span),
            false => self.no_filters(table),
        };
        Some(Rule {
            verdict: verdict?,
            users,
            roles,
            client_ids,
            addresses,
            doors,
            publish,
            subscribe,
            connect,
            filters: filters?,
        })
    }

    fn verdict(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Option<Verdict> {
        let of_bool = |allow| if allow { Verdict::Allow } else { Verdict::Deny };
        match (table.get("allow"), table.get("verdict")) {
            (Some(allow), None) => {
                let decided = allow.get_ref().as_bool();
                if decided.is_none() {
                    self.faults.add(&allow.span(), "allow is not true or false");
                }
                decided.map(of_bool)
            }
            (None, Some(_)) => {
                let (text, span) = self.text_of(table, "verdict")?;
                match text {
                    "allow" => Some(Verdict::Allow),
                    "deny" => Some(Verdict::Deny),
                    _ => {
                        self.faults.add(&span, format!("verdict is {text:?}; write \"allow\" or \"deny\""));
                        None
                    }
                }
            }
            (Some(_), Some(verdict)) => {
                self.faults.add(&verdict.span(), "this rule has both allow and verdict; remove one");
                None
            }
            (None, None) => {
                self.faults.add(span, "this rule says neither yes nor no; add allow = true or allow = false");
                None
            }
        }
    }

    /// Whether the rule is about publishing, about subscribing, and about connecting; the first two when it does not say.
    fn actions(&mut self, table: &DeTable<'_>) -> (bool, bool, bool) {
        let Some(actions) = self.some_texts(table, "actions") else { return (true, true, false) };
        for (action, span) in &actions {
            if !["publish", "subscribe", "connect"].contains(action) {
                let known = "write \"publish\", \"subscribe\" or \"connect\"";
                self.faults.add(span, format!("{action:?} is not an action; {known}"));
            }
        }
        let has = |wanted: &str| actions.iter().any(|(action, _)| *action == wanted);
        (has("publish"), has("subscribe"), has("connect"))
    }

    /// Of a rule that is only about connecting.
    fn no_filters(&mut self, table: &DeTable<'_>) -> Option<RuleFilters> {
        if self.texts(table, "filters").is_some_and(|filters| !filters.is_empty()) {
            let span = table.get("filters").map(Spanned::span).unwrap_or_default();
            self.faults.add(&span, "a rule that is only about connecting has no filters; remove them");
            return None;
        }
        Some(RuleFilters::Plain(Arc::from([])))
    }

    fn filters(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Option<RuleFilters> {
        if table.get("filters").is_none() {
            self.faults.add(span, "this rule names no topics; add filters = [\"#\"] for all of them");
            return None;
        }
        let mut templates = Vec::new();
        for (text, span) in self.some_texts(table, "filters")? {
            match Template::new(text) {
                _ if text.starts_with("$share/") => {
                    let advice =
                        "write the filter without its $share/<name>/; it holds for shared subscriptions too";
                    self.faults.add(&span, format!("{text:?} names a shared group; {advice}"));
                }
                Ok(template) => templates.push(template),
                Err(error) => self.faults.add(&span, format!("{text:?} is not a topic filter: {error}")),
            }
        }
        if templates.iter().all(Template::is_plain) {
            return Some(RuleFilters::Plain(templates.iter().filter_map(Template::as_filter).collect()));
        }
        Some(RuleFilters::Templates(templates))
    }

    fn refuse_unknown(&mut self, table: &DeTable<'_>, known: &[&str], place: &str) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let advice = match nearest_name(name, known.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known are {}", known.join(", ")),
            };
            self.faults.add(&key.span(), format!("{name:?} is not a key of {place}; {advice}"));
        }
    }

    fn text_of<'d>(&mut self, table: &'d DeTable<'_>, key: &str) -> Option<(&'d str, Range<usize>)> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.faults.add(&value.span(), format!("{key} is not a text in quotes"));
        }
        Some((text?, value.span()))
    }

    /// The list of texts under `key`, when it is there.
    fn texts<'d>(&mut self, table: &'d DeTable<'_>, key: &str) -> Option<Vec<(&'d str, Range<usize>)>> {
        let value: &Spanned<DeValue<'_>> = table.get(key)?;
        let advice = format!("{key} is not a list of texts such as [\"one\", \"two\"]");
        let Some(list) = value.get_ref().as_array() else {
            self.faults.add(&value.span(), advice);
            return None;
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text, item.span())),
                None => self.faults.add(&item.span(), advice.clone()),
            }
        }
        Some(texts)
    }

    /// As [`Self::texts`], where an empty list would make the rule concern nobody.
    fn some_texts<'d>(&mut self, table: &'d DeTable<'_>, key: &str) -> Option<Vec<(&'d str, Range<usize>)>> {
        let texts = self.texts(table, key)?;
        if texts.is_empty() {
            let span = table.get(key).map(Spanned::span).unwrap_or_default();
            let advice =
                if key == "filters" { "name some" } else { "name some, or remove the key to mean all" };
            self.faults.add(&span, format!("{key} has no entries, so the rule would never apply; {advice}"));
        }
        Some(texts)
    }

    fn each<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        parse: fn(&str) -> Option<T>,
        fault: fn(&str) -> String,
    ) -> Option<Vec<T>> {
        let mut parsed = Vec::new();
        for (text, span) in self.some_texts(table, key)? {
            match parse(text) {
                Some(item) => parsed.push(item),
                None => self.faults.add(&span, fault(text)),
            }
        }
        Some(parsed)
    }
}

fn door_named(text: &str) -> Option<Door> {
    Door::ALL.iter().copied().find(|door| door.name() == text)
}

fn unknown_door(text: &str) -> String {
    let names: Vec<&str> = Door::ALL.iter().map(|door| door.name()).collect();
    format!("{text:?} is not a door; known are {}", names.join(", "))
}
