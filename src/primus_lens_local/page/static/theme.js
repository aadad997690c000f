// Light or dark: the system's choice until the user makes one, which is remembered. Not a module, and loaded before
// the body, so that the first picture already has its colours.
(() => {
  const CHOICES = ["auto", "light", "dark"];
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem("theme") ?? "auto";
    } catch {
      return "auto"; // storage is off in this browser: the choice lasts as long as the page
    }
  }

  function apply(choice) {
    document.documentElement.dataset.choice = choice;
    document.documentElement.dataset.theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${choice}`;
    dispatchEvent(new Event("themechange"));
  }

  function next() {
    const choice = CHOICES[(CHOICES.indexOf(document.documentElement.dataset.choice) + 1) % CHOICES.length];
    try {
      localStorage.setItem("theme", choice);
    } catch { /* as above */ }
    apply(choice);
  }

  apply(chosen());
  system.addEventListener("change", () => apply(document.documentElement.dataset.choice));
  addEventListener("DOMContentLoaded", () => {
    apply(document.documentElement.dataset.choice);
    document.getElementById("theme").addEventListener("click", next);
  });
})();
