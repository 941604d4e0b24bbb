//! A table of cases: a plan is pure.

use partwise_storage::store::Layout;

use super::*;

fn shape(cells: usize, genes: usize, per_cell: u64) -> DataShape {
    let nonzeros = cells as u64 * per_cell;
    DataShape {
        cells,
        genes,
        nonzeros,
        layout: Layout::Sparse,
        block_rows: 4096,
        tile_rows: 256,
        packed_bytes: nonzeros,
        max_tile_bytes: 300 * per_cell,
        max_block_bytes: 4200 * per_cell,
        leading_genes: 1000,
        leading_nonzeros: nonzeros / 3,
        sample_row_entries: 2 * per_cell,
        max_tile_nonzeros: 300 * per_cell as usize,
        keeps_sample: false,
        own_cells: cells,
        own_bytes: nonzeros,
        leaves_out_genes: false,
    }
}

fn machine(threads: usize, mebibytes: u64) -> Machine {
    Machine::new(threads, mebibytes << 20)
}

#[test]
fn the_peak_stays_within_the_budget_and_threads_give_way_first() {
    let shape = shape(50_000_000, 20_000, 1000);
    let config = NmfConfig::new(20);
    let ample = config.plan(&shape, &machine(16, 64 << 10)).unwrap();
    assert_eq!((ample.execution.threads, &ample.execution.usages), (16, &UsagesPlace::Memory));
    let small = config.plan(&shape, &machine(16, 80)).unwrap();
    assert!(
        small.execution.threads < 16
            && matches!(small.execution.usages, UsagesPlace::Disk(_))
            && !small.execution.map_store
    );
    for plan in [ample, small] {
        assert!(plan.execution.peak_bytes <= plan.execution.memory, "{plan:?}");
    }
}

#[test]
fn a_process_among_many_needs_less_and_the_sample_stays_the_same() {
    let shape = shape(50_000_000, 20_000, 1000);
    let config = NmfConfig::new(20);
    let alone = config.plan(&shape, &machine(16, 64 << 10)).unwrap();
    let among = config.plan(&shape.shared_by(64), &machine(16, 64 << 10)).unwrap();
    assert_eq!(alone.models, among.models);
    assert!(among.execution.peak_bytes < alone.execution.peak_bytes / 16, "{among:?}");
    assert_eq!(among.execution.pass_bytes, alone.execution.pass_bytes * 191 * 4096 / 50_000_000);
    // Twice as many processes as blocks: those that have one have one.
    let crowd = config.plan(&shape.shared_by(24_416), &machine(16, 64 << 10)).unwrap();
    assert_eq!((crowd.execution.threads, crowd.execution.pool_threads), (1, 16));
}

#[test]
fn a_budget_too_small_is_told_what_would_do_and_that_does() {
    let shape = shape(1_000_000, 30_000, 1000);
    let config = NmfConfig::new(20);
    let Err(ConfigError::Memory { needed, .. }) = config.plan(&shape, &machine(4, 8)) else {
        panic!("8 MiB cannot do")
    };
    let plan = config.plan(&shape, &Machine::new(4, needed)).unwrap();
    assert_eq!((plan.execution.threads, plan.execution.peak_bytes), (1, needed));
    assert!(config.plan(&shape, &Machine::new(4, needed - 1)).is_err());
}

#[test]
fn what_the_budget_has_left_holds_blocks() {
    let shape = shape(2_400_000, 20_000, 1000);
    let config = NmfConfig::new(20);
    let plan = |mebibytes| config.plan(&shape, &machine(2, mebibytes)).unwrap();
    let (small, large, all) = (plan(80), plan(1024), plan(4096));
    assert!(
        large.execution.pinned_bytes > 300 << 20 && large.execution.peak_bytes <= large.execution.memory,
        "{large:?}"
    );
    assert!(large.execution.memory - large.execution.peak_bytes < 1 << 20, "next to nothing is left over: {large:?}");
    assert_eq!(large.execution.read_bytes(), shape.packed_bytes - large.execution.pinned_bytes);
    assert!(
        small.execution.pinned_bytes < 64 << 20 && small.execution.peak_bytes <= small.execution.memory,
        "{small:?}"
    );
    assert_eq!((all.execution.map_store, all.execution.pinned_bytes, all.execution.read_bytes()), (true, 0, 0));
}

#[test]
fn lower_blocks_are_advised_where_they_need_less_and_they_do() {
    let tall = DataShape { block_rows: 16_384, ..shape(1_000_000, 2_000, 100) };
    let config = NmfConfig::new(64).with_init(InitSpec::Random);
    let error = config.plan(&tall, &machine(1, 8)).unwrap_err();
    let ConfigError::Memory { needed, lower_blocks: Some(lower), .. } = error else { panic!("{error}") };
    assert!(lower.needed < needed && lower.block_rows < 16_384 && lower.block_rows % 256 == 0, "{lower:?}");
    let shape = DataShape { block_rows: lower.block_rows, ..tall };
    assert!(config.plan(&shape, &Machine::new(1, lower.needed)).is_ok());
    let lowest = DataShape { block_rows: 256, ..tall };
    let error = config.plan(&lowest, &machine(1, 8)).unwrap_err();
    assert!(matches!(error, ConfigError::Memory { lower_blocks: None, .. }), "{error}");
}

