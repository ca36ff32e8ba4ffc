//! What happens to the nodes of a run, drawn from its seed.

use crate::network::{Network, State, Weather};

/// Which things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Calm,
    Pauses,
    Storm,
}

/// How much of each a run had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) alive: u64,
    pub(crate) down: u64,
    pub(crate) renewed: u64,
    pub(crate) replays_refused: u64,
}

/// The longest that a node is held back, and some seconds for news to spread.
const SETTLE: u64 = 45_000;

pub(crate) fn run(kind: Kind, seed: u64) -> Result<Summary, String> {
    let nodes = 2 + (seed % 7) as usize;
    let mut network = Network::new(seed, nodes);
    network.checks.calm = kind == Kind::Calm;
    network.checks.only_pauses = kind == Kind::Pauses;
    let begin = network.now;
    network.run_until(begin + 3000);
    network.all_agree();
    match kind {
        Kind::Calm => calm(&mut network),
        Kind::Pauses => pauses(&mut network),
        Kind::Storm => storm(&mut network),
    }
    network.weather = Weather::FAIR;
    network.heal();
    for index in 0..nodes {
        match network.state(index) {
            State::Running => {}
            State::Paused => network.wake(index),
            // Some stay away.
            State::Stopped if network.random.permille(700) => network.start(index),
            State::Stopped => {}
        }
    }
    network.run_until(network.now + SETTLE);
    network.all_agree();
    let checks = network.checks;
    match checks.fault {
        Some(fault) => Err(fault),
        None => Ok(Summary {
            alive: checks.alive,
            down: checks.down,
            renewed: checks.renewed,
            replays_refused: checks.replays_refused,
        }),
    }
}

fn some(network: &mut Network, state: State) -> Option<usize> {
    let nodes: Vec<_> = (0..network.len()).filter(|index| network.state(*index) == state).collect();
    let which = network.random.below(nodes.len() as u64) as usize;
    nodes.get(which).copied()
}

fn calm(network: &mut Network) {
    network.weather.delay_max = 20;
    for _ in 0..10 {
        match network.random.below(3) {
            0 => some(network, State::Running).into_iter().for_each(|index| network.crash(index)),
            1 => some(network, State::Running).into_iter().for_each(|index| network.leave(index)),
            _ => some(network, State::Stopped).into_iter().for_each(|index| network.start(index)),
        }
        let rest = 100 + network.random.below(8000);
        network.run_until(network.now + rest);
    }
}

fn pauses(network: &mut Network) {
    for _ in 0..6 {
        while let Some(index) = some(network, State::Running) {
            network.pause(index);
            if network.random.permille(700) {
                break;
            }
        }
        let pause_max = [500, 3000, 30_000][network.random.below(3) as usize];
        let pause = network.random.below(pause_max);
        network.run_until(network.now + pause);
        for index in 0..network.len() {
            if network.state(index) == State::Paused {
                network.wake(index);
            }
        }
        let rest = network.random.below(10_000);
        network.run_until(network.now + rest);
    }
}

fn storm(network: &mut Network) {
    for _ in 0..25 {
        network.weather = Weather {
            loss_permille: [0, 0, 50, 300][network.random.below(4) as usize],
            duplicate_permille: 50,
            replay_permille: 100,
            delay_max: [2, 20, 150][network.random.below(3) as usize],
        };
        one_fault(network);
        let rest = network.random.below(6000);
        network.run_until(network.now + rest);
    }
}

fn one_fault(network: &mut Network) {
    let running = some(network, State::Running);
    match network.random.below(9) {
        0 => running.into_iter().for_each(|index| network.crash(index)),
        1 => running.into_iter().for_each(|index| network.leave(index)),
        2 => running.into_iter().for_each(|index| network.pause(index)),
        3 => some(network, State::Paused).into_iter().for_each(|index| network.wake(index)),
        4 => some(network, State::Stopped).into_iter().for_each(|index| network.start(index)),
        5 => {
            // It is there again before anybody notices.
            if let Some(index) = running {
                network.crash(index);
                network.start(index);
            }
        }
        6 => {
            let side: Vec<bool> = (0..network.len()).map(|_| network.random.permille(500)).collect();
            for (from, of) in side.iter().enumerate() {
                side.iter()
                    .enumerate()
                    .filter(|(_, other)| *other != of)
                    .for_each(|(to, _)| network.cut(from, to));
            }
        }
        7 => {
            let nodes = network.len() as u64;
            let (from, to) = (network.random.below(nodes), network.random.below(nodes));
            network.cut(from as usize, to as usize);
        }
        _ => network.heal(),
    }
}
