"use strict";
// The table of all results: sorted by the column that the reader chooses, and copied for a spreadsheet.
report.table = (section) => {
  const [body, heads] = [section.querySelector("tbody"), [...section.querySelectorAll("thead th")]];
  const text = (row, column) => row.cells[column].textContent;
  const byName = new Intl.Collator(undefined, { numeric: true }).compare;

  function order(column) {
    const rows = [...body.rows];
    // A column of numbers, such as 12.3 %, has no other texts.
    const numbers = new Map(rows.map((row) => [row, Number(text(row, column).replace(/[ ,%]/g, ""))]));
    const isNumeric = [...numbers.values()].every((number) => !Number.isNaN(number));
    return isNumeric
      ? (a, b) => numbers.get(a) - numbers.get(b)
      : (a, b) => byName(text(a, column), text(b, column));
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isDown = head.ariaSort === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = isDown ? "descending" : "ascending";
      const compare = order(column);
      body.append(...[...body.rows].sort((a, b) => (isDown ? compare(b, a) : compare(a, b))));
    });
  });

  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy table";
  section.querySelector(".controls").append(button);
  button.addEventListener("click", () => {
    const rows = [...section.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
    report.copy(button, rows.map((cells) => cells.join("\t")).join("\n"));
  });
};
