// Small conveniences. Every page works without them.
(() => {
  const two = (number) => String(number).padStart(2, "0");

  // The same words as the template filter `span`.
  const span = (milliseconds) => {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    if (minutes >= 10) return `${minutes} min`;
    return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
  };

  // Moments in the reader's own time zone.
  const write = (element) => {
    const at = new Date(element.dateTime);
    const style = element.dataset.moment;
    const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}` + (style === "seconds" ? `:${two(at.getSeconds())}` : "");
    const today = at.toDateString() === new Date().toDateString();
    element.textContent = style === "day" ? day : today && style !== "full" ? clock : `${day}, ${clock}`;
    element.title = at.toLocaleString("en-GB", { dateStyle: "full", timeStyle: "long" });
  };

  // The server's clock counts, not the computer's: the page says when it was made.
  let ahead = 0;
  let title;
  const readClock = () => {
    const made = document.querySelector("meta[name=now]");
    if (made) ahead = Date.parse(made.content) - Date.now();
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const element of document.querySelectorAll("[data-until]")) {
      const left = Date.parse(element.dataset.until) - now;
      element.textContent = span(left);
      element.classList.toggle("soon", left < 15 * 60 * 1000);
      if (left <= 0 && !element.dataset.over) {
        element.dataset.over = "yes";
        const poll = document.getElementById("poll");
        if (poll && window.htmx) window.htmx.trigger(poll, "refresh");
      }
    }
    // The tab says how long the lab that ends first still has.
    title ??= document.title;
    const ends = [...document.querySelectorAll("[data-title]")].map((element) => Date.parse(element.dataset.until) - now).filter((left) => left > 0);
    const shown = ends.length ? `${span(Math.min(...ends))} left · ${title}` : title;
    if (document.title !== shown) document.title = shown;
    for (const element of document.querySelectorAll("[data-since]")) {
      element.textContent = `${span(now - Date.parse(element.dataset.since))} so far`;
    }
  };

  // A slider and a number that say the same.
  const pair = (group) => {
    const [slider, number] = [group.querySelector("input[type=range]"), group.querySelector("input[type=number]")];
    if (!slider || !number || slider.dataset.paired) return;
    slider.dataset.paired = "yes";
    slider.value = number.value;
    slider.addEventListener("input", () => (number.value = slider.value));
    slider.addEventListener("change", () => number.dispatchEvent(new Event("change", { bubbles: true })));
    number.addEventListener("input", () => (slider.value = number.value));
  };

  // One box for all the boxes of a name in its form; a part of them shows as neither.
  const chooseAll = (label) => {
    const box = label.querySelector("input");
    const others = [...label.closest("form").querySelectorAll(`input[type=checkbox][name=${label.dataset.chooseAll}]`)];
    const count = () => {
      const chosen = others.filter((other) => other.checked).length;
      box.checked = chosen === others.length;
      box.indeterminate = chosen > 0 && chosen < others.length;
    };
    box.addEventListener("change", () => others.forEach((other) => (other.checked = box.checked)));
    others.forEach((other) => other.addEventListener("change", count));
    label.hidden = others.length < 2;
    count();
  };

  const prepare = (root) => {
    root.querySelectorAll("[data-choose-all]").forEach(chooseAll);
    root.querySelectorAll("time[data-moment]").forEach(write);
    root.querySelectorAll("[data-pair]").forEach(pair);
    tick();
  };

  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-theme-toggle], [data-copy], [data-take]");
    for (const open of document.querySelectorAll("details.menu[open], details.ask[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
    if (!target) return;
    if ("themeToggle" in target.dataset) {
      const root = document.documentElement;
      root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.bsTheme);
      } catch {
        return; // Not remembered then.
      }
    } else if (target.dataset.copy) {
      await navigator.clipboard.writeText(document.getElementById(target.dataset.copy).textContent.trim());
      target.textContent = "Copied";
    } else if (target.dataset.take) {
      const field = document.getElementById("id_name");
      field.value = target.dataset.take;
      field.focus();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const open of document.querySelectorAll("details.menu[open], details.ask[open]")) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });
  document.addEventListener("change", (event) => {
    const help = event.target.selectedOptions?.[0]?.dataset.help;
    const place = document.getElementById(`${event.target.id}_choice`);
    if (place) place.textContent = help || "";
  });

  // Signing in, in another tab too, gives another token: forms and parts of pages that were there before send the new one.
  const token = () => document.cookie.match(/(?:^|; )(?:__Host-)?mlsite_csrf=([^;]+)/)?.[1];
  const KEPT = `typed ${location.pathname}`;
  const keep = (form) => {
    const typed = [...new FormData(form)].filter(([name]) => !["csrfmiddlewaretoken", "key", "password"].includes(name));
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(typed));
    } catch {
      return; // Storage may be forbidden.
    }
  };
  const giveBack = () => {
    const form = document.getElementById("launch");
    if (!form || !new URLSearchParams(location.search).has("again")) return;
    try {
      for (const [name, value] of JSON.parse(sessionStorage.getItem(KEPT) || "[]")) {
        if (form.elements[name]) form.elements[name].value = value;
      }
    } catch {
      return;
    }
  };
  document.addEventListener(
    "submit",
    (event) => {
      const field = event.target.querySelector("input[name=csrfmiddlewaretoken]");
      if (field && token()) field.value = token();
      if (event.target.id === "launch") keep(event.target);
    },
    true,
  );
  document.addEventListener("htmx:configRequest", (event) => {
    if (token()) event.detail.headers["X-CSRFToken"] = token();
  });

  // What a part of a page could not get is told once, above the page; what is typed there stays.
  const tell = (id) => {
    for (const note of document.querySelectorAll(".trouble")) note.hidden = note.id !== id;
  };
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) tell("signed-out");
    else if (event.detail.requestConfig?.verb === "post") tell("not-done");
  });
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (event.detail.successful) tell("");
  });

  document.addEventListener("htmx:load", (event) => prepare(event.target));
  document.addEventListener("DOMContentLoaded", () => {
    readClock();
    giveBack();
    prepare(document);
    setInterval(tick, 1000);
    // After a form that was refused, to the first thing that is wrong with it.
    document.querySelector('.wrong :is(input, select, textarea):not([type="hidden"])')?.focus();
  });
})();
