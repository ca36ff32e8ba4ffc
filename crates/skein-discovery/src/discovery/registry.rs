//! The registry: a table in PostgreSQL, MySQL or MariaDB in which each node says that it is there, and reads who else is.
//!
//! How old a row is, is the database's statement alone; no node's clock is compared with another's. A row in the future is as
//! old as it is far away: after the database's clock has been set back, live nodes write theirs anew, and others vanish. The
//! cluster's secret is never in the table. [`super::Search`] calls this.

use std::{sync::Once, time::Duration};

use sqlx_core::{
    any::{Any, AnyConnection, AnyRow, driver::install_drivers},
    connection::Connection,
    query::query,
    row::Row,
};
use thiserror::Error;

use super::{
    Seed,
    dialect::{Dialect, MYSQL, POSTGRES},
};

/// A row that is older than so many intervals is not used.
const USED_INTERVALS: u32 = 5;
/// A row that is older than so many intervals is removed.
const KEPT_INTERVALS: u32 = 10;
/// A row of an earlier life of this node is removed once it is older than so many intervals: until then it may be that of
/// another node that was given the same id, which is for the links to find out.
const EARLIER_INTERVALS: u32 = 2;
/// How long all statements of a round may take together; a database that is slower fails.
const ROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// A URL that names no database.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryUrlError {
    /// Some other database.
    #[error(
        "cluster: cluster.registry begins with neither postgres:// nor mysql://. No other database can hold the registry."
    )]
    Scheme,
}

/// Where the registry is. It is shown without what may be a password.
#[derive(Clone)]
pub struct RegistryUrl {
    url: String,
    dialect: &'static Dialect,
}

impl RegistryUrl {
    /// Takes `postgres://` and `mysql://` URLs.
    ///
    /// # Errors
    ///
    /// For other schemes. That the rest is wrong shows when a connection is opened.
    pub fn new(url: &str) -> Result<Self, RegistryUrlError> {
        let dialect = match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => &POSTGRES,
            Some("mysql" | "mariadb") => &MYSQL,
            _ => return Err(RegistryUrlError::Scheme),
        };
        Ok(Self { url: url.to_owned(), dialect })
    }
}

impl std::fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let rest = rest.split('?').next().unwrap_or_default();
        let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
        write!(f, "{scheme}://{server}")
    }
}

impl std::fmt::Debug for RegistryUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryUrl({self})")
    }
}

/// Why a round failed.
#[derive(Debug, Error)]
pub(super) enum RegistryError {
    #[error("{0}")]
    Database(#[from] sqlx_core::Error),
    #[error("no answer within {} s", ROUND_TIMEOUT.as_secs())]
    TimedOut,
}

/// What this node says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OwnRow {
    pub hostname: String,
    pub port: u16,
    pub secondary: Option<String>,
    pub cpu_usage: f64,
    pub mem_usage: f64,
    pub node_id: u16,
    pub incarnation: u64,
    pub name: String,
}

/// The registry with its connection, which is opened when it is needed.
#[derive(Debug)]
pub(super) struct Registry {
    url: RegistryUrl,
    interval: Duration,
    connection: Option<AnyConnection>,
}

impl Registry {
    pub(super) fn new(url: RegistryUrl, interval: Duration) -> Self {
        static DRIVERS: Once = Once::new();
        // Whoever embeds the node may have installed drivers of the same kind: then those are used.
        DRIVERS.call_once(|| _ = install_drivers(&[sqlx_postgres::any::DRIVER, sqlx_mysql::any::DRIVER]));
        Self { url, interval, connection: None }
    }

    pub(super) fn url(&self) -> &RegistryUrl {
        &self.url
    }

    /// Says that this node is there and reads where others are.
    pub(super) async fn round(&mut self, own: &OwnRow) -> Result<Vec<Seed>, RegistryError> {
        let (url, interval, connection) = (&self.url, self.interval, self.connection.take());
        let round = async {
            let mut open = match connection {
                Some(open) => open,
                None => connect(url).await?,
            };
            let seeds = exchange(url.dialect, interval, &mut open, own).await?;
            Ok((open, seeds))
        };
        // A connection on which something failed or was given up half-way is not used again.
        let (open, seeds) =
            tokio::time::timeout(ROUND_TIMEOUT, round).await.unwrap_or(Err(RegistryError::TimedOut))?;
        self.connection = Some(open);
        Ok(seeds)
    }

