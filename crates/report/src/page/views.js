"use strict";
// A figure of plotly.js with views that the reader chooses from.
report.views = (section, id, figure) => {
  const [plot, choice] = [section.querySelector(".plot"), section.querySelector("select.view")];
  const show = () => {
    const view = figure.views[choice ? Number(choice.value) : 0];
    return report.draw(plot, id, view.data, view.layout);
  };
  if (choice) choice.addEventListener("change", show);
  return show();
};
