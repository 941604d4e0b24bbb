"use strict";
// Cards: sorted as the reader likes, their genes copied, and the cells coloured by their program.
report.cards = (section) => {
  const [list, sort] = [section.querySelector(".cards"), section.querySelector("select.sort")];
  const cards = [...list.children];

  // One program alone has no picture of cells.
  if (!document.getElementById("cells")) list.querySelectorAll(".choose").forEach((button) => button.remove());

  sort.addEventListener("change", () => {
    const number = (card) => Number(card.dataset.number);
    const size = (card) => Number(card.dataset.size);
    const bySize = (a, b) => size(b) - size(a) || number(a) - number(b);
    list.append(...[...cards].sort(sort.value === "size" ? bySize : (a, b) => number(a) - number(b)));
  });

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Browsers refuse pages of some origins; the old way asks for no permission.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  list.addEventListener("click", async (event) => {
    const [button, card] = [event.target.closest("button"), event.target.closest(".card")];
    if (!button || !card) return;
    if (button.classList.contains("copy")) {
      const genes = [...card.querySelectorAll(".name")].map((name) => name.textContent);
      button.textContent = (await copy(genes.join("\n"))) ? "copied" : "cannot copy";
      setTimeout(() => (button.textContent = "copy genes"), 1500);
    } else {
      await report.need("cells");
      if (!report.colourBy(Number(card.dataset.number))) return;
      cards.forEach((other) => other.classList.toggle("chosen", other === card));
    }
  });
};
