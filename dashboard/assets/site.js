// What the browser does by itself: links without reloading, keys, signing in again, asking for new data.
"use strict";
window.dash_clientside = window.dash_clientside || {};
(function () {
  const none = () => window.dash_clientside.no_update;

  // ---- links and keys ------------------------------------------------------------------------------------------
  function go(href) {
    window.history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }

  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      navigator.clipboard.writeText(window.location.href).then(() => {
        copy.classList.add("nj-done");
        setTimeout(() => copy.classList.remove("nj-done"), 1200);
      });
      return;
    }
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const to = new URL(link.href, window.location.href);
    if (to.origin !== window.location.origin || !to.pathname.startsWith("/app/")) return;
    if (link.target || link.hasAttribute("download") || link.dataset.leave || to.pathname.startsWith("/app/sign")) return;
    event.preventDefault();
    go(to.pathname + to.search + to.hash);
  });

  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    if (at.closest("input, textarea, select, [contenteditable=true], .ag-root-wrapper, [role=listbox], [role=menu]")) return;
    if (event.key.startsWith("Arrow") && at.closest("[role=tablist], [role=slider]")) return;
    for (const link of document.querySelectorAll("[data-keys]")) {
      if (link.dataset.keys.split(" ").includes(event.key)) {
        event.preventDefault();
        link.click();
        return;
      }
    }
  });

  // ---- signing in again, where the session has ended ------------------------------------------------------------
  const plain = window.fetch;
  window.fetch = async function (...given) {
    const answer = await plain.apply(this, given);
    if (answer.status === 401 && answer.url.includes("/app/_")) {
      const here = window.location.pathname + window.location.search;
      window.location.assign(`/app/sign-in?next=${encodeURIComponent(here)}`);
    }
    return answer;
  };

  // ---- new data ------------------------------------------------------------------------------------------------
  async function ask_version(_, known) {
    if (document.hidden) return none();
    try {
      const answer = await window.fetch("/app/_version", { cache: "no-store" });
      if (!answer.ok) return none();
      const version = await answer.text();
      return version && version !== known ? version : none();
    } catch (error) {
      return none(); // the server is away for a moment
    }
  }

  function name_window(title) {
    document.title = title ? `${title} · neurojoint` : "neurojoint";
    return none();
  }

  new MutationObserver(() => {
    const scheme = document.documentElement.dataset.mantineColorScheme;
    if (window.dash_clientside.set_props && scheme) window.dash_clientside.set_props("scheme-seen", { data: scheme });
  }).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });

  let lastPath = "";
  function open_menu(opened, path, navbar) {
    const moved = path !== lastPath;
    lastPath = path;
    return { ...navbar, collapsed: { mobile: moved ? true : !opened } };
  }

  const shared = (window.dash_clientside.neurojoint = window.dash_clientside.neurojoint || {});
  Object.assign(shared, { ask_version, name_window, open_menu });
})();
