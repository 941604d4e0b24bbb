//! Figures in the data of the page: plots as traces and layouts of plotly.js, others as objects for the page's own code.

use serde_json::{Value, json};

use crate::picture::{
    About, Axis, Bars, By, Cells, Colour, Curves, Figure, Genes, Heat, MARK, Palette, Picture, Plot, Style, Ticks,
    Trace, digits,
};

/// The most names of spans along an axis.
const MOST_SPANS: usize = 24;

/// The object of the figure; `None` if the page has all of it as text.
pub(super) fn of(figure: &Figure) -> Option<Value> {
    let (kind, mut object) = match &figure.picture {
        Picture::Views { views, .. } => {
            let views = views.iter().map(|view| {
                let (data, layout) = plot(&view.plot);
                json!({"name": view.name, "data": data, "layout": layout})
            });
            ("views", json!({"views": views.collect::<Vec<Value>>()}))
        }
        Picture::Cells(of) => ("cells", cells(of)),
        Picture::Genes(of) => ("genes", genes(of)),
        Picture::Cards { .. } => return None,
    };
    object["kind"] = kind.into();
    object["title"] = figure.title.clone().into();
    Some(object)
}

/// A number with no more digits than it has; null if it is not finite.
fn number(number: f64) -> Value {
    // 0 takes less room than 0.0, and so do other integers.
    if number.fract() == 0.0 && number.abs() < 1e15 { (number as i64).into() } else { number.into() }
}

fn numbers(numbers: &[f64]) -> Value {
    numbers.iter().map(|&value| number(value)).collect()
}

fn plot(plot: &Plot) -> (Value, Value) {
    match plot {
        Plot::Curves(of) => curves(of),
        Plot::Stack(of) => stack(of),
        Plot::Bars(of) => bars(of),
        Plot::Heat(of) => heat(of),
    }
}

