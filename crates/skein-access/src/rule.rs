//! One rule of an access list: whom it concerns, what it says, and about which topics.
//!
//! A rule is parsed once and then bound to each identity: the names of the identity are put in place of `%u`
//! and `%c`. Nothing here decides; the walk over several rules is in `bound.rs`.

use std::{net::IpAddr, sync::Arc};

use skein_types::{Filter, FilterError};

use super::{Door, Identity, Verdict};

/// A rule as the file states it. A list that is absent concerns everybody.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) verdict: Verdict,
    pub(super) users: Option<Vec<NamePattern>>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) client_ids: Option<Vec<NamePattern>>,
    pub(super) addresses: Option<Vec<Network>>,
    pub(super) doors: Option<Vec<Door>>,
    pub(super) publish: bool,
    pub(super) subscribe: bool,
    pub(super) connect: bool,
    pub(super) filters: RuleFilters,
}

/// The filters of a rule, shared by all identities when none of them names the identity.
#[derive(Clone, Debug)]
pub(super) enum RuleFilters {
    Plain(Arc<[Filter]>),
    Templates(Vec<Template>),
}

impl Rule {
    /// Whether the rule speaks of `identity`, whose roles are `roles`.
    pub(super) fn concerns(&self, identity: &Identity, roles: &[String]) -> bool {
        let user = identity.user.as_deref();
        let named = |patterns: &Vec<NamePattern>, name: Option<&str>| {
            name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        self.users.as_ref().is_none_or(|users| named(users, user))
            && self
                .client_ids
                .as_ref()
                .is_none_or(|ids| ids.iter().any(|pattern| pattern.matches_client(&identity.client_id, user)))
            && self.roles.as_ref().is_none_or(|wanted| wanted.iter().any(|role| roles.contains(role)))
            && self.doors.as_ref().is_none_or(|doors| doors.contains(&identity.door))
            && self
                .addresses
                .as_ref()
                .is_none_or(|networks| networks.iter().any(|network| network.contains(identity.address)))
    }

    /// The rule's filters for `identity`; without those that cannot apply to it.
    pub(super) fn filters_for(&self, identity: &Identity) -> Arc<[Filter]> {
        match &self.filters {
            RuleFilters::Plain(filters) => Arc::clone(filters),
            RuleFilters::Templates(templates) => {
                templates.iter().filter_map(|template| template.expand(identity, self.verdict)).collect()
            }
        }
    }
}

/// A name, or the start of names when it ends in `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NamePattern {
    Exact(String),
    Prefix(String),
}

