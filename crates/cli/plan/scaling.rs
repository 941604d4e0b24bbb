//! `plan --nodes`: the speed of passes on many nodes, as a table and as JSON.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use partwise::driver::nodes::{Cluster, Limit, Network, Nodes, OnNodes, measure_adding};
use serde::Serialize;

use super::network::Link;
use crate::failure::Failure;
use crate::size::ByteSize;
use crate::wording::{duration, thousands};

/// The limit of `--nodes`: more nodes than any cluster has, and few enough for a table in memory.
const MOST_NODES: usize = 1 << 16;

/// The options that describe a cluster.
#[derive(Args, Debug)]
#[command(next_help_heading = "Many nodes")]
pub(super) struct ClusterOptions {
    /// Forecast passes on 1, 2, 4, … up to N nodes, and the number of nodes beyond which more of
    /// them hardly help. Each node runs one process with --threads and --memory. The forecast takes
    /// the speed of this machine, so run it on a node of the cluster
    #[arg(long, value_name = "N", value_parser = nodes)]
    nodes: Option<NonZeroUsize>,
    /// The network between the nodes: 1Gb, 10Gb or 25Gb (TCP on Ethernet; latency 50, 30 or 20 us),
    /// 100Gb or 200Gb (RDMA; 2 us), or a bandwidth and a latency, such as 40Gb,5us [default: 10Gb]
    #[arg(long, value_name = "NAME", requires = "nodes")]
    network: Option<Link>,
    /// The bytes per second that each node reads from its own disk, such as 2G (2·2³⁰) [default: as
    /// measured here]
    #[arg(long, value_name = "RATE", requires = "nodes", value_parser = rate)]
    disk: Option<ByteSize>,
    /// The bytes per second that all nodes together read from a shared file system [default: each
    /// node has its own disk]
    #[arg(long, value_name = "RATE", requires = "nodes", value_parser = rate)]
    shared_disk: Option<ByteSize>,
}

fn nodes(typed: &str) -> Result<NonZeroUsize, String> {
    let number = typed.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST_NODES);
    number.ok_or_else(|| format!("the number of nodes is between 1 and {MOST_NODES}"))
}

fn rate(typed: &str) -> Result<ByteSize, String> {
    let size: ByteSize = typed.parse()?;
    if size.0 > 0 { Ok(size) } else { Err("the rate of a disk is larger than 0".into()) }
}

/// The cluster that the user asked for, with the speed of additions on this machine.
#[derive(Debug)]
pub(super) struct Asked {
    nodes: usize,
    link: Link,
    pub(super) cluster: Cluster,
}

impl ClusterOptions {
    /// The cluster; `None` without `--nodes`. Measures the speed of additions on this machine,
    /// which takes some milliseconds.
    pub(super) fn asked(&self) -> Option<Asked> {
        let nodes = self.nodes?.get();
        let link = self.network.unwrap_or_else(|| "10Gb".parse().expect("a name of the table"));
        let network = Network { bandwidth: link.bits / 8.0, latency: link.latency, adding: measure_adding() };
        let rate = |size: Option<ByteSize>| size.map(|size| size.0 as f64);
        let cluster = Cluster { network, disk: rate(self.disk), shared_disk: rate(self.shared_disk) };
        Some(Asked { nodes, link, cluster })
    }
}

/// The keys that `--nodes` adds to `plan --json`.
#[derive(Serialize)]
pub(super) struct Scaling {
    nodes: usize,
    /// The bandwidth of the network in each direction, as the user named it.
    network_bits_per_second: f64,
    latency_seconds: f64,
    /// The time that this machine takes to add a received byte.
    adding_seconds_per_byte: f64,
    /// The bytes that each process contributes to the sums of a pass.
    summed_bytes_per_pass: u64,
    /// Passes on 1, 2, 4, … nodes.
    scaling: Vec<Row>,
    /// The first number of nodes for which twice as many make a pass faster by a factor of less
    /// than 1.5.
    stops_at_nodes: usize,
    /// The reason for that limit.
    stops_by: &'static str,
    /// The number of blocks: more nodes than that have no work.
    largest_useful_nodes: usize,
    #[serde(skip)]
    link: Link,
}

