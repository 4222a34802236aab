"use strict";
(() => {
  const form = document.getElementById("filters");
  const component = document.getElementById("component");
  const text = document.getElementById("text");
  const unfold = document.getElementById("unfold");
  const buttons = [...form.querySelectorAll("button[data-status]")];
  const sections = [...document.querySelectorAll("section.component")];
  const checks = [...document.querySelectorAll(".check")].map((row) => ({
    row,
    status: row.dataset.status,
    component: row.dataset.component,
    words: `${row.dataset.component} ${row.textContent}`.toLowerCase(),
  }));

  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));

  const apply = () => {
    const wanted = buttons.filter(pressed).map((button) => button.dataset.status);
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const check of checks) {
      const fits =
        (wanted.length === 0 || wanted.includes(check.status)) &&
        (component.value === "" || component.value === check.component) &&
        words.every((word) => check.words.includes(word));
      check.row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    for (const section of sections) {
      section.hidden = !section.querySelector(".check:not([hidden])");
    }
    document.getElementById("shown").textContent = `${shown} of ${checks.length} checks shown`;
  };

  const fold = (open) => {
    for (const check of checks) {
      const details = check.row.querySelector("details");
      if (details) details.open = open;
    }
    press(unfold, open);
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      press(button, !pressed(button));
      apply();
    });
  }
  unfold.addEventListener("click", () => fold(!pressed(unfold)));
  component.addEventListener("change", apply);
  text.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault(); // the browser empties the fields after this event; here it is one step, with the count
    buttons.forEach((button) => press(button, false));
    component.value = "";
    text.value = "";
    fold(false);
    apply();
  });
  form.hidden = false;
  apply();
})();
