//! Who takes part in a load: publishers, subscribers of every habit, a shared group, clients with wills.
//!
//! Roles are fixed, so that every run has all of them; sizes of windows, lags and habits come from the seed.

use std::ops::Range;

use super::client::{Client, Publisher, Subscriber, Testament};
use super::ledger::{Kind, Ledger, Order, ReaderId, StreamId};
use super::packet::Version;
use super::random::Random;

const PUBLISHERS: u64 = 10;
const GROUP_MEMBERS: u64 = 3;
/// The delay of wills that are never published: no run is this long, and sessions live longer.
const NEVER_SECS: u32 = 3_000;

/// What a client does by itself, in packets that all clients together have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Habit {
    Stays,
    /// Goes away, with a goodbye or without, and comes back.
    Leaves {
        stay: Range<u64>,
        away: Range<u64>,
    },
    /// Connects once more while its connection is open, which takes its session over.
    Moves {
        every: Range<u64>,
    },
    /// Ends its subscription and takes it again.
    Changes {
        every: Range<u64>,
    },
    /// Discards its session and begins a new one.
    Renews {
        every: Range<u64>,
    },
    /// Drops its connection and stays away until somebody has got its will.
    Dies {
        every: Range<u64>,
    },
}

#[derive(Debug)]
pub(super) struct Role {
    pub(super) client: Client,
    pub(super) habit: Habit,
}

struct Casting<'a> {
    random: &'a mut Random,
    ledger: &'a mut Ledger,
    roles: Vec<Role>,
}

/// Everybody, with the streams and readers they need in the ledger.
pub(super) fn cast(random: &mut Random, ledger: &mut Ledger) -> Vec<Role> {
    let mut casting = Casting { random, ledger, roles: Vec::new() };
    casting.publishers();
    casting.subscribers_of_one();
    casting.subscribers_of_many();
    casting.group();
    casting.fickle_subscribers();
    casting.renewing_subscribers();
    casting.mortals();
    casting.roles
}

