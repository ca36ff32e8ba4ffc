//! The store against a model: random operations on both must give the same answers, outcomes and states.
//!
//! The model keeps sorted maps of plain values and says for every commit what certification must find. Transactions at all
//! levels run interleaved in one thread, so that every conflict can be foretold.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that stated it")]

#[path = "model/classes.rs"]
mod classes;
#[path = "model/durable.rs"]
mod durable;
#[path = "model/evolution.rs"]
mod evolution;
#[path = "model/expected.rs"]
mod expected;
#[path = "model/follow.rs"]
mod follow;
#[path = "model/numbers.rs"]
mod numbers;
#[path = "model/operations.rs"]
mod operations;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/run.rs"]
mod run;

use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};
use skein_store::{Options, Store};

use run::Run;

/// Runs `check` on random operations; a failure prints the shortest list of operations that was found to fail.
fn on_random_operations(cases: u32, check: impl Fn(&[operations::Operation])) {
    // Failing cases are kept as tests, not in a file beside the source.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&vec(operations::operation(), 1..120), |operations| {
        check(&operations);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn in_memory_the_store_does_what_the_model_does() {
    on_random_operations(1_000, |operations| {
        let mut run = Run::in_memory(Store::open(classes::schema(), Options::memory()).unwrap());
        operations.iter().for_each(|operation| run.step(operation));
        run.finish();
    });
}
