//! The model's limits, and a case added up by hand.

use super::*;
use crate::config::{InitSpec, NmfConfig};
use crate::shape::Machine;

const FAST: Network = Network { bandwidth: f64::INFINITY, latency: 0.0, adding: 0.0 };
const GIGABIT: Network = Network { bandwidth: 125e6, latency: 50e-6, adding: 1e-9 };

/// 4,096,000 cells in 1,000 blocks of 4,096 rows, 1,000 nonzeros a cell, a byte each.
fn shape() -> DataShape {
    DataShape {
        cells: 4_096_000,
        genes: 20_000,
        nonzeros: 4_096_000_000,
        layout: Layout::Sparse,
        block_rows: 4096,
        tile_rows: 256,
        packed_bytes: 4_096_000_000,
        max_tile_bytes: 300_000,
        max_block_bytes: 4_200_000,
        leading_genes: 1000,
        leading_nonzeros: 1_000_000_000,
        sample_row_entries: 2000,
        max_tile_nonzeros: 300_000,
        keeps_sample: false,
        own_cells: 4_096_000,
        own_bytes: 4_096_000_000,
        leaves_out_genes: false,
    }
}

/// Asks about a pass of 80 s of folding and 1 s of updating on 8 threads, k = 20.
fn asked<T>(shape: &DataShape, mebibytes: u64, cluster: Cluster, question: impl Fn(&Nodes<'_>) -> T) -> T {
    let config = NmfConfig::new(20).with_init(InitSpec::Random);
    let machine = Machine::new(8, mebibytes << 20);
    let plan = config.plan(shape, &machine).unwrap();
    let time = PassTime { seconds: 81.0, folding: 80.0, reading: 0.0, update: 1.0, rate: None };
    let blocks = blocks_foreseen(shape);
    let (alone, summed_bytes) = (Node::from(&plan.execution), summed_bytes(shape.genes, [20]));
    let plan = |part: &DataShape| config.plan(part, &machine).map(|plan| Node::from(&plan.execution));
    question(&Nodes { shape, plan: &plan, alone, time, summed_bytes, blocks: &blocks, cluster })
}

fn connected(network: Network) -> Cluster {
    Cluster { network, disk: None, shared_disk: None }
}

#[test]
fn one_node_is_the_plain_plan() {
    let cluster = Cluster { disk: Some(1e9), ..connected(GIGABIT) };
    asked(&shape(), 2048, cluster, |nodes| {
        let alone = nodes.on(1).unwrap();
        assert_eq!((alone.joining, alone.summing, alone.efficiency, alone.folding), (0.0, 0.0, 1.0, 80.0));
        assert_eq!((alone.cells, alone.peak_bytes), (4_096_000, nodes.alone.peak_bytes));
        assert_eq!(alone.reading, nodes.alone.read_bytes as f64 / 1e9);
        assert_eq!(alone.seconds, 81.0);
    });
}

#[test]
fn an_infinite_network_leaves_the_update_and_the_cut() {
    asked(&shape(), 1 << 20, connected(FAST), |nodes| {
        // 1,000 blocks on 4 nodes of 8 threads: 250 blocks a node, 32 in turn where 31.25 would be
        // even.
        let four = nodes.on(4).unwrap();
        // Two meetings of twice four messages, each of which waits a look.
        let expected = 80.0 / 4.0 * (32.0 * 8.0 / 250.0) + 2.0 * 8.0 * 100e-6 + 1.0;
        assert!((four.seconds - expected).abs() < 1e-9, "{} and {expected}", four.seconds);
        // 1,000 nodes have a block each: seven of eight threads are idle.
        let most = nodes.on(1000).unwrap();
        assert!((most.folding - 80.0 / 1000.0 * 8.0).abs() < 1e-9 && most.blocks == 1, "{most:?}");
        assert_eq!((most.limit, nodes.largest_useful()), (Limit::Update, 1000));
        let beyond = nodes.on(5000).unwrap();
        assert_eq!((beyond.folding, beyond.update), (most.folding, most.update));
    });
}

#[test]
fn a_case_by_hand() {
    // k = 20 needs no padding: 8·(20,000·20 + 400) bytes in 7 pieces of 512 KiB.
    let bytes: u64 = 3_203_200;
    assert_eq!(asked(&shape(), 1 << 20, connected(GIGABIT), |nodes| nodes.summed_bytes), bytes);
    let sending = 3_203_200.0 / (0.94 * 125e6);
    let adding = 3_203_200.0 * 1e-9;
    // Eight processes: twice three rounds and 14/8 of the bytes beat three rounds of all bytes.
    let meeting = |rounds: f64| 4.0 * rounds * (50e-6 + 100e-6);
    let eight = meeting(3.0) + 2.0 * 3.0 * 7.0 * 50e-6 + 14.0 / 8.0 * sending + adding;
    assert!((GIGABIT.summing(8, bytes) - eight).abs() < 1e-12);
    // Two processes: one round of all bytes.
    assert!((GIGABIT.summing(2, bytes) - (meeting(1.0) + 7.0 * 50e-6 + sending + adding)).abs() < 1e-12);
    // So few bytes that only the number of messages counts.
    assert!((GIGABIT.summing(8, 8) - meeting(3.0) - 3.0 * (50e-6 + 8.0 / (0.94 * 125e6) + 8e-9)).abs() < 1e-12);
    assert_eq!((GIGABIT.summing(1, bytes), GIGABIT.meeting(1)), (0.0, 0.0));
}

#[test]
fn a_slower_network_or_disk_never_helps() {
    let seconds = |cluster| asked(&shape(), 100, cluster, |nodes| nodes.on(16).unwrap().seconds);
    let mut last = 0.0;
    for bandwidth in [f64::INFINITY, 25e9, 12.5e9, 1.25e9, 125e6, 12.5e6] {
        let now = seconds(connected(Network { bandwidth, ..GIGABIT }));
        assert!(now > last, "{bandwidth}: {now} after {last}");
        last = now;
    }
    let slow_disk = |disk| seconds(Cluster { disk: Some(disk), ..connected(FAST) });
    assert!(slow_disk(1e9) <= slow_disk(1e7) && slow_disk(1e7) < slow_disk(1e6));
    let shared = |rate| seconds(Cluster { shared_disk: Some(rate), ..connected(FAST) });
    assert!(shared(1e12) <= shared(1e8) && shared(1e8) < shared(1e7));
}

#[test]
fn a_share_that_fits_into_memory_is_not_read() {
    let cluster = Cluster { disk: Some(20e6), ..connected(FAST) };
    asked(&shape(), 1024, cluster, |nodes| {
        let (one, eight) = (nodes.on(1).unwrap(), nodes.on(8).unwrap());
        assert_eq!((one.limit, eight.reading), (Limit::Disk, 0.0));
        assert!(eight.efficiency > 1.0 && eight.peak_bytes <= 1 << 30, "{eight:?}");
    });
}

#[test]
fn it_stops_where_doubling_brings_little_and_says_why() {
    let stop = |mebibytes, cluster| asked(&shape(), mebibytes, cluster, |nodes| nodes.table(1).unwrap());
    let slow = Network { bandwidth: 1.25e6, ..GIGABIT };
    let shared = Cluster { shared_disk: Some(40e6), ..connected(FAST) };
    for (why, mebibytes, cluster, limit) in [
        ("H", 1 << 20, connected(FAST), Limit::Update),
        ("the network", 1 << 20, connected(slow), Limit::Network),
        ("a disk for all", 100, shared, Limit::SharedDisk),
    ] {
        let (rows, stop) = stop(mebibytes, cluster);
        assert_eq!(stop.limit, limit, "{why}: {rows:#?}");
        let at = |nodes| rows.iter().find(|row| row.nodes == nodes).expect("a row for every power of two").seconds;
        assert!(at(stop.nodes) < 1.5 * at(2 * stop.nodes), "{why}");
        assert!(stop.nodes == 1 || at(stop.nodes / 2) >= 1.5 * at(stop.nodes), "{why}");
        assert_eq!(rows.last().map(|row| row.nodes), Some(2 * stop.nodes), "{why}");
    }
    // So slow that no number tells one time from another.
    let (rows, stop) = stop(1 << 20, connected(Network { bandwidth: 0.0, ..GIGABIT }));
    assert_eq!((rows.len(), stop), (2, Stop { nodes: 1, limit: Limit::Network }));
    let few = DataShape {
        cells: 4096 * 12,
        nonzeros: 49_152_000,
        packed_bytes: 49_152_000,
        own_cells: 4096 * 12,
        own_bytes: 49_152_000,
        ..shape()
    };
    let (_, stop) = asked(&few, 1 << 20, connected(FAST), |nodes| nodes.table(1).unwrap());
    // Two nodes have six blocks for eight threads each.
    assert_eq!(stop, Stop { nodes: 2, limit: Limit::Blocks });
}

#[test]
fn the_table_has_every_power_of_two_and_what_was_asked_for() {
    asked(&shape(), 1 << 20, connected(FAST), |nodes| {
        let rows = |asked| nodes.table(asked).unwrap().0.iter().map(|row| row.nodes).collect::<Vec<_>>();
        assert_eq!(rows(100), [1, 2, 4, 8, 16, 32, 64, 100, 128]);
        assert_eq!(rows(1), rows(64));
    });
}

#[test]
fn dense_shares_are_counted_in_rows() {
    let dense = DataShape { layout: Layout::Dense, nonzeros: 17, max_tile_nonzeros: 0, ..shape() };
    asked(&dense, 1 << 20, connected(FAST), |nodes| {
        let four = nodes.on(4).unwrap();
        assert!((four.folding - 80.0 / 4.0 * (32.0 * 8.0 / 250.0)).abs() < 1e-9, "{four:?}");
    });
}
