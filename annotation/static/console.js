// On every page: the theme switch and, on narrow screens, the menu.
function activityTheme() {
  const next = { auto: "light", light: "dark", dark: "auto" };
  const held = (document.cookie.match(/(?:^|; )activity_theme=(\w+)/) || [])[1];
  const now = next[held] || "light";
  document.cookie = `activity_theme=${now}; path=/; max-age=31536000; samesite=lax`;
  setDark(now === "auto" ? null : now === "dark");
  const words = "Theme: " + { auto: "system", light: "light", dark: "dark" }[now];
  for (const button of document.querySelectorAll(".theme")) {
    button.title = words;
    button.setAttribute("aria-label", words + "; change");
  }
  dispatchEvent(new Event("activity-theme"));
}

function activityNav(open) {
  const on = open === undefined ? !document.body.classList.contains("nav-open") : open;
  document.body.classList.toggle("nav-open", on);
  const burger = document.querySelector(".burger");
  burger.setAttribute("aria-expanded", on);
  if (on) document.querySelector(".rail a").focus();
  else burger.focus();
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("nav-open")) activityNav(false);
});
