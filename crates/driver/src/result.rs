//! A fit as an AnnData file: `obsm["X_nmf"]` = W, `varm["spectra"]` = Hᵀ in the units of the input, `obs` and `var` of
//! the input, and everything about the fit in `uns["nmf"]`.

use std::path::Path;

use partwise_kernels::UpdateRule;
use partwise_storage::anndata::{AnnDataWriter, RowsInPlace, Value};
use partwise_storage::store::{Overwrite, Store};

use crate::comm::{Comm, Solo, agree};
use crate::config::ScaleSpec;
use crate::error::DriverError;
use crate::fit::Fit;
use crate::plan::{Init, Plan};
use crate::trace::TraceRow;

/// Writes `fit`, made from `store` by `plan`, to `dest`: whole or not at all. `notes` go into `uns["nmf"]` beside the
/// settings (the command line, the machine).
///
/// # Errors
///
/// As [`write_among`].
pub fn write(
    fit: &Fit,
    store: &Store,
    plan: &Plan,
    notes: Vec<(String, Value)>,
    dest: &Path,
    overwrite: Overwrite,
) -> Result<(), DriverError> {
    write_among(fit, store, plan, notes, dest, overwrite, &Solo)
}

/// [`write()`], for a fit that several processes have made. All of them call it. Process 0 makes the file, each writes its rows of W to their place in it, and process 0 puts it in
/// its own: so `dest` has to lie where all can reach it.
///
/// # Errors
///
/// - [`DriverError::Storage`]: `dest` exists and `overwrite` forbids it, the disk is full, or the store's annotations
///   are damaged.
/// - [`DriverError::Scratch`]: W cannot be read back from its scratch file.
/// - [`DriverError::Elsewhere`], [`DriverError::Comm`]: another process has failed or is lost.
pub fn write_among(
    fit: &Fit,
    store: &Store,
    plan: &Plan,
    notes: Vec<(String, Value)>,
    dest: &Path,
    overwrite: Overwrite,
    comm: &dyn Comm,
) -> Result<(), DriverError> {
    let begin = || {
        let mut file = AnnDataWriter::create(dest, overwrite)?;
        file.copy_annotations(&store.annotations()?)?;
        let place = file.array2("obsm", "X_nmf", fit.cells(), fit.k())?.place()?;
        Ok::<_, DriverError>((file, place))
    };
    let begun = if comm.rank() == 0 { Some(agree(comm, begin())?) } else { agree(comm, Ok(None))? };
    let mut place = begun.as_ref().map_or([0; 1], |(_, place)| [*place as i64]);
    comm.all_reduce_sum(&mut [&mut place])?;

    let rows = || {
        let rows = RowsInPlace::open(dest, place[0] as u64, fit.k())?;
        fit.for_each_usages::<DriverError>(|first, values| Ok(rows.write(first, values)?))?;
        Ok(rows.sync()?)
    };
    agree(comm, rows())?;

    let finish = |mut file: AnnDataWriter| {
        let mut spectra = file.array2("varm", "spectra", fit.genes(), fit.k())?;
        spectra.write_rows(0, &fit.spectra())?;
        drop(spectra);

        let mut about = settings(plan);
        about.extend(outcome(fit, store));
        about.push(("trace".into(), trace(&fit.trace)));
        about.extend(notes);
        file.uns("nmf", &Value::Map(about))?;
        Ok(file.finish()?)
    };
    agree(comm, begun.map_or(Ok(()), |(file, _)| finish(file)))
}

fn settings(plan: &Plan) -> Vec<(String, Value)> {
    let rule = |rule: UpdateRule| match rule {
        UpdateRule::Mu => ("mu", 1),
        UpdateRule::Bpp => ("bpp", 1),
        UpdateRule::Hals { sweeps } => ("hals", sweeps as i64),
    };
    let (name, usages_sweeps) = rule(plan.rules.usages);
    let (_, spectra_sweeps) = rule(plan.rules.spectra);
    let mut settings = vec![
        ("version".into(), env!("CARGO_PKG_VERSION").into()),
        ("k".into(), Value::Int(plan.k as i64)),
        ("rule".into(), name.into()),
        ("usages_sweeps".into(), Value::Int(usages_sweeps)),
        ("spectra_sweeps".into(), Value::Int(spectra_sweeps)),
        ("extrapolate".into(), plan.rules.extrapolate.into()),
        ("scale".into(), scale(plan.scale).into()),
        ("max_passes".into(), Value::Int(plan.max_passes as i64)),
        ("tol".into(), plan.tol.into()),
        // As text: a seed has 64 bits without a sign.
        ("seed".into(), plan.seed.to_string().into()),
    ];
    match &plan.init {
        Init::Random => settings.push(("init".into(), "random".into())),
        Init::Given(path) => settings.push(("init".into(), path.display().to_string().into())),
        Init::Sample { entries, rows } => {
            settings.push(("init".into(), "sample".into()));
            settings.push(("sample_entries_at_most".into(), Value::Int(*entries as i64)));
            settings.push(("sample_rows_at_most".into(), Value::Int(*rows as i64)));
        }
    }
    settings
}

fn scale(scale: ScaleSpec) -> &'static str {
    match scale {
        ScaleSpec::None => "none",
        ScaleSpec::Std => "std",
    }
}

fn outcome(fit: &Fit, store: &Store) -> Vec<(String, Value)> {
    vec![
        ("stop".into(), fit.stop.to_string().into()),
        ("passes".into(), Value::Int(fit.passes as i64)),
        ("sample_passes".into(), fit.sample_passes.into()),
        ("resumed_from_pass".into(), Value::Int(fit.resumed_from_pass as i64)),
        ("relative_error".into(), fit.relative_error.into()),
        ("explained".into(), fit.explained().into()),
        ("digest".into(), fit.digest.as_str().into()),
        ("data_fingerprint".into(), store.fingerprint().to_string().into()),
        ("block_rows".into(), Value::Int(store.block_rows() as i64)),
        ("tile_rows".into(), Value::Int(store.tile_rows() as i64)),
    ]
}

fn trace(rows: &[TraceRow]) -> Value {
    let column = |of: fn(&TraceRow) -> f64| Value::FloatArray(rows.iter().map(of).collect());
    let count = |of: fn(&TraceRow) -> i64| Value::IntArray(rows.iter().map(of).collect());
    Value::Map(vec![
        ("pass".into(), count(|row| row.pass as i64)),
        ("loss".into(), column(|row| row.loss)),
        ("relative_error".into(), column(|row| row.relative_error)),
        ("relative_decrease".into(), column(|row| row.relative_decrease)),
        ("kkt_residual".into(), column(|row| row.kkt_residual)),
        ("accepted".into(), count(|row| i64::from(row.accepted))),
        ("extrapolation".into(), column(|row| row.extrapolation)),
        ("usages_change".into(), column(|row| row.usages_change)),
        ("spectra_change".into(), column(|row| row.spectra_change)),
        ("usages_nonzero".into(), column(|row| row.usages_nonzero)),
        ("spectra_nonzero".into(), column(|row| row.spectra_nonzero)),
        ("bytes".into(), count(|row| row.bytes as i64)),
        ("seconds".into(), column(|row| row.seconds)),
        ("waiting_seconds".into(), column(|row| row.waiting_seconds)),
        ("joining_seconds".into(), column(|row| row.joining_seconds)),
        ("summing_seconds".into(), column(|row| row.summing_seconds)),
    ])
}