fn curves(curves: &Curves) -> (Value, Value) {
    let layout = json!({"xaxis": axis(&curves.x), "yaxis": axis(&curves.y), "showlegend": curves.traces.len() > 1,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"}});
    (traces(curves).into(), layout)
}

/// Curves one above the other, each with a vertical axis of its own.
fn stack(plots: &[Curves]) -> (Value, Value) {
    let (count, gap) = (plots.len(), 0.08);
    let height = (1.0 - gap * (count.max(1) - 1) as f64) / count.max(1) as f64;
    // The legend is above the first plot that needs one.
    let named = plots.iter().position(|plot| plot.traces.len() > 1);
    let above = 1.0 - named.unwrap_or(0) as f64 * (height + gap) + 0.01;
    let mut layout = json!({"showlegend": named.is_some(),
        "legend": {"orientation": "h", "y": above, "yanchor": "bottom"}});
    let mut data = Vec::new();
    for (at, plot) in plots.iter().enumerate() {
        let number = if at == 0 { String::new() } else { (at + 1).to_string() };
        let top = 1.0 - at as f64 * (height + gap);
        let mut vertical = axis(&plot.y);
        vertical["domain"] = json!([(top - height).max(0.0), top]);
        layout[format!("yaxis{number}")] = vertical;
        if at + 1 == count {
            layout["xaxis"] = axis(&plot.x);
            layout["xaxis"]["anchor"] = format!("y{number}").into();
        }
        for mut trace in traces(plot) {
            trace["yaxis"] = format!("y{number}").into();
            if trace.get("name").is_none() {
                trace["showlegend"] = false.into();
            }
            data.push(trace);
        }
    }
    (data.into(), layout)
}

fn traces(curves: &Curves) -> Vec<Value> {
    let object = |trace: &Trace| {
        let mode = match trace.style {
            Style::Line => "lines",
            Style::LineAndPoints => "lines+markers",
            Style::Points | Style::Crosses => "markers",
        };
        let (size, opacity) = if trace.style == Style::Points { (8, 0.7) } else { (7, 1.0) };
        let mut object = json!({"type": "scatter", "mode": mode, "x": numbers(&trace.x), "y": numbers(&trace.y),
            "line": {"color": trace.colour, "width": 2},
            "marker": {"color": trace.colour, "size": size, "opacity": opacity}});
        if trace.style == Style::Crosses {
            object["marker"]["symbol"] = "x".into();
        }
        if !trace.name.is_empty() {
            object["name"] = trace.name.into();
        }
        match trace.hover {
            Some(text) => object["hovertemplate"] = text.into(),
            None => object["hoverinfo"] = "skip".into(),
        }
        if !trace.about.is_empty() {
            object["customdata"] = trace.about.clone().into();
        }
        object
    };
    curves.traces.iter().map(object).collect()
}

fn bars(bars: &Bars) -> (Value, Value) {
    let pairs = || bars.edges.windows(2);
    let middles: Vec<f64> = pairs().map(|pair| digits((pair[0] + pair[1]) / 2.0, 12)).collect();
    let widths: Vec<f64> = pairs().map(|pair| digits(pair[1] - pair[0], 12)).collect();
    let ranges: Vec<String> = pairs().map(|pair| format!("{} to {}", pair[0], pair[1])).collect();
    let mut data: Vec<Value> = bars
        .parts
        .iter()
        .map(|part| {
            json!({"type": "bar", "name": part.name, "x": numbers(&middles), "y": part.counts, "width": numbers(&widths),
                "marker": {"color": part.colour}, "customdata": ranges, "hovertemplate": bars.hover})
        })
        .collect();
    let highest = bars.highest().max(1) as f64;
    // A logarithmic axis has no 0; one spectrum should be seen on it.
    let (from, to): (f64, f64) = if bars.y.logarithmic { (0.5, 1.5 * highest) } else { (0.0, 1.05 * highest) };
    if let Some(mark) = &bars.mark {
        data.push(json!({"type": "scatter", "mode": "lines", "name": mark.name, "x": [mark.at, mark.at],
            "y": [from, to], "line": {"color": MARK, "width": 2, "dash": "dash"}, "hoverinfo": "skip"}));
    }
    let mut layout = json!({"xaxis": axis(&bars.x), "yaxis": axis(&bars.y), "barmode": "stack", "bargap": 0,
        // On a phone, the buttons of plotly.js would lie over long names above the bars. It names stacked bars from the
        // last one on.
        "showlegend": true, "legend": {"orientation": "h", "y": -0.24, "yanchor": "top", "traceorder": "normal"}});
    layout["xaxis"]["range"] = json!([bars.edges.first(), bars.edges.last()]);
    layout["yaxis"]["range"] = if bars.y.logarithmic { json!([from.log10(), to.log10()]) } else { json!([from, to]) };
    (data.into(), layout)
}

fn axis(axis: &Axis) -> Value {
    let mut object = json!({"title": {"text": axis.title}});
    match &axis.ticks {
        Ticks::Round => (),
        Ticks::Whole => object["tickformat"] = "d".into(),
        Ticks::Each => object["dtick"] = 1.into(),
        Ticks::At(numbers) => object["tickvals"] = numbers.clone().into(),
        Ticks::Names(names) => {
            object["tickvals"] = (0..names.len()).collect();
            object["ticktext"] = names.clone().into();
            object["ticks"] = "".into();
        }
        Ticks::Spans(spans) => {
            let mut before = 0;
            let middles = spans.iter().map(|(_, fields)| {
                before += fields;
                before as f64 - (*fields as f64 + 1.0) / 2.0
            });
            // plotly.js draws all of them, also where they touch.
            let every = spans.len().div_ceil(MOST_SPANS).max(1);
            object["tickvals"] = middles.step_by(every).map(number).collect();
            object["ticktext"] = spans.iter().step_by(every).map(|(name, _)| name.clone()).collect();
            object["ticks"] = "".into();
        }
    }
    if axis.logarithmic {
        object["type"] = "log".into();
    }
    if axis.from_zero {
        object["rangemode"] = "tozero".into();
    }
    object
}

fn heat(heat: &Heat) -> (Value, Value) {
    let palette = match heat.palette {
        Palette::Viridis => "Viridis",
        // In plotly.js, its large values are red.
        Palette::BlueRed => "RdBu",
    };
    let mut fields = json!({"type": "heatmap", "z": heat.rows.iter().map(|row| numbers(row)).collect::<Vec<Value>>(),
        "zmin": number(heat.range.0), "colorscale": palette, "hovertemplate": heat.hover,
        "colorbar": {"title": {"text": heat.unit}, "thickness": 12}});
    if let Some(most) = heat.range.1 {
        fields["zmax"] = number(most);
    }
    if heat.gaps {
        fields["xgap"] = 1.into();
        fields["ygap"] = 1.into();
    }
    // The page repeats these for each field.
    match &heat.about {
        About::Nothing => (),
        About::Rows(names) => fields["rows"] = names.clone().into(),
        About::Columns(names) => fields["columns"] = names.clone().into(),
        About::Pairs(names) => fields["pairs"] = names.clone().into(),
    }
    let mut layout = json!({"xaxis": axis(&heat.x), "yaxis": axis(&heat.y)});
    layout["yaxis"]["autorange"] = "reversed".into();
    let mut data = vec![fields];
    if !heat.strips.is_empty() {
        strips(heat, &mut data, &mut layout);
    }
    (data.into(), layout)
}

/// Adds bars above the fields, each on an axis of its own, and their legend.
fn strips(heat: &Heat, data: &mut Vec<Value>, layout: &mut Value) {
    layout["yaxis"]["domain"] = json!([0.0, 1.0 - 0.05 * heat.strips.len() as f64]);
    layout["legend"] = json!({"orientation": "h", "y": 1.02, "yanchor": "bottom"});
    let several = heat.strips.iter().filter(|strip| strip.is_in_legend).count() > 1;
    for (place, strip) in heat.strips.iter().enumerate() {
        let (axis, shown) = (place + 2, &strip.groups);
        let count = shown.names.len() as f64;
        let steps: Vec<Value> = shown
            .colours
            .iter()
            .enumerate()
            .flat_map(|(i, colour)| [json!([i as f64 / count, colour]), json!([(i + 1) as f64 / count, colour])])
            .collect();
        data.push(json!({"type": "heatmap", "z": [shown.codes], "yaxis": format!("y{axis}"), "colorscale": steps,
            "zmin": -0.5, "zmax": count - 0.5, "showscale": false, "names": shown.names,
            "hovertemplate": "%{customdata}<extra></extra>"}));
        let end = 1.0 - 0.05 * place as f64;
        layout[format!("yaxis{axis}")] = json!({"domain": [end - 0.042, end], "tickvals": [0],
            "ticktext": [strip.name], "ticks": "", "anchor": "x", "title": {"text": ""}});
        for (name, colour) in strip.named(several).zip(&shown.colours).filter(|_| strip.is_in_legend) {
            data.push(
                json!({"type": "scatter", "mode": "markers", "x": [Value::Null], "y": [Value::Null], "name": name,
                "marker": {"color": colour, "symbol": "square", "size": 10}, "hoverinfo": "skip"}),
            );
        }
    }
}

fn cells(cells: &Cells) -> Value {
    let directions = cells.directions.iter().map(|of| json!({"name": of.name, "values": numbers(&of.values)}));
    json!({"axes": directions.collect::<Vec<Value>>(), "colours": cells.colours.iter().map(colour).collect::<Vec<Value>>(),
        "cells": cells.names})
}

fn colour(colour: &Colour) -> Value {
    match &colour.by {
        By::Groups(shown) => {
            json!({"name": colour.name, "groups": shown.names, "colours": shown.colours, "codes": shown.codes})
        }
        By::Numbers { unit, values, card } => {
            let mut object = json!({"name": colour.name, "unit": unit, "values": numbers(values)});
            if let Some(card) = card {
                object["program"] = (*card).into();
            }
            object
        }
    }
}

fn genes(genes: &Genes) -> Value {
    json!({"names": genes.names, "values": numbers(&genes.values), "k": genes.k, "word": genes.word})
}
