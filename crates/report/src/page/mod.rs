//! Figures as one file: the frame, its style and its code, and all data.

mod data;

use askama::Template;
use partwise_storage::anndata::Value;
use serde_json::{Map, Value as Json};

use crate::error::ReportError;
use crate::paper::svg::Ground;
use crate::paper::{first, svg};
use crate::picture::{Figure, Picture};
use crate::read::Story;

/// The first line of every page, so that a page can be told from other files.
pub const BEGINS: &str = "<!doctype html><!-- a report of partwise -->";

/// plotly.js, packed when this crate is compiled.
const PLOTLY: &str = include_str!(concat!(env!("OUT_DIR"), "/plotly.js.gz.base64"));
const STYLE: &str = include_str!("style.css");
/// The code of the page, in the order in which it runs.
const CODE: [&str; 8] = [
    include_str!("plot.js"),
    include_str!("views.js"),
    include_str!("cells.js"),
    include_str!("genes.js"),
    include_str!("copy.js"),
    include_str!("cards.js"),
    include_str!("table.js"),
    include_str!("main.js"),
];

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    /// The name of the result.
    pub(crate) title: String,
    /// What it is of, a few words.
    pub(crate) kind: String,
    /// What was run and on what, in sentences.
    pub(crate) lead: Vec<String>,
    /// All settings, names and values.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) table: Option<Table>,
}

/// A table of texts.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// The frame; it escapes every text that is not marked as safe.
#[derive(Template)]
#[template(path = "page.html")]
struct Frame<'p> {
    page: &'p Page,
    begins: &'static str,
    style: &'static str,
    code: [&'static str; 8],
    plotly: &'static str,
    data: String,
    /// Of each figure, the picture that is there before plotly.js, and without JavaScript.
    stills: Vec<Option<String>>,
}

impl Page {
    /// The page as one HTML file.
    pub(crate) fn html(&self) -> Result<String, ReportError> {
        let data: Map<String, Json> =
            self.figures.iter().filter_map(|figure| Some((figure.id.to_owned(), data::of(figure)?))).collect();
        let data = within_script(&Json::from(data).to_string());
        let stills = self.figures.iter().map(still).collect();
        let frame = Frame { page: self, begins: BEGINS, style: STYLE, code: CODE, plotly: PLOTLY, data, stills };
        frame.render().map_err(|error| ReportError::Page(error.to_string()))
    }
}

/// What the figure shows first.
fn still(figure: &Figure) -> Option<String> {
    Some(svg::write(&first(figure)?, &figure.title, Ground::Clear))
}

/// JSON that can stand in a script element: no text in it can end the element or begin a comment.
fn within_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // These stand only inside strings.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", character as u32)),
            other => safe.push(other),
        }
    }
    safe
}

/// The settings and the outcome of a run as texts; lists and what lies deeper are left out.
pub(crate) fn settings(story: &Story) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Str(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(if *truth { "yes" } else { "no" }.into()),
        _ => None,
    };
    story.members().iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::INKS;
    use crate::picture::{Axis, Card, Curves, Gene, Plot, View};

    const HOSTILE: &str = "</script><script>alert(1)</script><!-- & \"q\" 'a'\n\u{2028}\u{2029}";

    fn page(name: &str) -> Page {
        let plot = Plot::Curves(Curves { x: Axis::new(name), y: Axis::new(name), traces: Vec::new() });
        let view = View { name: name.into(), plot };
        let gene = Gene { name: name.into(), value: "1".into(), bar: 100.0 };
        let card = Card {
            number: 0,
            title: "Program 0".into(),
            size: 1.0,
            facts: vec![name.into()],
            lists: vec![(String::new(), vec![gene])],
        };
        let figure = |id, picture| Figure { id, title: name.into(), see: name.into(), picture };
        Page {
            title: name.into(),
            kind: "a test".into(),
            lead: vec![name.into()],
            settings: vec![(name.into(), name.into())],
            figures: vec![
                figure("bars", Picture::Views { choice: "", views: vec![view], height: 300 }),
                figure("cards", Picture::Cards { cards: vec![card], measure: "score" }),
            ],
            table: Some(Table { title: name.into(), head: vec![name.into()], rows: vec![vec![name.into()]] }),
        }
    }

    #[test]
    fn no_name_changes_the_page() {
        let (plain, hostile) = (page("name").html().unwrap(), page(HOSTILE).html().unwrap());
        for tag in ["<script", "</script", "<!--", "<section", "<div", "<td"] {
            assert_eq!(plain.matches(tag).count(), hostile.matches(tag).count(), "{tag}");
        }
        assert!(!hostile.contains("alert(1)</script>"));
        let data = hostile.split_once("<script type=\"application/json\" id=\"data\">").unwrap().1;
        let data: Json = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(data["bars"]["views"][0]["name"], HOSTILE);
    }

    #[test]
    fn a_page_asks_no_network_and_its_code_cannot_end_its_element() {
        let page = page("name").html().unwrap();
        assert!(page.starts_with(BEGINS));
        assert!(page.contains("default-src 'none'"));
        for wanted in ["src=\"http", "href=\"http", "@import", "url("] {
            assert!(!page.contains(wanted), "{wanted}");
        }
        // Figures of the crate have the colours that the style changes to those of the page.
        for colour in INKS {
            assert!(STYLE.contains(&format!("\"{colour}\"")), "{colour}");
        }
        for code in CODE {
            assert!(!code.contains("</script") && !code.contains("<!--"));
        }
        assert!(!STYLE.contains("</style"));
    }

    #[test]
    fn data_in_a_script_are_the_same_data() {
        let json = serde_json::json!({"a<b>&\u{2028}": HOSTILE}).to_string();
        let safe = within_script(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
        assert_eq!(serde_json::from_str::<Json>(&safe).unwrap(), serde_json::from_str::<Json>(&json).unwrap());
    }
}
