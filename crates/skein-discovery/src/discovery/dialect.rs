//! The statements of the registry, in the words of each database. Nothing else may send statements to it.
//!
//! The first seven columns are those of Tigase's table of the same name, so that its readers, and people who know it, find
//! `hostname` and `port` of each node. The key is both: several nodes may run on one host. Every time in it is the database's.

/// The statements for one kind of database.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Fails when the table is not there, or lacks a column.
    pub probe: &'static str,
    pub create_table: &'static str,
    /// Fails when the view is not there.
    pub probe_view: &'static str,
    pub create_view: &'static str,
    /// hostname, secondary, port, cpu, memory, node id, incarnation, name: this node is there, now.
    pub upsert: &'static str,
    /// node id, incarnation, microseconds: an earlier life of this node, at another address, that is not heard of any more.
    pub delete_earlier: &'static str,
    /// microseconds: rows that are older.
    pub delete_old: &'static str,
    /// hostname, port.
    pub delete_own: &'static str,
    /// hostname, port, age in microseconds; the newest first.
    pub select: &'static str,
}

const VIEW: &str = "create view tig_cluster_nodes as \
    select hostname, secondary, password, last_update, port, cpu_usage, mem_usage from cluster_nodes";
const PROBE: &str = "select hostname, secondary, port, cpu_usage, mem_usage, node_id, incarnation, name \
    from cluster_nodes where 1 = 0";
const PROBE_VIEW: &str = "select hostname from tig_cluster_nodes where 1 = 0";

pub(super) const POSTGRES: Dialect = Dialect {
    probe: PROBE,
    create_table: "create table if not exists cluster_nodes (
        hostname varchar(512) not null,
        secondary varchar(512),
        password varchar(255) not null default '',
        last_update timestamp with time zone not null default now(),
        port int not null,
        cpu_usage double precision not null,
        mem_usage double precision not null,
        node_id int not null default 0,
        incarnation bigint not null default 0,
        name varchar(255) not null default '',
        primary key (hostname, port))",
    probe_view: PROBE_VIEW,
    create_view: VIEW,
    upsert: "insert into cluster_nodes
            (hostname, secondary, port, cpu_usage, mem_usage, node_id, incarnation, name, last_update)
        values ($1, $2, $3, $4, $5, $6, $7, $8, now())
        on conflict (hostname, port) do update set secondary = excluded.secondary, cpu_usage = excluded.cpu_usage,
            mem_usage = excluded.mem_usage, node_id = excluded.node_id, incarnation = excluded.incarnation,
            name = excluded.name, last_update = now()",
    delete_earlier: "delete from cluster_nodes where node_id = $1 and incarnation < $2
        and abs(extract(epoch from (now() - last_update)) * 1000000) > $3",
    delete_old: "delete from cluster_nodes where abs(extract(epoch from (now() - last_update)) * 1000000) > $1",
    delete_own: "delete from cluster_nodes where hostname = $1 and port = $2",
    select: "select hostname, cast(port as bigint),
            cast(extract(epoch from (now() - last_update)) * 1000000 as bigint)
        from cluster_nodes order by last_update desc limit 4096",
};

pub(super) const MYSQL: Dialect = Dialect {
    probe: PROBE,
    create_table: "create table if not exists cluster_nodes (
        hostname varchar(255) not null,
        secondary varchar(512),
        password varchar(255) not null default '',
        last_update timestamp(6) not null default current_timestamp(6),
        port int not null,
        cpu_usage double not null,
        mem_usage double not null,
        node_id int not null default 0,
        incarnation bigint not null default 0,
        name varchar(255) not null default '',
        primary key (hostname, port)) default charset = utf8mb4",
    probe_view: PROBE_VIEW,
    create_view: VIEW,
    upsert: "insert into cluster_nodes
            (hostname, secondary, port, cpu_usage, mem_usage, node_id, incarnation, name, last_update)
        values (?, ?, ?, ?, ?, ?, ?, ?, now(6))
        on duplicate key update secondary = values(secondary), cpu_usage = values(cpu_usage),
            mem_usage = values(mem_usage), node_id = values(node_id), incarnation = values(incarnation),
            name = values(name), last_update = now(6)",
    delete_earlier: "delete from cluster_nodes where node_id = ? and incarnation < ?
        and abs(timestampdiff(microsecond, last_update, now(6))) > ?",
    delete_old: "delete from cluster_nodes where abs(timestampdiff(microsecond, last_update, now(6))) > ?",
    delete_own: "delete from cluster_nodes where hostname = ? and port = ?",
    select: "select hostname, cast(port as signed), timestampdiff(microsecond, last_update, now(6))
        from cluster_nodes order by last_update desc limit 4096",
};
