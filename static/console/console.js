// Icons are words in a font of symbols: readers must not read them out.
"use strict";
(() => {
  const icons = ".material-symbols-outlined";
  const hide = (root) => {
    root.querySelectorAll(`${icons}:not([aria-hidden])`).forEach((icon) => icon.setAttribute("aria-hidden", "true"));
    // unfold's button for what has no room in the head of a narrow page is an icon alone.
    root.querySelectorAll('a[href="#"]:not([aria-label])').forEach((link) => {
      const copy = link.cloneNode(true);
      copy.querySelectorAll(icons).forEach((icon) => icon.remove());
      if (!copy.textContent.trim()) link.setAttribute("aria-label", "More");
    });
  };
  document.addEventListener("DOMContentLoaded", () => {
    hide(document);
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) if (node.nodeType === 1) hide(node.parentNode || node);
    }).observe(document.body, { childList: true, subtree: true });
    // After a form that was refused, to the first thing that is wrong with it.
    const wrong = document.querySelector('#content [aria-invalid="true"]:not([type="hidden"])');
    if (wrong) wrong.focus();
  });
})();
