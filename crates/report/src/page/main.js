"use strict";
// Unpacks plotly.js, and draws one figure after the other.
(() => {
  const figures = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  function follow() {
    theme.textContent = isDark() ? "light" : "dark";
    if (typeof Plotly !== "undefined") report.redraw();
  }

  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    follow();
  });
  dark.addEventListener("change", follow);
  theme.textContent = isDark() ? "light" : "dark";

  // On paper a page is light.
  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    report.print(true);
  });
  addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    report.print(false);
  });

  let width = innerWidth;
  let waiting;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => report.redraw(), 150);
  });

  async function unpack() {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  async function start() {
    document.querySelectorAll(".cards").forEach((cards) => report.cards(cards.closest(".figure")));
    await unpack();
    for (const section of document.querySelectorAll("main > .figure")) {
      const figure = figures[section.id];
      if (!figure) continue;
      await report[figure.kind](section, section.id, figure);
      // The page stays usable while figures are drawn.
      await new Promise((done) => setTimeout(done));
    }
    // For whoever waits for the page: the milliseconds that it took.
    root.dataset.ready = Math.round(performance.now());
  }

  start().catch((error) => {
    const problem = document.getElementById("problem");
    problem.textContent = `The pictures cannot be drawn: ${error.message}. A browser of 2023 or later draws them.`;
    problem.hidden = false;
    console.error(error);
  });
})();
