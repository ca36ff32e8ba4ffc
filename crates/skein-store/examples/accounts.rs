//! Accounts in a store of their own: declare a class, move money in a transaction, look it up by an index, start again.
#![allow(clippy::print_stdout, reason = "it is a program that prints")]

use skein_store::{
    Access, Direction, Isolation, KeyRange, Mode, Object, ObjectKey, Options, Schema, StatementError, Store,
};

#[derive(Debug, Object)]
#[class(code = 1, index(name = "by_owner", fields(owner)))]
struct Account {
    #[auto]
    id: u64,
    owner: String,
    cents: i64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "accounts.data".to_owned());
    let schema = Schema::builder("bank").object::<Account>().build()?;
    let store = Store::open(schema, Options::durable(directory))?;

    let opened = store.transact(Isolation::default(), |transaction| {
        let ann =
            transaction.insert_numbered(&mut Account { id: 0, owner: "ann".to_owned(), cents: 10_000 })?;
        let bob = transaction.insert_numbered(&mut Account { id: 0, owner: "bob".to_owned(), cents: 0 })?;
        Ok::<_, StatementError>((ann, bob))
    })?;
    let (ann, bob) = opened.value;

    let moved = store.transact(Isolation::Serializable, |transaction| {
        for (id, cents) in [(ann, -3000), (bob, 3000)] {
            let mut account: Account = transaction.get(&id)?.expect("it was opened above");
            account.cents += cents;
            transaction.update(&account)?;
        }
        Ok::<_, StatementError>(())
    })?;
    println!("moved at index {} after {} attempt(s)", moved.index, moved.attempts);

    let mut reader = store.begin(Mode::ReadOnly, Isolation::default());
    let range = KeyRange::prefix(&"bob".to_key());
    for account in reader.scan::<Account>(Access::Index(0), range, Direction::Forward)? {
        println!("{:?}", account?);
    }
    Ok(())
}