impl Casting<'_> {
    fn publishers(&mut self) {
        for number in 0..PUBLISHERS {
            let mut streams: Vec<StreamId> = Vec::new();
            for audience in ["one", "many", "crew", "fickle"] {
                for qos in [1, 2] {
                    let topic = format!("{audience}/p{number}/q{qos}");
                    streams.push(self.ledger.add_stream(topic, qos, Kind::Plain));
                }
            }
            streams.push(self.ledger.add_stream(format!("kept/p{number}"), 1, Kind::Retained));
            let window_max = self.random.within(1..17);
            let id_max = window_max + self.random.within(1..20);
            let mut client = self.client(format!("publisher-{number}"), number);
            client.publisher =
                Some(Publisher::new(streams, window_max as usize, u16::try_from(id_max).unwrap_or(u16::MAX)));
            if number >= PUBLISHERS - 2 {
                // Ids of the two directions have nothing to do with each other.
                self.subscribe(&mut client, "many/+/q2", 2);
            }
            let habit = match number % 4 {
                0 | 2 => Habit::Stays,
                1 => Habit::Leaves { stay: 1_000..6_000, away: 50..400 },
                _ => moves(),
            };
            self.roles.push(Role { client, habit });
        }
    }

    fn subscribers_of_one(&mut self) {
        for number in 0..PUBLISHERS {
            let mut client = self.client(format!("one-{number}"), number / 2);
            let qos = if number % 4 == 3 { 1 } else { 2 };
            self.subscribe(&mut client, &format!("one/p{number}/+"), qos);
            let habit = match number % 6 {
                0 => Habit::Stays,
                3 => moves(),
                _ => comes_and_goes(),
            };
            self.roles.push(Role { client, habit });
        }
    }

    fn subscribers_of_many(&mut self) {
        let wishes = [
            ("many/#", 2),
            ("many/+/q2", 2),
            ("many/+/q1", 1),
            ("many/#", 1),
            ("many/p1/+", 2),
            ("many/#", 2),
        ];
        for (number, (filter, qos)) in (0..).zip(wishes) {
            let mut client = self.client(format!("many-{number}"), number);
            self.subscribe(&mut client, filter, qos);
            let habit = if number < 2 { Habit::Stays } else { comes_and_goes() };
            self.roles.push(Role { client, habit });
        }
    }

    fn group(&mut self) {
        let reader = self.ledger.add_reader("crew", Order::Shared);
        for number in 0..GROUP_MEMBERS {
            let mut client = self.client(format!("crew-{number}"), number);
            self.subscribe_as(&mut client, reader, "$share/crew/crew/#", 2);
            let habit = if number == 0 { comes_and_goes() } else { Habit::Stays };
            self.roles.push(Role { client, habit });
        }
    }

    fn fickle_subscribers(&mut self) {
        for (number, (filter, qos)) in
            (0..).zip([("fickle/#", 2), ("fickle/+/q1", 1), ("fickle/#", 1), ("fickle/+/q2", 2)])
        {
            let mut client = self.client(format!("fickle-{number}"), number);
            self.subscribe(&mut client, filter, qos);
            self.roles.push(Role { client, habit: Habit::Changes { every: 100..1_500 } });
        }
    }

    fn renewing_subscribers(&mut self) {
        for (number, filter) in (0..).zip(["many/+/q2", "fickle/#"]) {
            // A session of 3.1.1 that begins clean ends with its connection.
            let mut client = self.client(format!("renewing-{number}"), 1);
            self.subscribe(&mut client, filter, 2);
            self.roles.push(Role { client, habit: Habit::Renews { every: 100..1_500 } });
        }
    }

    /// Clients with wills, and one who gets them.
    fn mortals(&mut self) {
        let mut heir = self.client("heir".to_owned(), 1);
        self.subscribe(&mut heir, "will/#", 2);
        self.roles.push(Role { client: heir, habit: Habit::Stays });
        for (number, delay_secs) in (0..).zip([0, 1, 1, NEVER_SECS]) {
            // Only MQTT 5 has delays.
            let parity = if delay_secs == 0 { 0 } else { 1 };
            let mut client = self.client(format!("mortal-{number}"), parity);
            let (kind, habit) = if delay_secs == NEVER_SECS {
                (Kind::WillNever, comes_and_goes())
            } else {
                (Kind::Will, Habit::Dies { every: 200..3_000 })
            };
            let stream = self.ledger.add_stream(format!("will/{}", client.name), 2, kind);
            client.will = Some(Testament { stream, delay_secs, place: None });
            self.roles.push(Role { client, habit });
        }
    }

    /// A client of MQTT 5 if `number` is odd, else of 3.1.1.
    fn client(&mut self, name: String, number: u64) -> Client {
        Client::new(name, if number % 2 == 1 { Version::V5 } else { Version::V311 })
    }

    fn subscribe(&mut self, client: &mut Client, filter: &str, qos: u8) {
        let reader = self.ledger.add_reader(&client.name, Order::Kept);
        self.subscribe_as(client, reader, filter, qos);
    }

    fn subscribe_as(&mut self, client: &mut Client, reader: ReaderId, filter: &str, qos: u8) {
        let lag = self.random.within(0..8);
        if client.version == Version::V5 {
            // No fewer than are held back and one: the server would wait for answers that wait for its next message.
            let maximum = lag + 1 + self.random.within(0..20);
            client.receive_maximum = u16::try_from(maximum).ok();
        }
        client.subscriber = Some(Subscriber::new(reader, &client.name, filter, qos, lag as usize));
    }
}

fn moves() -> Habit {
    Habit::Moves { every: 100..1_500 }
}

fn comes_and_goes() -> Habit {
    Habit::Leaves { stay: 300..4_000, away: 100..6_000 }
}
