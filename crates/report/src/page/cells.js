"use strict";
// Cells in the plane: the reader chooses the directions and the colours.
report.cells = (section, id, figure) => {
  const [plot, controls] = [section.querySelector(".plot"), section.querySelector(".controls")];
  const { axes, colours, cells } = figure;

  function select(text, name, items, chosen) {
    const [label, list] = [document.createElement("label"), document.createElement("select")];
    list.className = name;
    items.forEach((item, at) => list.append(new Option(item.name, at, false, at === chosen)));
    label.append(`${text} `, list);
    controls.append(label);
    list.addEventListener("change", show);
    return list;
  }

  const colour = select("colour by", "colour", colours, 0);
  const [x, y] = axes.length > 2 ? [select("x", "x", axes, 0), select("y", "y", axes, 1)] : [{ value: 0 }, { value: 1 }];
  const size = cells.length > 2500 ? 4 : cells.length > 800 ? 5 : 7;

  function trace(at, marker, more) {
    const [across, up] = [axes[x.value].values, axes[y.value].values];
    return {
      type: "scatter",
      mode: "markers",
      x: at.map((cell) => across[cell]),
      y: at.map((cell) => up[cell]),
      marker: { size, opacity: 0.85, ...marker },
      ...more,
    };
  }

  function traces() {
    const by = colours[colour.value];
    const all = cells.map((_, cell) => cell);
    if (by.groups) {
      return by.groups.map((name, group) => {
        const at = all.filter((cell) => by.codes[cell] === group);
        return trace(at, { color: by.colours[group] }, {
          name,
          customdata: at.map((cell) => [cells[cell], name]),
          hovertemplate: "%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        });
      });
    }
    // Large values are drawn last, so that they are not hidden.
    const value = (cell) => by.values[cell] ?? -Infinity;
    const at = all.filter((cell) => by.values[cell] !== null).sort((a, b) => value(a) - value(b));
    const values = at.map(value);
    const marker = { color: values, colorscale: "Viridis", showscale: true };
    marker.colorbar = { title: { text: by.unit }, thickness: 12 };
    if (by.unit === "share") marker.cmin = 0;
    return [
      trace(at, marker, {
        customdata: at.map((cell) => [cells[cell], by.name]),
        hovertemplate: "%{customdata[0]}<br>%{customdata[1]}: %{marker.color}<extra></extra>",
      }),
    ];
  }

  function show() {
    const data = traces();
    const narrow = plot.clientWidth < 560;
    const across = { orientation: "h", y: -0.24, yanchor: "top" };
    return report.draw(plot, id, data, {
      xaxis: { title: { text: axes[x.value].name }, zeroline: false },
      yaxis: { title: { text: axes[y.value].name }, zeroline: false },
      hovermode: "closest",
      showlegend: data.length > 1 || Boolean(colours[colour.value].groups),
      legend: { itemsizing: "constant", ...(narrow ? across : {}) },
    });
  }

  // A card chooses the program that it is about.
  report.colourBy = (number) => {
    const at = colours.findIndex((item) => item.program === number);
    if (at < 0) return false;
    colour.value = at;
    show();
    section.scrollIntoView();
    return true;
  };
  return show();
};
