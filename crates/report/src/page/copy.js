"use strict";
// Puts a text on the clipboard, and says on the button whether that worked.
report.copy = async (button, text) => {
  async function copied() {
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

  button.dataset.label ??= button.textContent;
  button.textContent = (await copied()) ? "copied" : "cannot copy";
  setTimeout(() => (button.textContent = button.dataset.label), 1500);
};