#[derive(Serialize)]
struct Row {
    nodes: usize,
    /// The cells of the node that has most.
    cells: usize,
    blocks: usize,
    pass_seconds: f64,
    folding_seconds: f64,
    reading_seconds: f64,
    joining_seconds: f64,
    summing_seconds: f64,
    update_seconds: f64,
    /// The fraction of the pass that joining and summing take.
    summing_share: f64,
    efficiency: f64,
    /// The peak memory of the process on each node.
    peak_bytes: u64,
    limit: &'static str,
}

impl Scaling {
    pub(super) fn of(asked: &Asked, nodes: &Nodes<'_>) -> Result<Self, Failure> {
        let (rows, stop) = nodes.table(asked.nodes)?;
        Ok(Scaling {
            nodes: asked.nodes,
            network_bits_per_second: asked.link.bits,
            latency_seconds: asked.link.latency,
            adding_seconds_per_byte: asked.cluster.network.adding,
            summed_bytes_per_pass: nodes.summed_bytes,
            scaling: rows.iter().map(Row::of).collect(),
            stops_at_nodes: stop.nodes,
            stops_by: word(stop.limit),
            largest_useful_nodes: nodes.largest_useful(),
            link: asked.link,
        })
    }
}

impl Scaling {
    /// The nodes that the user asked for.
    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    /// How many times shorter a pass is on them than on one.
    pub(super) fn gain(&self) -> Option<f64> {
        let asked = self.scaling.iter().find(|row| row.nodes == self.nodes)?;
        Some(self.scaling[0].pass_seconds / asked.pass_seconds)
    }
}

impl Row {
    fn of(row: &OnNodes) -> Self {
        Row {
            nodes: row.nodes,
            cells: row.cells,
            blocks: row.blocks,
            pass_seconds: row.seconds,
            folding_seconds: row.folding,
            reading_seconds: row.reading,
            joining_seconds: row.joining,
            summing_seconds: row.summing,
            update_seconds: row.update,
            summing_share: (row.joining + row.summing) / row.seconds,
            efficiency: row.efficiency,
            peak_bytes: row.peak_bytes,
            limit: word(row.limit),
        }
    }

    /// The cells of the table, in the order of [`HEADER`].
    fn cells(&self) -> [String; COLUMNS] {
        [
            thousands(self.nodes as u64),
            thousands(self.cells as u64),
            time(self.pass_seconds),
            format!("{:.1} %", 100.0 * self.summing_share),
            format!("{:.0} %", 100.0 * self.efficiency),
            ByteSize(self.peak_bytes).to_string(),
            self.limit.to_owned(),
        ]
    }
}

fn word(limit: Limit) -> &'static str {
    match limit {
        Limit::Computing => "computing",
        Limit::Disk => "disk",
        Limit::SharedDisk => "shared disk",
        Limit::Blocks => "blocks",
        Limit::Network => "network",
        Limit::Update => "update of H",
    }
}

/// A duration with milliseconds, because passes on many nodes are short.
fn time(seconds: f64) -> String {
    if seconds < 0.995 { format!("{:.3} s", seconds) } else { duration(Duration::from_secs_f64(seconds)) }
}

const COLUMNS: usize = 7;

const HEADER: [&str; COLUMNS] =
    ["nodes", "cells a node", "a pass", "sums", "efficiency", "memory a node", "limited by"];

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network  {}, {} to add up in a pass\n", self.link, ByteSize(self.summed_bytes_per_pass))?;
        let rows: Vec<[String; COLUMNS]> = self.scaling.iter().map(Row::cells).collect();
        let header = HEADER.map(str::to_owned);
        let widths: [usize; COLUMNS] =
            std::array::from_fn(|column| rows.iter().chain([&header]).map(|row| row[column].len()).max().unwrap_or(0));
        for row in std::iter::once(&header).chain(&rows) {
            // The last column holds words, so it is aligned to the left.
            let (words, numbers) = row.split_last().expect("a row has columns");
            let padded = numbers.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
            writeln!(f, "{}  {words}", padded.collect::<Vec<_>>().join("  "))?;
        }
        let blocks = thousands(self.largest_useful_nodes as u64);
        write!(
            f,
            "\nstops    at {}: twice as many take more than two thirds of the time ({}); nodes beyond {blocks} have no block",
            counted(self.stops_at_nodes),
            self.stops_by
        )
    }
}

fn counted(nodes: usize) -> String {
    if nodes == 1 { "1 node".into() } else { format!("{} nodes", thousands(nodes as u64)) }
}
