//! Results that are there already, of the same data and settings.

use std::collections::BTreeMap;
use std::path::Path;

use partwise_driver::pca::{self, PcaModel};
use partwise_driver::{DriverError, HvgSpec, Init, Keep, Model, StopReason, Subset, TargetSum, result, start_digest};
use partwise_storage::anndata::{UsageTables, Value, column_names, read_uns};
use partwise_storage::{Axis, Overwrite, StorageError, Store};

use super::places::Places;
use super::{FitDone, JobError};

/// The fits among `models` whose results exist, made of `store` with the same settings.
pub(super) fn results(
    models: &[Model],
    store: &Store,
    keep: &Keep,
    places: &Places,
    usages_in_obs: bool,
) -> Result<Vec<FitDone>, DriverError> {
    let mut kept = Vec::new();
    for model in models {
        let path = places.result(model.id());
        if path.exists()
            && differences(model, store, keep, &read(&path, "nmf")?)?.is_empty()
            && !lacks_usages(&path, usages_in_obs)?
        {
            kept.push(done(model, &path)?);
        }
    }
    Ok(kept)
}

/// The error of a result in the way of `model`, which is of other data or settings.
pub(super) fn in_the_way(
    model: &Model,
    store: &Store,
    keep: &Keep,
    path: &Path,
    usages_in_obs: bool,
) -> Result<JobError, DriverError> {
    let told = read(path, "nmf")?;
    if !told.contains_key("digest") {
        return Ok(StorageError::Exists { path: path.into() }.into());
    }
    let mut differences = differences(model, store, keep, &told)?;
    if lacks_usages(path, usages_in_obs)? {
        differences.push("without usages in obs".into());
    }
    Ok(JobError::OtherResult { path: path.into(), differences })
}

/// Whether usages are wanted in `obs`, and the result has none there.
fn lacks_usages(path: &Path, wanted: bool) -> Result<bool, StorageError> {
    Ok(wanted && !column_names(path, Axis::Cells)?.contains(&UsageTables::column(0)))
}

/// `uns[name]` of a file; empty where it has none.
fn read(path: &Path, name: &str) -> Result<BTreeMap<String, Value>, StorageError> {
    match read_uns(path, name) {
        Ok(Value::Map(members)) => Ok(members.into_iter().collect()),
        Err(error @ StorageError::Io { .. }) => Err(error),
        _ => Ok(BTreeMap::new()),
    }
}

/// The differences of `told` to the fit `model` of `store`: the value of the result and that of the fit.
fn differences(
    model: &Model,
    store: &Store,
    keep: &Keep,
    told: &BTreeMap<String, Value>,
) -> Result<Vec<String>, DriverError> {
    let (settings, limits) = (model.settings(), model.limits());
    let mut wanted: Vec<(String, Value)> = result::recorded(&settings).chain(result::recorded(&limits)).collect();
    if let Init::Given(start) = &model.init {
        wanted.push(("start".into(), start_digest(start)?.into()));
    }
    let subset = (!keep.is_all()).then(|| keep.key());
    let subset = (subset.as_deref(), keep.hvg);
    let mut differences = differences_to(wanted, store, subset, told, "this fit");
    if told.get("stop").is_none_or(|stop| *stop == StopReason::Cancelled.to_string().into()) {
        differences.push("not finished".into());
    }
    Ok(differences)
}

/// Whether the result at `path` has these components of `store`. Fails, unless it may be overwritten, if
/// it is another one.
pub(super) fn is_of_components(
    model: &PcaModel,
    store: &Store,
    subset: Option<&Subset>,
    path: &Path,
    overwrite: Overwrite,
) -> Result<bool, JobError> {
    if !path.exists() {
        return Ok(false);
    }
    let told = read(path, "partwise_pca")?;
    let mut wanted: Vec<(String, Value)> = result::recorded(&model.settings()).collect();
    if let Some(TargetSum::Sum(sum)) = model.config.log1p {
        wanted.push(("target_sum".into(), sum.into()));
    }
    let subset = (subset.map(Subset::key), subset.and_then(Subset::hvg));
    let differences = differences_to(wanted, store, subset, &told, "this run");
    let is_whole = pca::read(path)?.is_some();
    match overwrite {
        _ if is_whole && differences.is_empty() => Ok(true),
        Overwrite::Replace => Ok(false),
        _ if is_whole => Err(JobError::OtherResult { path: path.into(), differences }),
        _ => Err(StorageError::Exists { path: path.into() }.into()),
    }
}

/// The differences of `told` to the settings `wanted` of a run on `store`: the value of the result and that
/// of the run.
fn differences_to(
    mut wanted: Vec<(String, Value)>,
    store: &Store,
    (subset, hvg): (Option<&str>, Option<HvgSpec>),
    told: &BTreeMap<String, Value>,
    this: &str,
) -> Vec<String> {
    wanted.push(("version".into(), env!("CARGO_PKG_VERSION").into()));
    wanted.push(("data_fingerprint".into(), store.fingerprint().into()));
    // Of dense data the kind of CPU as well.
    wanted.extend(super::fit::notes(store));
    let mut differences: Vec<String> = (wanted.iter())
        .filter(|(name, value)| told.get(name) != Some(value))
        .map(|(name, value)| match name.as_str() {
            "data_fingerprint" => "of other data".into(),
            _ => format!(
                "of {name} = {}, {this} has {name} = {}",
                told.get(name).map_or("unknown".into(), word),
                word(value)
            ),
        })
        .collect();
    if told.get("subset") != subset.map(Value::from).as_ref() {
        // Where both were selected, the difference may have a name.
        let selected = hvg.into_iter().flat_map(result::of_hvg);
        let both = selected.filter_map(|(name, value)| Some((told.get(&name)?, name, value)));
        let named: Vec<String> = (both.filter(|(had, _, value)| *had != value))
            .map(|(had, name, value)| format!("of {name} = {}, {this} has {name} = {}", word(had), word(&value)))
            .collect();
        match named.is_empty() {
            true => differences.push("of other genes and cells".into()),
            false => differences.extend(named),
        }
    }
    differences
}

/// A setting in a message.
fn word(value: &Value) -> String {
    match value {
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Str(text) => text.clone(),
        _ => "something else".into(),
    }
}

fn done(model: &Model, path: &Path) -> Result<FitDone, StorageError> {
    let told = read(path, "nmf")?;
    let real = |name: &str| match told.get(name) {
        Some(Value::Float(value)) => *value,
        _ => f64::NAN,
    };
    let text = |name: &str| match told.get(name) {
        Some(Value::Str(text)) => text.clone(),
        _ => String::new(),
    };
    Ok(FitDone {
        id: model.id(),
        result: path.into(),
        digest: text("digest"),
        passes: match told.get("passes") {
            Some(&Value::Int(passes)) => passes as usize,
            _ => 0,
        },
        sample_passes: real("sample_passes"),
        score_passes: usize::from(told.get("score_passes") == Some(&Value::Int(1))),
        relative_error: real("relative_error"),
        explained: real("explained"),
        stop: text("stop"),
        resumed_from_pass: 0,
        kept: true,
    })
}
