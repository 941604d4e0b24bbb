"use strict";
// Draws with plotly.js. All figures go through `report.draw`, which escapes texts and follows the theme.
const report = (() => {
  const NARROW = 560;
  const PRINTED = 680;
  // By the element: what was drawn last, to draw it again in another theme or width.
  const drawn = new Map();
  let printing = false;

  // Plotly reads some HTML and entities in texts, and loses line breaks.
  function literal(text) {
    return String(text)
      .replace(/\r\n|[\r\n\u0085\u2028\u2029]/g, "\u21b5")
      .replace(/[\u0000-\u001f\u007f-\u009f]/g, "\ufffd")
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;");
  }

  const TEXTS = new Set(["text", "name", "ticktext", "customdata"]);

  function escaped(value, isText) {
    if (typeof value === "string") return isText ? literal(value) : value;
    if (Array.isArray(value)) {
      return typeof value[0] === "number" ? value : value.map((item) => escaped(item, isText));
    }
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, escaped(item, isText || TEXTS.has(key))]),
    );
  }

  // Long names would leave no room for the picture; they are whole where the reader points at.
  function shortened(text, most) {
    return text.length > most ? `${text.slice(0, most - 1)}…` : text;
  }

  // Names of rows and columns are in the data once, and plotly wants them for each field.
  function expanded(trace) {
    const { columns, rows, pairs, names, ...rest } = trace;
    if (columns) rest.customdata = trace.z.map(() => columns);
    if (rows) rest.customdata = trace.z.map((row, at) => row.map(() => rows[at]));
    if (pairs) rest.customdata = pairs.map((row) => pairs.map((column) => [row, column]));
    if (names && trace.type === "heatmap") rest.customdata = trace.z.map((row) => row.map((code) => names[code]));
    return rest;
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function styled(data, layout, width) {
    const narrow = width < NARROW;
    const heat = data.some((trace) => trace.type === "heatmap");
    const ink = colour("--ink");
    const lines = { gridcolor: colour("--grid"), zerolinecolor: colour("--grid"), linecolor: colour("--line") };
    const whole = {
      font: { family: "system-ui, 'Noto Sans', 'DejaVu Sans', sans-serif", size: narrow ? 11 : 13, color: ink },
      paper_bgcolor: colour("--card"),
      plot_bgcolor: colour("--card"),
      // The buttons of plotly.js are above the picture.
      margin: { l: 50, r: 12, t: 34, b: 44 },
      hoverlabel: { align: "left", namelength: -1 },
      uirevision: "kept",
      ...layout,
      width,
    };
    // There a legend below a heat map would take its room; touching a field names the group.
    if (narrow && heat) whole.showlegend = false;
    // Above a narrow picture a legend would lie under the buttons of plotly.js, or over the plot above.
    if (narrow && !heat && whole.legend && whole.legend.yanchor === "bottom") {
      whole.legend = { ...whole.legend, y: -0.24, yanchor: "top" };
    }
    for (const [key, axis] of Object.entries(layout)) {
      if (!/^[xy]axis\d*$/.test(key)) continue;
      whole[key] = { automargin: true, ...lines, ...(heat ? { showgrid: false, zeroline: false } : {}), ...axis };
      // Without a distance of its own, a title lies over wide labels.
      if (axis.title) whole[key].title = { standoff: 8, ...axis.title };
      // The digits between powers of ten would overlap.
      if (narrow && axis.type === "log") whole[key].nticks = 5;
      if (axis.ticktext) whole[key].ticktext = axis.ticktext.map((text) => shortened(text, narrow ? 16 : 36));
    }
    const traces = data.map((given) => {
      let trace = given.name ? { ...given, name: shortened(given.name, 30) } : given;
      // On a dark card the smallest values of the scale would not be seen.
      if (trace.marker && trace.marker.colorscale) {
        trace = { ...trace, marker: { ...trace.marker, line: { width: 0.5, color: colour("--rim") } } };
      }
      if (!narrow) return trace;
      const bar = { orientation: "h", y: 1.01, yanchor: "bottom", thickness: 9, x: 0.5, xanchor: "center" };
      if (trace.colorbar) {
        const title = { ...trace.colorbar.title, side: "top" };
        return { ...trace, colorbar: { ...trace.colorbar, ...bar, len: 0.9, title } };
      }
      if (trace.marker && trace.marker.colorbar) {
        const title = { ...trace.marker.colorbar.title, side: "top" };
        const colorbar = { ...trace.marker.colorbar, ...bar, len: 0.9, title };
        return { ...trace, marker: { ...trace.marker, colorbar } };
      }
      return trace;
    });
    return [traces, whole];
  }

  function draw(element, name, data, layout) {
    drawn.set(element, { name, data, layout });
    const width = printing ? PRINTED : element.clientWidth;
    const [traces, whole] = styled(data.map(expanded), layout, width);
    const config = {
      displaylogo: false,
      responsive: false,
      // A picture for a paper: the size on the page, in vectors.
      toImageButtonOptions: { format: "svg", filename: `partwise-${name}`, width: null, height: null, scale: 1 },
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    };
    element.querySelector(".still")?.remove();
    return Plotly.react(element, escaped(traces, false), escaped(whole, false), config);
  }

  function redraw() {
    for (const [element, { name, data, layout }] of drawn) draw(element, name, data, layout);
  }

  function print(begins) {
    printing = begins;
    if (typeof Plotly !== "undefined") redraw();
  }

  return { literal, draw, redraw, print, drawn };
})();