    /// Takes this node's row away, because it leaves.
    pub(super) async fn leave(&mut self, own: &OwnRow) -> Result<(), RegistryError> {
        let leave = async {
            if let Some(open) = self.connection.take()
                && delete_own(self.url.dialect, open, own).await.is_ok()
            {
                return Ok(());
            }
            // What was open may be from before the database was started again.
            delete_own(self.url.dialect, AnyConnection::connect(&self.url.url).await?, own).await
        };
        tokio::time::timeout(ROUND_TIMEOUT, leave).await.unwrap_or(Err(RegistryError::TimedOut))
    }
}

async fn delete_own(dialect: &Dialect, mut open: AnyConnection, own: &OwnRow) -> Result<(), RegistryError> {
    let statement = query::<Any>(dialect.delete_own).bind(own.hostname.clone()).bind(i64::from(own.port));
    statement.execute(&mut open).await?;
    // The row is gone; what a good-bye to the database says does not matter any more.
    drop(open.close().await);
    Ok(())
}

/// A connection to a database that has the table.
async fn connect(url: &RegistryUrl) -> Result<AnyConnection, RegistryError> {
    let dialect = url.dialect;
    let mut open = AnyConnection::connect(&url.url).await?;
    // Asked first, because a user without the right to create may use what is there.
    if query::<Any>(dialect.probe).execute(&mut open).await.is_err() {
        // Of two nodes that create it at the same time one may fail; it finds the other's.
        if query::<Any>(dialect.create_table).execute(&mut open).await.is_err() {
            query::<Any>(dialect.create_table).execute(&mut open).await?;
        }
    }
    if query::<Any>(dialect.probe_view).execute(&mut open).await.is_err()
        && let Err(error) = query::<Any>(dialect.create_view).execute(&mut open).await
    {
        // No node needs the view.
        tracing::debug!(%error, "the view tig_cluster_nodes cannot be created");
    }
    Ok(open)
}

/// Writes this node's row, reads the others' and removes those that are too old.
async fn exchange(
    dialect: &Dialect,
    interval: Duration,
    open: &mut AnyConnection,
    own: &OwnRow,
) -> Result<Vec<Seed>, RegistryError> {
    let incarnation = i64::try_from(own.incarnation).unwrap_or(i64::MAX);
    let upsert = query::<Any>(dialect.upsert)
        .bind(own.hostname.clone())
        .bind(own.secondary.clone())
        .bind(i64::from(own.port))
        .bind(own.cpu_usage)
        .bind(own.mem_usage)
        .bind(i64::from(own.node_id))
        .bind(incarnation)
        .bind(own.name.clone());
    upsert.execute(&mut *open).await?;
    let rows = query::<Any>(dialect.select).fetch_all(&mut *open).await?;
    let used_max = micros(interval * USED_INTERVALS);
    let seeds = rows.iter().filter_map(|row| seed_of(row, own, used_max)).collect();
    let earlier = query::<Any>(dialect.delete_earlier).bind(i64::from(own.node_id)).bind(incarnation);
    earlier.bind(micros(interval * EARLIER_INTERVALS)).execute(&mut *open).await?;
    query::<Any>(dialect.delete_old).bind(micros(interval * KEPT_INTERVALS)).execute(&mut *open).await?;
    Ok(seeds)
}

/// Where another node that is there is; rows that cannot be understood are nobody's.
fn seed_of(row: &AnyRow, own: &OwnRow, used_max: i64) -> Option<Seed> {
    let hostname: String = row.try_get(0).ok()?;
    let port = u16::try_from(row.try_get::<i64, _>(1).ok()?).ok()?;
    let age: i64 = row.try_get(2).ok()?;
    if age.saturating_abs() > used_max || (hostname == own.hostname && port == own.port) {
        return None;
    }
    let hostname = hostname.trim();
    if hostname.parse::<std::net::Ipv6Addr>().is_ok() {
        return format!("[{hostname}]:{port}").parse().ok();
    }
    format!("{hostname}:{port}").parse().ok()
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
