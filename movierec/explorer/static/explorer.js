"use strict";
// Every page works without this script. It loads parts of pages, suggests titles, and watches
// which version answers.

const WATCH_MILLISECONDS = 2000;
const TYPING_MILLISECONDS = 150;

let latestLoad = 0;

// Shows another page of the explorer in place of the main part of this one.
async function loadPart(address, { remember = true, focus = true } = {}) {
  const load = ++latestLoad;
  let response;
  try {
    response = await fetch(address);
  } catch {
    location.assign(address);
    return;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  // Of several loads, the one that was wanted last counts.
  if (load !== latestLoad) return;
  const focused = document.activeElement && document.activeElement.id;
  document.querySelector("main").replaceWith(page.querySelector("main"));
  document.title = page.title;
  showVersion(page.getElementById("version").dataset.version);
  if (remember) history.pushState(null, "", response.url);
  if (!focus) return;
  // Reasons are above the list that asks for them, so they are scrolled to.
  const reasons = new URL(response.url).searchParams.get("why") && document.getElementById("why");
  const next = reasons || (focused && document.getElementById(focused)) || document.getElementById("main");
  next.focus({ preventScroll: !reasons });
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-part]")) return;
  event.preventDefault();
  const address = new URL(form.action);
  address.search = new URLSearchParams(new FormData(form)).toString();
  loadPart(address);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-part]");
  const other = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (link && !other) {
    event.preventDefault();
    loadPart(link.href);
  }
  const movie = event.target.closest("[data-movie]");
  if (movie) location.assign("/movies?" + new URLSearchParams({ title: movie.dataset.movie }));
});

document.addEventListener("mouseover", (event) => {
  const movie = event.target.closest("[data-movie]");
  if (movie) document.getElementById("point").textContent = movie.querySelector("title").textContent;
});

addEventListener("popstate", () => loadPart(location.href, { remember: false }));

// Suggests titles below a field while somebody types.
let typing;
document.addEventListener("input", (event) => {
  const field = event.target;
  if (!field.matches("[data-suggests]")) return;
  clearTimeout(typing);
  typing = setTimeout(async () => {
    const response = await fetch("/suggestions?" + new URLSearchParams({ text: field.value }));
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    field.list.replaceChildren(...page.querySelectorAll("option"));
  }, TYPING_MILLISECONDS);
});

function showVersion(version) {
  const place = document.getElementById("version");
  if (place.dataset.version === version) return;
  place.dataset.version = version;
  const number = document.createElement("b");
  number.textContent = version;
  place.replaceChildren(...(version ? ["Version ", number, " answers"] : ["No answer"]));
}

// Shows a version that takes over, with its own answers.
async function watchVersion() {
  const shown = document.getElementById("version").dataset.version;
  let version = "";
  try {
    const response = await fetch("/version");
    if (response.ok) version = (await response.json()).version;
  } catch {
    // The explorer itself has ended.
  }
  showVersion(version);
  const typingNow = document.activeElement && document.activeElement.matches("input, select");
  if (version && version !== shown && !typingNow) {
    await loadPart(location.href, { remember: false, focus: false });
  }
}

setInterval(() => {
  if (!document.hidden) watchVersion();
}, WATCH_MILLISECONDS);
