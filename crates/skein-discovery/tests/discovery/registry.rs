//! The registry in a real PostgreSQL and a real MariaDB: the same statements of behaviour for both.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use skein_discovery::Names;
use skein_testkit::{DEADLINE, Mariadb, Postgres, free_address, wait_until};

use crate::searching::{Searching, settings};

const OFTEN: Duration = Duration::from_secs(1);
const RARELY: Duration = Duration::from_secs(60);

/// What the tests need of a database.
trait Database {
    fn start_new() -> Self;
    fn start(&mut self);
    fn stop(&mut self);
    fn url(&self) -> String;
    fn tls_url(&self) -> String;
    /// A line for a row, columns separated by `|`.
    fn query(&self, statement: &str) -> String;
    /// So many seconds ago, or ahead when negative, in its words.
    fn ago(secs: i64) -> String;
}

macro_rules! databases {
    ($($name:ident: $database:ident, $ago:expr;)*) => {
        $(impl Database for $database {
            fn start_new() -> Self { Self::start_new() }
            fn start(&mut self) { self.start(); }
            fn stop(&mut self) { self.stop(); }
            fn url(&self) -> String { self.url() }
            fn tls_url(&self) -> String { self.tls_url() }
            fn query(&self, statement: &str) -> String { self.query(statement) }
            fn ago(secs: i64) -> String { format!($ago, secs) }
        }

        mod $name {
            use super::*;

            #[test]
            fn nodes_on_one_host_find_each_other_and_leave() { super::nodes_on_one_host_find_each_other_and_leave::<$database>(); }
            #[test]
            fn only_the_databases_clock_judges_rows() { super::only_the_databases_clock_judges_rows::<$database>(); }
            #[test]
            fn a_database_that_comes_and_goes_stops_nobody() { super::a_database_that_comes_and_goes_stops_nobody::<$database>(); }
            #[test]
            fn a_node_that_moved_has_one_row() { super::a_node_that_moved_has_one_row::<$database>(); }
            #[test]
            fn a_certificate_is_checked_when_the_url_says_so() { super::a_certificate_is_checked_when_the_url_says_so::<$database>(); }
            #[test]
            fn a_table_with_other_columns_is_only_a_warning() { super::a_table_with_other_columns_is_only_a_warning::<$database>(); }
        })*
    };
}

databases! {
    postgres: Postgres, "now() - interval '{} seconds'";
    mariadb: Mariadb, "now(6) - interval {} second";
}

fn node(id: u16, database: &impl Database, interval: Duration) -> Searching {
    Searching::start(id, free_address(), settings(&[], Some(database.url()), interval), Names::system())
}

fn count(database: &impl Database) -> usize {
    database.query("select * from cluster_nodes").lines().count()
}

fn nodes_on_one_host_find_each_other_and_leave<D: Database>() {
    let database = D::start_new();
    // All at once: each tries to create the table.
    let nodes: Vec<_> = (1..=4).map(|id| node(id, &database, OFTEN)).collect();
    let all: HashSet<SocketAddr> = nodes.iter().map(|node| node.address).collect();
    for node in &nodes {
        let others = all.iter().filter(|address| **address != node.address);
        others.for_each(|address| node.wait_for(*address));
        assert!(!node.found().contains(&node.address), "a node is not told of itself");
    }
    assert_eq!(count(&database), 4);
    let port = nodes[0].address.port();
    // As a reader made for Tigase's table sees it, under its newer name too.
    let row = database.query(&format!(
        "select hostname, secondary, password, port, last_update is not null, mem_usage > 0, cpu_usage >= 0 \
         from tig_cluster_nodes where port = {port}"
    ));
    let row = row.trim_end().replace("|t", "|1");
    assert_eq!(row, format!("127.0.0.1|mqtt1.example.org||{port}|1|1|1"));
    let own =
        database.query(&format!("select node_id, incarnation, name from cluster_nodes where port = {port}"));
    assert_eq!(own, "1|1|node's \"1\" ü\n");
    for (left, node) in nodes.into_iter().enumerate() {
        node.leave();
        assert_eq!(count(&database), 3 - left);
    }
}

