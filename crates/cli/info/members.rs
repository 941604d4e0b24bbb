//! What a result says of itself, `uns[NAME]`, as the keys of `info --json`; and bars for its text.

use std::path::Path;

use partwise::storage::anndata::{Value, read_uns};
use serde_json::{Map, Value as Json, json};

/// Characters of the longest bar.
pub(super) const BAR: usize = 12;

/// A bar of `part` (0 to 1) of the longest.
pub(super) fn bar(part: f64) -> String {
    "#".repeat((BAR as f64 * part).round() as usize)
}

/// The members of a group of `uns`.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(super) struct Members(Map<String, Json>);

impl Members {
    /// `uns[name]` of the file at `path`; `None` if the file has none.
    pub(super) fn read(path: &Path, name: &str) -> Option<Self> {
        match json(&read_uns(path, name).ok()?) {
            Json::Object(members) => Some(Members(members)),
            _ => None,
        }
    }

    pub(super) fn add(&mut self, name: &str, value: impl serde::Serialize) {
        self.0.insert(name.into(), json!(value));
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.0.get(name).and_then(Json::as_bool) == Some(true)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Json::as_str).unwrap_or("?")
    }

    /// NaN if there is no such number.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(Json::as_f64).unwrap_or(f64::NAN)
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Json::as_u64).unwrap_or(0)
    }

    /// Empty if there are no such numbers.
    pub(super) fn numbers(&self, name: &str) -> Vec<f64> {
        numbers(self.0.get(name))
    }

    /// The numbers `name` of the member `of`.
    pub(super) fn numbers_in(&self, of: &str, name: &str) -> Vec<f64> {
        numbers(self.0.get(of).and_then(|of| of.get(name)))
    }
}

fn numbers(found: Option<&Json>) -> Vec<f64> {
    found.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_f64).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Str(text) => json!(text),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Bool(truth) => json!(truth),
        Value::FloatArray(numbers) => json!(numbers),
        Value::IntArray(numbers) => json!(numbers),
        Value::StrArray(texts) => json!(texts),
        Value::Map(members) => members.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
        _ => Json::Null,
    }
}
