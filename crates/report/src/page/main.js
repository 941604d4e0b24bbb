"use strict";
// Unpacks plotly.js, and draws each figure when it comes near the part of the page that the reader sees; until then a
// still image is in its place.
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
    if (typeof Plotly !== "undefined") [...undrawn].forEach(draw);
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

  function failed(error) {
    const problem = document.getElementById("problem");
    problem.textContent = `The pictures cannot be drawn: ${error.message}. A browser of 2023 or later draws them.`;
    problem.hidden = false;
    console.error(error);
  }

  // Sections whose figures are not drawn yet.
  const undrawn = new Set([...document.querySelectorAll("main > .figure")].filter((section) => figures[section.id]));

  function draw(section) {
    if (!undrawn.delete(section)) return undefined;
    const figure = figures[section.id];
    return report[figure.kind](section, section.id, figure);
  }

  // One figure after the other; in between, the page answers its reader.
  let queue = Promise.resolve();
  const pause = () => new Promise((done) => setTimeout(done));
  function soon(section) {
    queue = queue.then(() => (undrawn.has(section) ? Promise.resolve(draw(section)).then(pause) : undefined)).catch(failed);
    return queue;
  }

  // A figure that is needed wherever the reader is.
  report.need = (id) => soon(document.getElementById(id));

  function isSeen(section) {
    const { top, bottom } = section.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  }

  // Browsers paint after a frame's callbacks, and no frame comes while nobody looks at the page.
  const painted = () => new Promise((done) => (document.hidden ? done() : requestAnimationFrame(() => setTimeout(done))));

  async function start() {
    document.querySelectorAll(".cards").forEach((cards) => report.cards(cards.closest(".figure")));
    document.querySelectorAll("#table").forEach(report.table);
    // For whoever waits for the page: the milliseconds until all that is seen first was there, and until its pictures
    // answered the reader. plotly.js takes a second to begin, so the stills come first.
    const seen = [...undrawn].filter(isSeen);
    await painted();
    root.dataset.ready = Math.round(performance.now());
    queue = pause().then(unpack);
    seen.forEach(soon);
    await queue;
    root.dataset.live = Math.round(performance.now());
    const near = new IntersectionObserver(
      (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => soon(entry.target)),
      { rootMargin: "1000px 0px" },
    );
    undrawn.forEach((section) => near.observe(section));
  }

  start().catch(failed);
})();
