// The page of a mouse: days chosen by a click, shown in the figures over days and kept in the address.
"use strict";
window.dash_clientside = window.dash_clientside || {};
(function () {
  const none = () => window.dash_clientside.no_update;

  // A click on a day adds its sessions to those that are compared, or takes them away.
  function choose_day(clicks, chosen, options, most) {
    const context = window.dash_clientside.callback_context;
    const clicked = context.triggered.find((one) => one.value && one.value.points && one.value.points.length);
    if (!clicked) return none();
    const id = JSON.parse(clicked.prop_id.replace(/\.clickData$/, ""));
    window.dash_clientside.set_props(id, { clickData: null }); // so that the same day can be clicked again
    const day = String(clicked.value.points[0].x).slice(0, 10);
    const found = options.filter((one) => one.value.startsWith(day));
    const before = chosen || [];
    if (!found.length) return say(`No choices to compare on ${day}.`);
    const isChosen = found.some((one) => before.includes(one.value));
    const rest = before.filter((one) => !one.startsWith(day));
    if (isChosen) return rest;
    if (rest.length + found.length > most) return say(`At most ${most} sessions are compared.`);
    say(`${found[0].label}: compared below.`);
    return [...rest, ...found.map((one) => one.value)];
  }

  function say(message) {
    const note = { action: "show", id: "days", message, autoClose: 2500, color: "cyan" };
    window.dash_clientside.set_props("notices", { sendNotifications: [note] });
    return none();
  }

  // The days that are compared: bands in the figures, and a part of the address.
  function remember_days(chosen) {
    const days = [...new Set((chosen || []).map((one) => one.split(".")[0]))];
    window.dash_clientside.neurojoint.band_days("days", days);
    if (!window.dash_clientside.callback_context.triggered.length) return days; // the page was opened just now
    const found = new URLSearchParams(window.location.search);
    if (days.length) found.set("days", chosen.join(","));
    else found.delete("days");
    const text = found.toString().replace(/%2C/g, ",");
    window.history.replaceState(window.history.state, "", window.location.pathname + (text ? `?${text}` : ""));
    return days;
  }

  // The history, or one kind of it.
  function choose_kind(kind) {
    return kind && kind !== "all" ? { kind: { filterType: "text", type: "equals", filter: kind } } : {};
  }

  window.dash_clientside.neurojoint_mouse = { choose_day, remember_days, choose_kind };
})();
