// Keeps the page as new as the server's: on an event the rendered part is fetched and replaced.
// Without this script the page is complete; it only does not move.
"use strict";

const content = document.getElementById("content");
const link = document.getElementById("link");
let busy = false;
let again = false;

function say(text, state) {
  link.textContent = text;
  link.dataset.state = state;
}

async function refresh() {
  if (busy) {
    again = true; // one more when this one is done, however many events came
    return;
  }
  busy = true;
  try {
    const answer = await fetch("/fragment", { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) {
      location.href = "/login";
      return;
    }
    if (answer.ok) {
      put(await answer.text());
    }
  } catch {
    say("the boot server does not answer", "lost");
  } finally {
    busy = false;
  }
  if (again) {
    again = false;
    refresh();
  }
}

function put(html) {
  const open = [...content.querySelectorAll("details[open]")].map((each) => each.id);
  const focused = document.activeElement && document.activeElement.closest("details");
  const parsed = new DOMParser().parseFromString(html, "text/html");
  content.replaceChildren(...parsed.body.childNodes);
  for (const id of open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  if (focused && focused.id) {
    const details = document.getElementById(focused.id);
    if (details) details.querySelector("summary").focus({ preventScroll: true });
  }
}

const stream = new EventSource("/api/events");
stream.addEventListener("hello", () => {
  say("live", "live");
  refresh();
});
stream.addEventListener("changed", refresh);
stream.addEventListener("tick", refresh);
stream.onerror = () => say("connecting again …", "lost");