fn only_the_databases_clock_judges_rows<D: Database>() {
    let database = D::start_new();
    let first = node(1, &database, RARELY);
    wait_until("the table has a row", DEADLINE, || {
        first.is_running() && database.query("select 1").trim() == "1" && {
            let names = "select table_name from information_schema.tables where table_name = 'cluster_nodes'";
            !database.query(names).is_empty() && count(&database) == 1
        }
    });
    for (port, secs) in [(101, 200), (102, -100), (103, 310), (104, -310), (105, 610), (106, -86_400)] {
        let ago = D::ago(secs);
        database.query(&format!(
            "insert into cluster_nodes (hostname, port, cpu_usage, mem_usage, last_update) values ('127.0.0.2', {port}, 0, 0, {ago})"
        ));
    }
    let second = node(2, &database, RARELY);
    second.wait_for(first.address);
    let at = |port| SocketAddr::from(([127, 0, 0, 2], port));
    assert_eq!(second.found(), HashSet::from([first.address, at(101), at(102)]));
    let kept = || database.query("select port from cluster_nodes where hostname = '127.0.0.2' order by port");
    wait_until("rows older than ten intervals are gone", DEADLINE, || kept() == "101\n102\n103\n104\n");
    second.leave();
    first.leave();
}

fn a_database_that_comes_and_goes_stops_nobody<D: Database>() {
    let mut database = D::start_new();
    database.stop();
    // It is not there yet when the first node starts.
    let first = node(1, &database, OFTEN);
    database.start();
    let second = node(2, &database, OFTEN);
    first.wait_for(second.address);
    database.stop();
    let third = node(3, &database, OFTEN);
    assert!(first.is_running() && second.is_running() && third.is_running());
    database.start();
    first.wait_for(third.address);
    third.wait_for(first.address);
    third.wait_for(second.address);
    // One that leaves while the database is away ends all the same; its row stays. The others' go, whether they have
    // noticed that the database is there again or not.
    database.stop();
    third.leave();
    database.start();
    second.leave();
    first.leave();
    assert_eq!(count(&database), 1, "what the third could not take away");
}

fn a_node_that_moved_has_one_row<D: Database>() {
    let database = D::start_new();
    let start = |id, life| {
        let search = settings(&[], Some(database.url()), OFTEN);
        Searching::start_life(id, life, free_address(), search, Names::system())
    };
    let other = node(9, &database, OFTEN);
    let before = start(1, 1);
    other.wait_for(before.address);
    let stale = before.address.port();
    before.leave();
    let old = D::ago(3);
    database.query(&format!(
        "insert into cluster_nodes (hostname, port, cpu_usage, mem_usage, node_id, incarnation, last_update) \
         values ('127.0.0.1', {stale}, 0, 0, 1, 1, {old})"
    ));
    let after = start(1, 2);
    other.wait_for(after.address);
    wait_until("one row is left of the node", DEADLINE, || {
        database.query("select port from cluster_nodes where node_id = 1").trim()
            == after.address.port().to_string()
    });
    after.leave();
    other.leave();
}

fn a_table_with_other_columns_is_only_a_warning<D: Database>() {
    let database = D::start_new();
    database.query("create table cluster_nodes (hostname varchar(255) primary key, port int)");
    let lone = node(1, &database, OFTEN);
    let other: SocketAddr = "127.0.0.2:5777".parse().unwrap();
    let search = settings(&["127.0.0.2:5777"], Some(database.url()), OFTEN);
    let seeded = Searching::start(2, free_address(), search, Names::system());
    seeded.wait_for(other);
    database.query("drop table cluster_nodes");
    lone.wait_for(seeded.address);
    seeded.leave();
    lone.leave();
}

fn a_certificate_is_checked_when_the_url_says_so<D: Database>() {
    let database = D::start_new();
    let start = |id, url: String| {
        Searching::start(id, free_address(), settings(&[], Some(url), OFTEN), Names::system())
    };
    let url = database.tls_url();
    let (other_roots, _) = url.rsplit_once('&').unwrap();
    let deceived = start(1, other_roots.to_owned());
    let (one, other) = (start(2, url.clone()), start(3, url));
    one.wait_for(other.address);
    other.wait_for(one.address);
    let port = deceived.address.port();
    assert_eq!(database.query(&format!("select * from cluster_nodes where port = {port}")), "");
    assert!(deceived.is_running() && deceived.found().is_empty());
    for node in [deceived, one, other] {
        node.leave();
    }
}
