// Forms, the morning round and grids that people fill in. What was typed is queued in the browser until the server has
// it; each entry has an identifier of its own, so that one that is sent again is not written twice.
"use strict";
(function () {
  const QUEUE = "neurojoint-unsent";
  const uuid = () => crypto.randomUUID ? crypto.randomUUID()
    : "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) =>
      (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));

  function make(tag, properties, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((one) => one !== null && one !== undefined));
    return node;
  }

  async function post(path, body) {
    try {
      const answer = await window.fetch(path, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      let told = {};
      try { told = await answer.json(); } catch (error) { /* a proxy answered */ }
      return { status: told.questions ? 409 : answer.status, ...told };
    } catch (error) {
      return { status: 0, errors: [{ column: "", message: "Not sent: the server cannot be reached." }] };
    }
  }

  function renew() { // the page is made again with what was saved
    if (window.dash_clientside.set_props) window.dash_clientside.set_props("version", { data: `saved ${Date.now()}` });
  }

  // ---- forms ---------------------------------------------------------------------------------------------------
  function control(field, id) {
    const common = { id, name: field.name, title: field.help, class: "nj-input", autocomplete: "off",
                     "aria-required": field.required ? "true" : null, "aria-describedby": `${id}-wrong` };
    if (field.kind === "select") {
      return make("select", common, ...field.options.map(([value, label]) =>
        make("option", { value, selected: String(field.value) === value }, label)));
    }
    if (field.kind === "long") {
      const area = make("textarea", { ...common, rows: 3, maxlength: field.longest });
      area.value = field.value;
      return area;
    }
    if (field.kind === "picture") return make("input", { ...common, type: "file", accept: "image/*", capture: "environment" });
    return make("input", { ...common, type: field.kind, value: field.value, inputmode: field.mode,
                           list: field.list ? `${id}-list` : null, step: field.kind === "datetime-local" ? 1 : null });
  }

  function build(place) {
    const told = JSON.parse(place.dataset.form);
    const said = make("span", { class: "nj-form-said", role: "status", "aria-live": "polite" });
    const fields = told.fields.map((field) => {
      const id = `${told.id}-${field.name}`;
      return make("div", { class: "nj-field" },
        make("label", { for: id }, field.label, field.required ? " *" : "", field.unit ? make("span", { class: "nj-hint" }, ` (${field.unit})`) : null),
        control(field, id),
        field.list ? make("datalist", { id: `${id}-list` }, ...field.list.map((value) => make("option", { value }))) : null,
        make("span", { class: "nj-wrong", id: `${id}-wrong`, "data-for": field.name }));
    });
    const form = make("form", { class: "nj-form", novalidate: true, "aria-label": told.label, id: `form-${told.id}` },
      make("div", { class: "nj-fields" }, ...fields),
      make("div", { class: "nj-form-end" }, make("button", { type: "submit", class: "nj-button nj-primary" }, told.label), said));
    let pending = { batch: uuid(), confirmed: [] };
    const seen_of = Object.fromEntries(told.fields.map((field) => [field.name, field.seen]));
    form.addEventListener("input", () => {
      pending = { batch: uuid(), confirmed: [] };
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button[type=submit]");
      button.disabled = true;
      const values = { ...told.given }, seen = {};
      for (const field of told.fields) {
        const input = form.elements[field.name];
        if (field.kind === "picture") {
          if (input.files.length) {
            const picture = await picture_name(input.files[0], said);
            if (!picture) { button.disabled = false; return; }
            values[field.name] = picture;
          }
        } else if (told.changes ? input.value.trim() !== field.value : input.value.trim() !== "") {
          values[field.name] = input.value.trim();
          if (told.changes) seen[field.name] = seen_of[field.name];
        }
      }
      const answer = await post("/app/_do", { action: told.action, values, seen, ...pending });
      button.disabled = false;
      show_errors(form, said, answer);
      if (answer.questions) {
        pending.confirmed = Object.keys(answer.questions);
        button.textContent = `${told.label} all the same`;
        button.focus();
      } else if (answer.status === 200) {
        button.textContent = told.label;
        pending = { batch: uuid(), confirmed: [] };
        for (const field of told.fields) form.elements[field.name].value = field.kind === "picture" ? "" : field.value;
        said.replaceChildren(`Saved${typeof answer.result === "string" ? `: ${answer.result}` : Array.isArray(answer.result) ? `: ${answer.result.join(", ")}` : ""}. `,
          make("button", { type: "button", class: "nj-tool", onclick: () => undo(answer.batch, said) }, "Undo"));
        last_said = { id: told.id, nodes: said };
        renew();
      }
    });
    // The lists of the form changed, or the page has made a new place for it. Others may have changed the row since.
    const is_last = last_form && last_form.id === form.id && last_form.page === here();
    const old = place.querySelector("form") || (is_last ? last_form : null);
    if (old && old.typed) for (const [name, { value, seen }] of Object.entries(old.typed())) {
      if (!form.elements[name]) continue;
      form.elements[name].value = value;
      seen_of[name] = seen;
    }
    for (const { name, kind } of told.fields) {
      const files = kind === "picture" && old && old.elements[name] ? old.elements[name].files : [];
      if (files.length) form.elements[name].files = files;
    }
    const is_here = place.contains(document.activeElement);
    const focused = old && (is_here || document.activeElement === document.body) ? old.focused : "";
    const was_open = old && old.closest("details")?.open;
    form.addEventListener("focusin", ({ target }) => {
      last_form = form;
      form.page = here();
      form.focused = target.name || (target.type === "submit" ? SUBMIT : "");
    });
    form.addEventListener("focusout", ({ relatedTarget }) => { if (relatedTarget) form.focused = ""; });
    place.replaceChildren(form);
    form.typed = () => Object.fromEntries(told.fields.filter((field) => field.kind !== "picture" && form.elements[field.name].value !== field.value)
      .map((field) => [field.name, { value: form.elements[field.name].value, seen: seen_of[field.name] }]));
    if (is_last) { form.page = last_form.page; form.focused = last_form.focused; last_form = form; }
    const fold = place.closest("details");
    if (fold && was_open) fold.open = true; // a new place is folded; somebody is at it
    const field = focused === SUBMIT ? form.querySelector("button[type=submit]") : form.elements[focused];
    if (focused && field) field.focus({ preventScroll: true });
    if (last_said && last_said.id === told.id) said.replaceWith(last_said.nodes);
  }
  const SUBMIT = ":submit", here = () => location.pathname + location.search;
  let last_said = null, last_form = null; // where somebody was last, until they go to another page

  async function picture_name(file, said) {
    const data = new FormData();
    data.append("picture", await smaller(file));
    try {
      const answer = await window.fetch("/app/_picture", { method: "POST", body: data });
      const told = await answer.json();
      if (answer.ok) return told.name;
      said.textContent = told.errors[0].message;
    } catch (error) { said.textContent = "The picture was not sent: the server cannot be reached."; }
    return null;
  }

  async function smaller(file) { // a phone's picture is made 1600 px wide before it is sent
    try {
      const image = await createImageBitmap(file);
      const scale = Math.min(1, 1600 / Math.max(image.width, image.height));
      const canvas = make("canvas", { width: Math.round(image.width * scale), height: Math.round(image.height * scale) });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      return await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
    } catch (error) { return file; }
  }

  function show_errors(form, said, answer) {
    for (const place of form.querySelectorAll(".nj-wrong")) place.textContent = "";
    for (const input of form.elements) input.removeAttribute("aria-invalid");
    said.textContent = answer.questions ? Object.values(answer.questions).join(" ") : "";
    let first = null;
    for (const fault of answer.errors || []) {
      const place = form.querySelector(`.nj-wrong[data-for="${CSS.escape(fault.column)}"]`);
      if (!place) { said.textContent += `${fault.message} `; continue; }
      place.textContent = fault.message;
      const input = form.elements[fault.column];
      input.setAttribute("aria-invalid", "true");
      first = first || input;
    }
    if (first) first.focus();
  }

  async function undo(batch, said) {
    const answer = await post("/app/_undo", { batch });
    said.textContent = answer.status === 200 ? "Taken back." : answer.errors[0].message;
    if (answer.status === 200) renew();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-undo]");
    if (button) undo(button.dataset.undo, button.parentNode.querySelector(".nj-undo-said") || button);
  });

  // ---- the queue -----------------------------------------------------------------------------------------------
  let in_memory = null; // where the browser keeps nothing (private window, full disk)
  const queue = () => {
    if (in_memory) return JSON.parse(in_memory);
    try { return JSON.parse(localStorage.getItem(QUEUE) || "[]"); } catch (error) { return []; }
  };
  const keep = (entries) => {
    try { localStorage.setItem(QUEUE, JSON.stringify(entries)); in_memory = null; }
    catch (error) { in_memory = JSON.stringify(entries); }
    show_queue();
  };
  let sending = false;

  function push(entry) {
    keep([...queue().filter((one) => !(one.state && one.field === entry.field)), entry]);
    send();
  }

  async function send() {
    if (sending) return;
    sending = true;
    try {
      const me = viewer();
      for (const entry of queue()) {
        if (entry.viewer !== me || entry.state) continue;
        const answer = await post("/app/_do", { action: entry.action, values: entry.values, batch: entry.batch,
                                                confirmed: entry.confirmed, state: true });
        if (answer.status === 0 || answer.status === 401 || answer.status >= 500 || answer.status === 429) break; // later
        const rest = queue();
        const mine = rest.find((one) => one.batch === entry.batch);
        if (answer.status === 200) keep(rest.filter((one) => one.batch !== entry.batch));
        else if (mine) {
          mine.state = answer.questions ? "question" : "refused";
          mine.said = answer.questions ? Object.values(answer.questions).join(" ") : answer.errors.map((one) => one.message).join(" ");
          mine.codes = answer.questions ? Object.keys(answer.questions) : [];
          keep(rest);
        }
        arrived(entry, answer);
      }
    } finally { sending = false; }
  }
  window.addEventListener("online", send);
  window.setInterval(() => { if (queue().length) send(); }, 4000);
  window.addEventListener("beforeunload", (event) => { if (queue().some((one) => !one.state)) event.preventDefault(); });

  window.addEventListener("pageshow", (event) => { if (event.persisted) renew(); }); // back button: others wrote since
  window.setInterval(() => { // the day of the lab ends while the page is open
    const { day, zone } = (document.getElementById("round") || document.body).dataset;
    if (day && new Date().toLocaleDateString("en-CA", { timeZone: zone }) !== day) renew();
  }, 30000);

  const viewer = () => (document.getElementById("round") || document.body).dataset.viewer || "";

  function show_queue() {
    const place = document.getElementById("round-unsent");
    if (!place) return;
    const all = queue(), mine = all.filter((one) => one.viewer === viewer());
    const waiting = mine.filter((one) => !one.state).length, asked = mine.length - waiting, others = all.length - mine.length;
    const words = [];
    if (waiting) words.push(`${waiting} not sent yet`);
    if (asked) words.push(`${asked} to look at`);
    if (others) words.push(`${others} of other people wait until they sign in here`);
    place.textContent = words.join(", ");
    place.className = words.length ? "nj-chip nj-orange" : "nj-hint";
    if (!words.length) place.textContent = "all saved";
    for (const row of document.querySelectorAll("#round tr[data-key]")) {
      const own = mine.filter((one) => one.row === row.dataset.key);
      row.classList.toggle("nj-unsent", own.some((one) => !one.state));
    }
  }

  // ---- the morning round ---------------------------------------------------------------------------------------
  const number_of = (text) => Number((/^\s*(\d*[.,]?\d+)\s*(g|ml)?\s*$/i.exec(text) || [])[1]?.replace(",", "."));
  const one_digit = (value, digits = 1) => value === null || value === undefined ? "–" : Number(value).toFixed(digits);

  function live(row, told) { // what the weight that is typed means
    const typed = number_of(row.querySelector("[data-field=weight]").value);
    const weight = typed > 0 ? typed : told.weighed ? told.weight : null;
    const pct = weight && told.expected ? 100 * (weight - told.implant) / (told.expected - told.implant) : null;
    const known = weight || told.weight;
    const light = told.expected && known && 100 * (known - told.implant) / (told.expected - told.implant) < told.limit_pct;
    const needed = known ? (light ? 0.05 : 0.04) * (known - told.implant) : null;
    const given = told.in_task + told.supplement + (number_of(row.querySelector("[data-field=volume]").value) || 0);
    const due = told.adlib ? 0 : needed === null ? null : Math.max(0, needed - given);
    const cell = row.querySelector(".nj-pct");
    cell.textContent = pct === null ? "–" : `${pct.toFixed(1)} %`;
    cell.className = `nj-pct nj-number ${pct === null ? "" : pct < told.limit_pct ? "nj-bad" : pct < told.limit_pct + told.near ? "nj-near" : ""}`;
    row.querySelector(".nj-due").textContent = told.adlib ? "free" : one_digit(due, 2);
    row.classList.toggle("nj-open-task", !told.weighed || (due !== null && due > 0.005));
  }

  function line(told, place) {
    const key = `${told.lab}/${told.subject}`;
    const field = (name, label) => make("input", {
      class: "nj-input nj-round-input", "data-field": name, inputmode: "decimal", autocomplete: "off", enterkeyhint: "next",
      "aria-label": `${label} of ${told.subject}`, "aria-describedby": `said-${key}`,
    });
    const weight = field("weight", "Weight in g"), volume = field("volume", "Water in mL");
    if (told.weighed) weight.placeholder = one_digit(told.weight);
    const said = make("div", { class: "nj-wrong", id: `said-${key}`, role: "status", "aria-live": "polite" });
    const row = make("tr", { "data-key": key },
      make("th", { scope: "row" }, make("a", { href: told.href }, told.subject), told.growth_missing ? make("span", { class: "nj-hint", title: "The lab compares z-scores, but has no growth curve or birth date for this animal: the reference weight stands in." }, " no growth curve") : null),
      make("td", { "data-head": "Cage" }, told.cage || "–"),
      make("td", { "data-head": "Yesterday", class: "nj-number", title: told.yesterday_date || "" }, one_digit(told.yesterday)),
      make("td", { "data-head": "Expected", class: "nj-number" }, one_digit(told.expected)),
      make("td", { "data-head": "Weight (g)" }, weight),
      make("td", { "data-head": "Percent", class: "nj-pct nj-number" }),
      make("td", { "data-head": "In task", class: "nj-number" }, one_digit(told.in_task, 2)),
      make("td", { "data-head": "Supplement", class: "nj-number nj-given" }, one_digit(told.supplement, 2)),
      make("td", { "data-head": "Due (mL)", class: "nj-number nj-due" }),
      make("td", { "data-head": "Water (mL)" }, volume),
      make("td", { "data-head": "Type" }, told.water_type),
      make("td", {}, make("button", { type: "button", class: "nj-tool", onclick: () => {
        if (row.told.adlib || queue().some((one) => one.field === `${key}/adlib` && !one.state)) return; // tapped twice
        save(row, told, "free_water", {}, null, "adlib");
      } }, "Free water"), said));
    row.told = told;
    for (const input of [weight, volume]) {
      input.addEventListener("input", () => { input.dataset.dirty = "1"; said.textContent = ""; live(row, row.told); });
      input.addEventListener("keydown", (event) => keys(event, row, input));
      // A browser says so too when the row is replaced while somebody types in it: then it is not done yet.
      input.addEventListener("change", () => setTimeout(() => {
        if (input.isConnected && document.activeElement !== input) commit(row, input);
      }));
      input.addEventListener("paste", (event) => paste(event, row, input));
    }
    live(row, told);
    return row;
  }

  function step(row, input, by) {
    const rows = [...document.querySelectorAll("#round tr[data-key]")];
    const next = rows[rows.indexOf(row) + by];
    const target = next ? next.querySelector(`[data-field=${input.dataset.field}]`)
      : by > 0 && input.dataset.field === "weight" ? rows[0].querySelector("[data-field=volume]") : null;
    if (target) { target.focus(); target.select(); target.scrollIntoView({ block: "nearest" }); }
  }

  function keys(event, row, input) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (row.asking && row.asking.field === `${row.dataset.key}/${input.dataset.field}` && !input.dataset.dirty) {
        const entry = { ...row.asking, state: undefined, confirmed: row.asking.codes };
        row.asking = null;
        keep(queue().filter((one) => one.batch !== entry.batch));
        push(entry);
      } else commit(row, input);
      step(row, input, 1);
    } else if (event.key === "ArrowDown") { event.preventDefault(); commit(row, input); step(row, input, 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); commit(row, input); step(row, input, -1); }
    else if (event.key === "Escape") { input.value = ""; delete input.dataset.dirty; live(row, row.told); }
  }

  function commit(row, input) {
    if (!input.dataset.dirty) return;
    delete input.dataset.dirty;
    const text = input.value.trim();
    if (!text) return;
    if (input.dataset.field === "weight") save(row, row.told, "weigh", { weight: text }, input, "weight");
    else save(row, row.told, "give_water", { volume: text, water_type: row.told.water_type }, input, "volume");
  }

  function save(row, told, action, values, input, field) {
    const at = new Date();
    at.setMilliseconds(0);
    push({ batch: uuid(), viewer: viewer(), action, confirmed: [], row: row.dataset.key, field: `${row.dataset.key}/${field}`,
           values: { lab: told.lab, subject: told.subject, ...values, time: at.toISOString() } });
  }

  function arrived(entry, answer) {
    const row = document.querySelector(`#round tr[data-key="${CSS.escape(entry.row || "")}"]`);
    if (!row) return;
    const said = row.querySelector(".nj-wrong"), name = entry.field.split("/").pop();
    const input = row.querySelector(`[data-field=${name}]`);
    if (answer.status === 200) {
      if (answer.state) row.told = { ...row.told, ...Object.fromEntries(Object.entries(answer.state).filter(([key]) => !["cage", "href", "water_type"].includes(key))) };
      if (input && !input.dataset.dirty) {
        input.placeholder = name === "weight" ? one_digit(row.told.weight) : "";
        input.value = "";
      }
      row.querySelector(".nj-given").textContent = one_digit(row.told.supplement, 2);
      said.replaceChildren(make("button", { type: "button", class: "nj-tool", onclick: async () => {
        const back = await post("/app/_undo", { batch: answer.batch });
        said.textContent = back.status === 200 ? "Taken back." : back.errors[0].message;
        if (back.status === 200) renew();
      } }, "saved · undo"));
      row.asking = null;
    } else if (answer.questions) {
      row.asking = { ...entry, codes: Object.keys(answer.questions) };
      said.textContent = `${Object.values(answer.questions).join(" ")} Enter again to keep it, or type another.`;
      if (input) { input.focus(); input.select(); }
    } else {
      said.textContent = answer.errors.map((one) => one.message).join(" ");
      if (input) { input.setAttribute("aria-invalid", "true"); input.focus(); input.select(); }
    }
    if (answer.status === 200 && input) input.removeAttribute("aria-invalid");
    live(row, row.told);
    count();
  }

  function paste(event, row, input) { // a list from a spreadsheet or a scale: one number a line, or a name and a number
    const lines = event.clipboardData.getData("text").trim().split(/\r?\n/);
    if (lines.length < 2) return;
    event.preventDefault();
    const rows = [...document.querySelectorAll("#round tr[data-key]")];
    let at = rows.indexOf(row);
    const problems = [];
    for (const text of lines) {
      if (!text.trim()) continue;
      const [, name, value] = /^(?:(.*?)[\s;,]+)?(\d*[.,]?\d+(?:\s*(?:g|ml))?)\s*$/i.exec(text) || [];
      if (value === undefined) { problems.push(`"${text.trim()}" holds no number`); continue; }
      const named = name ? rows.find((one) => one.told.subject.toLowerCase() === name.trim().toLowerCase()) : null;
      if (name && !named) { problems.push(`${name.trim()} is not on this list`); continue; }
      const target = named || rows[at];
      if (!target) { problems.push(`${value} has no animal left`); continue; }
      const field = target.querySelector(`[data-field=${input.dataset.field}]`);
      field.value = value;
      field.dataset.dirty = "1";
      commit(target, field);
      live(target, target.told);
      at = rows.indexOf(target) + 1;
    }
    // not in the row: what its own entry says would replace it
    document.getElementById("round-pasted").textContent = problems.length ? `Not taken: ${problems.join("; ")}.` : "";
  }

  function count() {
    const place = document.getElementById("round-count");
    if (!place) return;
    const rows = [...document.querySelectorAll("#round tr[data-key]")];
    const weighed = rows.filter((row) => row.told.weighed).length;
    place.textContent = `${weighed} of ${rows.length} weighed`;
  }

  let last_table = null; // the page may make a new place for it
  function build_round(place) {
    const old = last_table && last_table.viewer === place.dataset.viewer ? last_table : null;
    const focused = old && old.focused;
    if (old && old.told === place.dataset.rows) { // moved, as it stands
      place.replaceChildren(old);
      ready(place, focused);
      return;
    }
    const told = JSON.parse(place.dataset.rows);
    const heads = ["Mouse", "Cage", "Yesterday", "Expected", "Weight (g)", "Percent", "In task", "Supplement", "Due (mL)", "Water (mL)", "Type", ""];
    const table = make("table", { class: "nj-table nj-round", "aria-label": "Morning round" },
      make("thead", {}, make("tr", {}, ...heads.map((head) => head ? make("th", { scope: "col" }, head) : make("td", {})))),
      make("tbody", {}, ...told.map((one) => line(one, place))));
    const typed = !old ? [] : [...old.querySelectorAll("input[data-dirty]")].map((input) => [input.closest("tr").dataset.key, input.dataset.field, input.value]);
    table.addEventListener("focusin", ({ target }) => {
      if (target.dataset.field) table.focused = [target.closest("tr").dataset.key, target.dataset.field];
    });
    table.addEventListener("focusout", ({ relatedTarget }) => { if (relatedTarget && !table.contains(relatedTarget)) table.focused = null; });
    Object.assign(table, { viewer: place.dataset.viewer, told: place.dataset.rows });
    last_table = table;
    place.replaceChildren(table);
    for (const [key, field, value] of typed) { // nobody loses what they type
      const input = input_of(place, key, field);
      if (input) { input.value = value; input.dataset.dirty = "1"; live(input.closest("tr"), input.closest("tr").told); }
    }
    const entries = queue();
    for (const entry of entries.filter((one) => one.viewer === viewer())) {
      const row = place.querySelector(`tr[data-key="${CSS.escape(entry.row)}"]`);
      if (!row) continue;
      const input = row.querySelector(`[data-field=${entry.field.split("/").pop()}]`);
      if (input) input.value = entry.values.weight || entry.values.volume || "";
      if (entry.state === "question") row.asking = entry;
      if (entry.state) row.querySelector(".nj-wrong").textContent = `${entry.said} ${entry.state === "question" ? "Enter again to keep it." : ""}`;
      live(row, row.told);
    }
    ready(place, focused);
  }

  const input_of = (place, key, field) => place.querySelector(`tr[data-key="${CSS.escape(key)}"] [data-field=${field}]`);

  function ready(place, focused) { // the field that the person was in has the focus again, else the first that is open
    count();
    show_queue();
    const first = (focused && input_of(place, ...focused)) || place.querySelector("tr.nj-open-task [data-field=weight]") || place.querySelector("[data-field=weight]");
    if (first) first.focus({ preventScroll: true });
    send();
  }

  function cells_of(text) { // of a spreadsheet, or of CSV with commas or semicolons; cells with quotes may hold any of them
    const first = text.split("\n", 1)[0].replace(/"[^"]*"/g, "");
    const mark = ["\t", ";", ","].reduce((best, one) => first.split(one).length > first.split(best).length ? one : best);
    const lines = [[]];
    for (const [, quoted, plain, end] of text.matchAll(new RegExp(`(?:"((?:[^"]|"")*)"|([^${mark}\\r\\n]*))(${mark}|\\r?\\n|$)`, "g"))) {
      lines[lines.length - 1].push((quoted === undefined ? plain : quoted.replace(/""/g, '"')).trim());
      if (end === "") break;
      if (end !== mark) lines.push([]);
    }
    return lines.filter((cells) => cells.some((cell) => cell !== ""));
  }

  // ---- grids ---------------------------------------------------------------------------------------------------
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-grid-save]");
    if (!button) return;
    const said = document.getElementById("grid-said"), table = button.dataset.gridSave;
    const text = document.getElementById("grid-paste").value.trim();
    const lines = cells_of(text);
    if (lines.length < 2) { said.textContent = "Paste the headings and at least one row."; return; }
    const wide = lines.findIndex((cells) => cells.slice(lines[0].length).some((cell) => cell !== ""));
    if (wide > 0) { said.textContent = `Row ${wide}: "${lines[wide][lines[0].length]}" stands beside the last heading.`; return; }
    const rows = lines.slice(1).map((cells) => Object.fromEntries(
      lines[0].map((name, i) => [name, cells[i] || ""]).filter(([, value]) => value !== "")));
    const answer = await post("/app/_write", { table, rows, batch: uuid() });
    said.textContent = answer.status === 200 ? `${answer.created} new, ${answer.updated} changed, ${answer.unchanged} as they were.`
      : answer.errors.map((one) => `Row ${one.row + 1}${one.column ? `, ${one.column}` : ""}: ${one.message}`).join("\n");
    if (answer.status === 200) renew();
  });

  async function cell_changed(change) { // of the generic grid: saved at once, or put back with the reason
    const none = window.dash_clientside.no_update;
    if (!change || !change.length) return [none, none];
    const info = JSON.parse(document.getElementById("grid-info").textContent);
    const back = [], words = [];
    for (const one of change) {
      const row = Object.fromEntries(info.keys.map((name) => [name, one.data[name]]));
      row[one.colId] = one.value === undefined ? null : one.value;
      const answer = await post("/app/_write", { table: info.table, rows: [row], batch: uuid(),
                                                  expected: [{ [one.colId]: one.oldValue === undefined ? null : one.oldValue }] });
      if (answer.status === 200) words.push(`Saved ${one.colId}: ${one.value}.`);
      else {
        back.push({ ...one.data, [one.colId]: one.oldValue });
        words.push(`Not saved: ${answer.errors.map((fault) => fault.message).join(" ")}`);
      }
    }
    return [words.join("\n"), back.length ? { update: back } : none];
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-read]");
    if (!button) return;
    await post("/app/_read", { ids: button.dataset.read ? [button.dataset.read] : [] });
    renew();
  });

  function hand_over() { // from the page that stood in the document to the one that the programs of the site made
    const early = document.getElementById("early");
    if (!early || !document.querySelector("#page .nj-page")) return;
    early.remove();
    document.getElementById("react-entry-point").inert = false;
  }

  // ---- the name of a form that has the focus, when the page is made again ----------------------------------------
  let last_name = null; // a <summary>
  document.addEventListener("focusin", ({ target }) => {
    last_name = target.matches("summary") ? target : null;
    if (last_name) last_name.page = here();
  });
  function find_name_again() {
    if (!last_name || last_name.isConnected) return;
    const again = last_name.page === here() && [...document.querySelectorAll(".nj-fold > summary")].find(
      (one) => one.textContent === last_name.textContent);
    if (!again) return;
    if (last_name.parentNode.open) again.parentNode.open = true;
    if (document.activeElement === document.body) again.focus({ preventScroll: true });
  }

  // ---- places that the pages make ------------------------------------------------------------------------------
  function look() {
    if (last_form && last_form.page !== here()) last_form = null;
    find_name_again();
    for (const place of document.querySelectorAll(".nj-form-place")) {
      if (place.built === place.dataset.form) continue;
      if (place.contains(document.activeElement) && place.querySelector(":invalid, [aria-invalid]")) continue;
      place.built = place.dataset.form;
      build(place);
    }
    hand_over();
    const round = document.getElementById("round");
    if (round && round.built !== round.dataset.rows) {
      round.built = round.dataset.rows;
      build_round(round);
    }
  }
  new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true, attributes: true,
                                                                 attributeFilter: ["data-form", "data-rows"] });
  look(); // what is there already, where the page came before this program
  window.dash_clientside = window.dash_clientside || {};
  const shared = (window.dash_clientside.neurojoint = window.dash_clientside.neurojoint || {});
  Object.assign(shared, { cell_changed });
})();
