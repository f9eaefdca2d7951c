// What is chosen on a page: from its controls into a store, which its callbacks read, and into the address.
"use strict";
(function () {
  // Inputs: the controls of the page ({type: "choice", page, name}); states: what they are by default, and the path.
  function gather(values, checks, defaults, path) {
    const chosen = {};
    for (const group of window.dash_clientside.callback_context.inputs_list) {
      for (const one of group) {
        const value = one.value;
        const text = value === true ? "1" : value === false ? "0" : Array.isArray(value) ? value.join("|") : value || "";
        chosen[one.id.name] = text || defaults[one.id.name] || "";
      }
    }
    if (window.location.pathname === path) {
      const found = new URLSearchParams();
      for (const [name, value] of Object.entries(chosen)) if (value !== (defaults[name] || "")) found.set(name, value);
      const text = found.toString();
      window.history.replaceState(window.history.state, "", path + (text ? `?${text}` : ""));
    }
    return chosen;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.neurojoint_choices = { gather };
})();
