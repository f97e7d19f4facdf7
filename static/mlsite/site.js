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

  const prepare = (root) => {
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
  document.addEventListener("htmx:load", (event) => prepare(event.target));
  document.addEventListener("DOMContentLoaded", () => {
    readClock();
    prepare(document);
    setInterval(tick, 1000);
    // After a form that was refused, to the first thing that is wrong with it.
    document.querySelector('.wrong :is(input, select, textarea):not([type="hidden"])')?.focus();
  });
})();
