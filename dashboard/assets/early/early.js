// Of a page that stands in the document already: its colours, and the programs, once it has been painted.
"use strict";
(function () {
  let scheme = null;
  try { scheme = localStorage.getItem("mantine-color-scheme-value"); } catch (error) { /* nothing is kept there */ }
  if (scheme !== "light" && scheme !== "dark") scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.mantineColorScheme = scheme;

  function load() {
    const scripts = [...document.getElementById("later").content.querySelectorAll("script")];
    const again = (given) => {
      const script = document.createElement("script");
      for (const { name, value } of given.attributes) script.setAttribute(name, value);
      script.textContent = given.textContent;
      script.async = false; // they run in their order
      return script;
    };
    const inline = scripts.filter((one) => !one.src);
    let left = scripts.length - inline.length;
    for (const given of scripts.filter((one) => one.src)) {
      const script = again(given);
      script.onload = script.onerror = () => { if (!--left) inline.forEach((one) => document.body.append(again(one))); };
      document.body.append(script);
    }
  }
  const painted = () => requestAnimationFrame(() => setTimeout(load));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", painted);
  else painted();
})();
