//! Results that are there already, of the same data and settings.

use std::collections::BTreeMap;
use std::path::Path;

use partwise_driver::{DriverError, Init, Model, StopReason, result, start_digest};
use partwise_storage::anndata::{Value, read_uns};
use partwise_storage::{StorageError, Store};

use super::FitDone;
use super::places::Places;

/// The fits among `models` whose results exist, made of `store` with the same settings.
pub(super) fn results(models: &[Model], store: &Store, places: &Places) -> Result<Vec<FitDone>, DriverError> {
    let mut kept = Vec::new();
    for model in models {
        let path = places.result(model.id());
        if path.exists() && is_of(model, store, &read(&path)?)? {
            kept.push(done(model, &path)?);
        }
    }
    Ok(kept)
}

/// `uns["nmf"]` of a file; empty where it has none.
fn read(path: &Path) -> Result<BTreeMap<String, Value>, StorageError> {
    match read_uns(path, "nmf") {
        Ok(Value::Map(members)) => Ok(members.into_iter().collect()),
        Err(error @ StorageError::Io { .. }) => Err(error),
        _ => Ok(BTreeMap::new()),
    }
}

/// Whether `told` is of the same data and settings.
fn is_of(model: &Model, store: &Store, told: &BTreeMap<String, Value>) -> Result<bool, DriverError> {
    let (settings, limits) = (model.settings(), model.limits());
    let mut wanted: Vec<(String, Value)> = result::recorded(&settings).chain(result::recorded(&limits)).collect();
    wanted.push(("version".into(), env!("CARGO_PKG_VERSION").into()));
    wanted.push(("data_fingerprint".into(), store.fingerprint().into()));
    if let Init::Given(start) = &model.init {
        wanted.push(("start".into(), start_digest(start)?.into()));
    }
    // Of dense data the kind of CPU as well.
    wanted.extend(super::notes(store));
    let is_finished = told.get("stop").is_some_and(|stop| *stop != StopReason::Cancelled.to_string().into());
    Ok(is_finished && wanted.iter().all(|(name, value)| told.get(name) == Some(value)))
}

fn done(model: &Model, path: &Path) -> Result<FitDone, StorageError> {
    let told = read(path)?;
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
        relative_error: real("relative_error"),
        explained: real("explained"),
        stop: text("stop"),
        resumed_from_pass: 0,
        kept: true,
    })
}