#[test]
fn threads_beyond_blocks_are_as_many_as_chunks_of_genes_at_most() {
    let plan = |genes| NmfConfig::new(5).plan(&shape(8192, genes, 10), &machine(4096, 100_000)).unwrap();
    // Two blocks; 60 genes are one chunk of 512, and 20,000 are 40.
    assert_eq!((plan(60).execution.threads, plan(60).execution.pool_threads), (2, 2));
    assert_eq!((plan(20_000).execution.threads, plan(20_000).execution.pool_threads), (2, 40));
}

#[test]
fn what_shapes_the_result_does_not_depend_on_the_machine() {
    let shape = shape(1_000_000, 20_000, 1000);
    let config = NmfConfig::new(20);
    let (a, b) = (config.plan(&shape, &machine(1, 100)).unwrap(), config.plan(&shape, &machine(16, 8000)).unwrap());
    assert_eq!(a.models, b.models);
}

#[test]
fn settings_out_of_range_are_refused() {
    let shape = shape(1000, 50, 10);
    let plan = |config: NmfConfig| config.plan(&shape, &machine(1, 1000)).unwrap_err();
    assert_eq!(plan(NmfConfig::new(51)), ConfigError::Components { k: 51, cells: 1000, genes: 50, most: 50 });
    assert!(matches!(plan(NmfConfig::new(0)), ConfigError::Components { .. }));
    assert!(matches!(plan(NmfConfig::new(5).with_tol(f64::NAN)), ConfigError::Number { name: "tol", .. }));
    let one_pass = NmfConfig::new(5).with_max_passes(1);
    assert_eq!(plan(one_pass.clone().with_init(InitSpec::Sample)), ConfigError::SamplePasses);
    assert_eq!(one_pass.plan(&shape, &machine(1, 1000)).unwrap().model().init, Init::Random);
    assert_eq!(plan(NmfConfig::new(5).with_max_passes(0)), ConfigError::Zero { name: "max-passes" });
    let empty = DataShape { nonzeros: 0, ..shape };
    let error = NmfConfig::new(5).plan(&empty, &machine(1, 1000)).unwrap_err();
    assert_eq!(error, ConfigError::Empty { cells: 1000, genes: 50 });
}

#[test]
fn solvers_choose_their_starts() {
    let shape = shape(100_000, 2000, 100);
    let init = |config: NmfConfig| config.plan(&shape, &machine(1, 1000)).unwrap().model().init.clone();
    assert!(matches!(init(NmfConfig::new(5)), Init::Sample { .. }));
    assert_eq!(init(NmfConfig::new(5).with_solver(SolverSpec::Mu)), Init::Random);
    assert_eq!(init(NmfConfig::new(5).with_init(InitSpec::Random)), Init::Random);
}

#[test]
fn fits_that_do_not_fit_together_go_in_waves() {
    let shape = shape(1_000_000, 20_000, 1000);
    let set = FitSet::new(NmfConfig::new(5)).with_ks([5, 10, 20, 30]).with_seeds([0, 1]);
    let plan = |mebibytes| set.plan(&shape, &machine(2, mebibytes)).unwrap();
    let ample = plan(64 << 10);
    assert_eq!((ample.models.len(), ample.is_set, ample.execution.waves.len()), (8, true, 1));
    assert_eq!(ample.execution.waves[0], 0..8);
    assert_eq!(ample.models[3].id(), FitId { k: 10, seed: 1 });
    let small = plan(100);
    let waves = &small.execution.waves;
    assert!(waves.len() > 1 && waves[0].start == 0 && waves[waves.len() - 1].end == 8, "{waves:?}");
    assert!(waves.windows(2).all(|pair| pair[0].end == pair[1].start), "{waves:?}");
    assert_eq!((small.execution.threads, &small.models), (2, &ample.models));
    assert!(small.execution.peak_bytes <= small.execution.memory);
    // A fit that is too large alone is too large in a set as well, and the minimum is its own.
    let Err(ConfigError::Memory { needed, .. }) = set.plan(&shape, &machine(1, 8)) else { panic!("8 MiB is little") };
    let tight = set.plan(&shape, &Machine::new(1, needed)).unwrap();
    assert!(tight.execution.waves.len() > 1 && tight.execution.peak_bytes <= needed);
    let rest = set.plan_without(&[FitId { k: 10, seed: 1 }, FitId { k: 5, seed: 0 }], &shape, &machine(2, 9000));
    assert_eq!(rest.unwrap().models.len(), 6);
}

#[test]
fn lists_with_repeats_and_starts_for_many_are_refused() {
    let shape = shape(1000, 50, 10);
    let refuse = |set: FitSet| set.plan(&shape, &machine(1, 1000)).unwrap_err().to_string();
    let set = || FitSet::new(NmfConfig::new(5));
    assert!(refuse(set().with_ks([5, 6, 5])).contains("list of k has 5 more than once"));
    assert!(refuse(set().with_seeds([7, 7])).contains("list of seeds has 7 more than once"));
    assert!(refuse(set().with_ks([])).contains("list of k is empty"));
    assert!(refuse(set().with_ks([5, 51])).contains("k = 51"));
    let given = NmfConfig::new(5).with_init(InitSpec::Given("r.h5ad".into()));
    assert!(refuse(FitSet::new(given).with_ks([5, 6])).contains("not for 2 fits"));
}
