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

  list.addEventListener("click", async (event) => {
    const [button, card] = [event.target.closest("button"), event.target.closest(".card")];
    if (!button || !card) return;
    if (button.classList.contains("copy")) {
      const genes = [...card.querySelectorAll(".name")].map((name) => name.textContent);
      report.copy(button, genes.join("\n"));
    } else {
      await report.need("cells");
      if (!report.colourBy(Number(card.dataset.number))) return;
      cards.forEach((other) => other.classList.toggle("chosen", other === card));
    }
  });
};
