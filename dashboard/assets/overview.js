// The overview's table: asks again when filters or data change, and keeps what is shown in the address.
"use strict";
(function () {
  const none = () => window.dash_clientside.no_update;
  let version = null;

  function choose() {
    const chosen = {};
    for (const group of window.dash_clientside.callback_context.inputs_list) {
      for (const one of group) chosen[one.id.name] = one.value === true ? "1" : one.value || "";
    }
    return chosen;
  }

  async function ask_again(query, now) {
    const isNew = version !== null && version !== now;
    version = now;
    const api = await window.dash_ag_grid.getApiAsync("overview-grid").catch(() => null);
    if (!api) return none();
    if (isNew) api.refreshInfiniteCache();
    else api.purgeInfiniteCache();
    return none();
  }

  function address(query, request) {
    const found = new URLSearchParams();
    for (const [name, value] of Object.entries(query || {})) if (value) found.set(name, value);
    const order = ((request || {}).sortModel || []).map((one) => `${one.colId}-${one.sort}`).join(",");
    if (order) found.set("sort", order);
    const filters = (request || {}).filterModel || {};
    if (Object.keys(filters).length) found.set("f", JSON.stringify(filters));
    const text = found.toString();
    if (window.location.pathname === "/app/") {
      window.history.replaceState(window.history.state, "", window.location.pathname + (text ? `?${text}` : ""));
    }
    return `/app/_overview.csv${text ? `?${text}` : ""}`;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.neurojoint_overview = { choose, ask_again, address };
})();