impl NamePattern {
    pub(super) fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }

    /// The same for a client id; `%u` in the pattern is the client's user, and matches nobody's client.
    fn matches_client(&self, client_id: &str, user: Option<&str>) -> bool {
        let (Self::Exact(text) | Self::Prefix(text)) = self;
        if !text.contains("%u") {
            return self.matches(client_id);
        }
        let Some(user) = user else { return false };
        let text = text.replace("%u", user);
        match self {
            Self::Exact(_) => text == client_id,
            Self::Prefix(_) => client_id.starts_with(&text),
        }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(text) => text == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

/// An address, or all addresses that share its first bits (CIDR, RFC 4632 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => bits_max,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
        };
        (prefix_bits <= bits_max).then_some(Self { address, prefix_bits })
    }

    /// An IPv4 client of an IPv6 socket arrives as `::ffff:a.b.c.d`: it is looked at as IPv4.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(client)) => {
                let differing = u32::from(network) ^ u32::from(client);
                differing.leading_zeros() >= self.prefix_bits
            }
            (IpAddr::V6(network), IpAddr::V6(client)) => {
                let differing = u128::from(network) ^ u128::from(client);
                differing.leading_zeros() >= self.prefix_bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// A filter in which `%u` stands for the user name and `%c` for the client id.
#[derive(Clone, Debug)]
pub(super) struct Template {
    text: String,
}

enum Substituted {
    Level(String),
    /// The name would change which levels the filter has, or where it starts.
    Unusable,
    /// There is no user to name.
    NoUser,
}

impl Template {
    pub(super) fn new(text: &str) -> Result<Self, FilterError> {
        // The names do not matter for whether the rest is a filter, as long as they are ordinary.
        Filter::new(&text.replace("%u", "u").replace("%c", "c"))?;
        Ok(Self { text: text.to_owned() })
    }

    pub(super) fn is_plain(&self) -> bool {
        !self.text.contains("%u") && !self.text.contains("%c")
    }

    pub(super) fn as_filter(&self) -> Option<Filter> {
        Filter::new(&self.text).ok()
    }

    /// The filter for `identity`, or none when it cannot apply.
    ///
    /// A name that would reach outside its level gives an allowing rule nothing; a denying rule takes every
    /// name in its place, so that nobody escapes a rule by the choice of a name.
    fn expand(&self, identity: &Identity, verdict: Verdict) -> Option<Filter> {
        let mut levels = Vec::new();
        for (depth, level) in self.text.split('/').enumerate() {
            match substitute(level, identity, depth == 0) {
                Substituted::Level(level) => levels.push(level),
                Substituted::Unusable if verdict == Verdict::Deny => levels.push("+".to_owned()),
                Substituted::Unusable | Substituted::NoUser => return None,
            }
        }
        Filter::new(&levels.join("/")).ok()
    }
}

/// Replaces in one pass, so that a user who is called `%c` stays who he is.
fn substitute(level: &str, identity: &Identity, is_first: bool) -> Substituted {
    let mut built = String::new();
    let mut rest = level;
    while let Some((before, after)) = rest.split_once('%') {
        built.push_str(before);
        let value = match after.as_bytes().first() {
            Some(b'u') => match identity.user.as_deref() {
                Some(user) => user,
                None => return Substituted::NoUser,
            },
            Some(b'c') => &identity.client_id,
            _ => {
                built.push('%');
                rest = after;
                continue;
            }
        };
        // A name starting with $ must not turn `%u/#` into a system topic.
        let starts_filter = is_first && built.is_empty();
        if value.is_empty()
            || value.contains(['/', '+', '#', '\0'])
            || (starts_filter && value.starts_with('$'))
        {
            return Substituted::Unusable;
        }
        built.push_str(value);
        rest = after.get(1..).unwrap_or_default();
    }
    built.push_str(rest);
    Substituted::Level(built)
}

#[cfg(test)]
mod tests {
    use skein_types::{ClientId, UserName};

    use super::*;

    fn who(user: Option<&str>, client_id: &str) -> Identity {
        Identity {
            user: user.map(UserName::new),
            client_id: ClientId::new(client_id),
            ..Identity::anonymous(ClientId::new(""), "127.0.0.1".parse().unwrap(), Door::Mqtt)
        }
    }

    #[test]
    fn names_are_put_in_place_and_never_reach_outside_their_level() {
        for (template, user, client_id, allow, deny) in [
            ("a/%u/#", Some("ann"), "c1", Some("a/ann/#"), Some("a/ann/#")),
            ("b/%c", None, "c1", Some("b/c1"), Some("b/c1")),
            ("x-%u-%c/y", Some("ann"), "c1", Some("x-ann-c1/y"), Some("x-ann-c1/y")),
            ("a/%u", None, "c1", None, None),
            ("a/%c/#", None, "x/y", None, Some("a/+/#")),
            ("a/%c/#", None, "#", None, Some("a/+/#")),
            ("a/p%c", None, "+", None, Some("a/+")),
            ("a/%c", None, "", None, Some("a/+")),
            ("a/%c", None, "n\0", None, Some("a/+")),
            ("%u/#", Some("$SYS"), "c1", None, Some("+/#")),
            ("a/%u/#", Some("$SYS"), "c1", Some("a/$SYS/#"), Some("a/$SYS/#")),
            ("%u/#", Some("%c"), "c1", Some("%c/#"), Some("%c/#")),
            ("50%/%u", Some("ann"), "c1", Some("50%/ann"), Some("50%/ann")),
            ("%%u", Some("ann"), "c1", Some("%ann"), Some("%ann")),
        ] {
            let made = |verdict| {
                let filter = Template::new(template).unwrap().expand(&who(user, client_id), verdict);
                filter.map(|filter| filter.as_str().to_owned())
            };
            assert_eq!(made(Verdict::Allow).as_deref(), allow, "{template} {user:?} {client_id:?}");
            assert_eq!(made(Verdict::Deny).as_deref(), deny, "{template} {user:?} {client_id:?}");
        }
    }

    #[test]
    fn networks() {
        for (network, address, expect) in [
            ("10.0.0.0/8", "10.255.0.1", Some(true)),
            ("10.0.0.0/8", "11.0.0.1", Some(false)),
            ("10.0.0.0/8", "::ffff:10.1.2.3", Some(true)),
            ("0.0.0.0/0", "1.2.3.4", Some(true)),
            ("0.0.0.0/0", "::1", Some(false)),
            ("127.0.0.1", "127.0.0.1", Some(true)),
            ("127.0.0.1", "127.0.0.2", Some(false)),
            ("fd00::/8", "fd12::1", Some(true)),
            ("::/0", "::1", Some(true)),
            ("::1", "::1", Some(true)),
            ("10.0.0.0/33", "10.0.0.1", None),
            ("10.0.0.0/+8", "10.0.0.1", None),
            ("10.0.0/8", "10.0.0.1", None),
            ("", "10.0.0.1", None),
        ] {
            let found = Network::parse(network).map(|network| network.contains(address.parse().unwrap()));
            assert_eq!(found, expect, "{network} {address}");
        }
    }

    #[test]
    fn name_patterns() {
        for (pattern, name, expect) in
            [("a", "a", true), ("a", "ab", false), ("a*", "ab", true), ("*", "", true), ("a*b", "a*b", true)]
        {
            assert_eq!(NamePattern::new(pattern).matches(name), expect, "{pattern} {name}");
        }
    }
}
