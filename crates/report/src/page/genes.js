"use strict";
// A gene that the reader looks for, in every program.
report.genes = (section, id, figure) => {
  const [plot, matches] = [section.querySelector(".plot"), section.querySelector(".matches")];
  const input = section.querySelector("input");
  const { names, values, k, word } = figure;
  const lower = names.map((name) => name.toLowerCase());
  const MOST = 12;
  const programs = Array.from({ length: k }, (_, program) => program);

  function show(gene) {
    const of = values.slice(gene * k, (gene + 1) * k);
    plot.dataset.gene = names[gene];
    return report.draw(
      plot,
      id,
      [
        {
          type: "bar",
          x: programs,
          y: of,
          marker: { color: "#0072B2" },
          customdata: programs.map(() => names[gene]),
          hovertemplate: "%{customdata}<br>program %{x}: %{y}<extra></extra>",
        },
      ],
      {
        xaxis: { title: { text: "program" }, dtick: k > 25 ? 5 : 1, range: [-0.6, k - 0.4] },
        yaxis: { title: { text: `${word} of ${names[gene]}` } },
        bargap: 0.25,
      },
    );
  }

  function found(typed) {
    const wanted = typed.trim().toLowerCase();
    if (!wanted) return [];
    const [begin, within] = [[], []];
    lower.forEach((name, gene) => {
      if (name.startsWith(wanted)) begin.push(gene);
      else if (name.includes(wanted)) within.push(gene);
    });
    begin.sort((a, b) => lower[a].length - lower[b].length || a - b);
    return [...begin, ...within].slice(0, MOST);
  }

  function list() {
    const genes = found(input.value);
    matches.replaceChildren(
      ...genes.map((gene) => {
        const button = document.createElement("button");
        button.type = "button";
        button.role = "option";
        button.textContent = names[gene];
        button.addEventListener("click", () => show(gene));
        return button;
      }),
    );
    if (input.value.trim() && !genes.length) matches.textContent = "no such gene in this page";
    if (genes.length) show(genes[0]);
  }

  input.addEventListener("input", list);
  let first = 0;
  values.forEach((value, at) => {
    if (value > (values[first] ?? -Infinity)) first = at;
  });
  if (names.length) return show(Math.floor(first / k));
  return Promise.resolve();
};
