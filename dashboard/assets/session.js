// The session page: a click on a trial chooses it for the wheel, the choice is kept in the address, files are saved.
"use strict";
window.dash_clientside = window.dash_clientside || {};
(function () {
  const none = () => window.dash_clientside.no_update;

  // The figures say a trial's number in different places: over trials it is x, over time it comes with the point.
  function choose_trial(over_trials, over_time) {
    const asked = window.dash_clientside.callback_context.triggered[0];
    const point = asked && asked.value && asked.value.points && asked.value.points[0];
    if (!point) return none();
    const number = asked.prop_id.includes("response-times") ? point.x : point.customdata;
    if (!Number.isFinite(number)) return none();
    const wheel = document.getElementById("session-wheel");
    if (wheel) wheel.scrollIntoView({ behavior: "smooth", block: "nearest" });
    return String(number);
  }

  function remember_trials(text) {
    const found = new URLSearchParams(window.location.search);
    if (text) found.set("trials", text);
    else found.delete("trials");
    const search = found.toString().replace(/%2C/g, ",");
    window.history.replaceState(window.history.state, "", window.location.pathname + (search ? `?${search}` : ""));
    return none();
  }

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.File = (props) => {
    const href = props.data && props.data[`${props.colDef.field}_href`];
    const words = { href, "data-leave": "1", title: "Save this file" };
    return href ? window.React.createElement("a", words, props.value) : props.value;
  };

  window.dash_clientside.neurojoint_session = { choose_trial, remember_trials };
})();
