// Spans on the page of a watch: drag over the timeline, choose an activity, save; the rules are those of /spans.
(() => {
  "use strict";
  const LOOK_AGAIN = 15_000; // ms, while the newest stretch is shown and nothing is chosen

  function begin(root) {
    const { device, step } = JSON.parse(root.dataset.start);
    const find = (selector) => root.querySelector(selector);
    const all = (selector) => [...root.querySelectorAll(selector)];
    const line = find("#span-line");
    const fields = [find("#span-from"), find("#span-to")];
    const other = find("#span-other");
    let view = null; // what the server last gave
    let hours = 1;
    let following = true; // the end of the view is the newest window
    let chosen = null; // [from, to] in ms
    let label = "";
    let drag = null;
    let asked = 0;

    // ---- talking to the console ---------------------------------------------------------------------------
    async function ask(path, body) {
      const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
      const answer = await fetch(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
      if (answer.status === 401) location.href = "/signin?next=" + encodeURIComponent(location.pathname + location.search);
      const reply = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Error(typeof reply.detail === "string" ? reply.detail : "the console cannot use these values");
      return reply;
    }

    async function load(until) {
      const number = (asked += 1);
      const query = new URLSearchParams({ device, hours });
      if (until !== undefined) query.set("until", Math.round(until));
      try {
        const reply = await ask(`/watch/timeline?${query}`);
        if (number !== asked) return;
        view = reply;
        following = until === undefined;
        draw();
      } catch (error) {
        toast(error.message, true);
      }
    }

    // ---- showing ------------------------------------------------------------------------------------------
    const share = (at) => ((at - view.since) / (view.until - view.since)) * 100;
    const clock = (at, seconds) =>
      new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), hourCycle: "h23" });
    const day = (at) => new Date(at).toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" });

    function bars(place, given, named) {
      for (const old of place.querySelectorAll("i")) old.remove();
      for (const [start, end, what] of given) {
        const low = Math.max(0, share(start));
        const wide = Math.min(100, share(end)) - low;
        if (wide <= 0) continue;
        const bar = document.createElement("i");
        bar.style.left = `${low}%`;
        bar.style.width = `max(${wide}%, 1px)`;
        bar.style.background = what ? view.colours[what] : "var(--line-strong)";
        bar.title = `${what || "no activity"}, ${clock(start, true)} to ${clock(end, true)}`;
        if (named && (wide / 100) * place.clientWidth > 46) bar.textContent = what;
        place.append(bar);
      }
    }

    function draw() {
      bars(find(".predicted"), view.predicted, true);
      bars(find(".labelled"), view.labelled, true);
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
      find(".span-when").textContent = `${day(view.since)} ${clock(view.since)} to ${clock(view.until)} (${zone})`;
      ticks();
      list();
      select(chosen, false);
      root.dataset.drawn = view.until;
    }

    function ticks() {
      const place = find(".span-ticks");
      place.textContent = "";
      const span = view.until - view.since;
      const most = Math.max(2, Math.floor(place.clientWidth / 90));
      const every = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720].map((m) => m * 60_000).find((ms) => span / ms <= most) || 1_440 * 60_000;
      const shift = new Date(view.since).getTimezoneOffset() * 60_000;
      for (let at = Math.ceil((view.since - shift) / every) * every + shift; at < view.until; at += every) {
        if (share(at) < 3 || share(at) > 97) continue;
        const tick = document.createElement("span");
        tick.style.left = `${share(at)}%`;
        tick.textContent = clock(at);
        place.append(tick);
      }
    }

    function list() {
      const place = find(".span-list");
      place.textContent = "";
      if (!view.spans.length) return;
      const rows = document.createElement("table");
      rows.className = "plain";
      const head = rows.createTHead().insertRow();
      for (const name of ["From", "To", "Activity", "By", "Note", ""]) {
        const cell = document.createElement("th");
        cell.scope = "col";
        cell.textContent = name;
        head.append(cell);
      }
      const body = rows.createTBody();
      for (const one of view.spans) {
        const row = body.insertRow();
        for (const at of [one.start, one.end]) {
          const cell = row.insertCell();
          cell.className = "nowrap nums";
          cell.textContent = `${day(at)} ${clock(at, true)}`;
        }
        const chip = document.createElement("span");
        chip.className = "chip";
        const dot = document.createElement("span");
        dot.className = "dot";
        dot.style.setProperty("--c", view.colours[one.label]);
        chip.append(dot, one.label);
        row.insertCell().append(chip);
        row.insertCell().textContent = one.annotator;
        row.insertCell().textContent = one.note || "";
        const last = row.insertCell();
        last.className = "right";
        if (!one.may_undo) continue;
        const button = document.createElement("button");
        button.type = "button";
        button.className = "button small";
        button.textContent = "Undo";
        button.setAttribute("aria-label", `Undo ${one.label}, ${clock(one.start)} to ${clock(one.end)}`);
        button.onclick = () => undo(one);
        last.append(button);
      }
      const wrap = document.createElement("div");
      wrap.className = "table-wrap";
      wrap.append(rows);
      place.append(wrap);
    }

    let fading = 0;
    function toast(words, bad) {
      const place = find(".toast");
      place.textContent = words;
      place.classList.toggle("bad", Boolean(bad));
      clearTimeout(fading);
      fading = setTimeout(() => (place.textContent = ""), bad ? 7000 : 2600);
    }

    // ---- choosing -----------------------------------------------------------------------------------------
    const written = (at) => new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);

    function length(ms) {
      const seconds = Math.round(ms / 1000);
      const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
      return parts.filter(([n]) => n).map(([n, unit]) => `${n} ${unit}`).join(" ");
    }

    function select(span, typed = true) {
      chosen = span;
      const box = find(".span-chosen");
      box.hidden = !span || !view || span[1] < view.since || span[0] > view.until;
      if (span && view && !box.hidden) {
        const low = Math.max(0, share(span[0]));
        box.style.left = `${low}%`;
        box.style.width = `${Math.min(100, share(span[1])) - low}%`;
        for (const grip of all(".grip")) {
          const at = span[Number(grip.dataset.end)];
          grip.setAttribute("aria-valuetext", clock(at, true));
          grip.setAttribute("aria-valuenow", Math.round(at / 1000));
          grip.setAttribute("aria-valuemin", Math.round(view.since / 1000));
          grip.setAttribute("aria-valuemax", Math.round(view.until / 1000));
        }
      }
      if (typed) fields.forEach((field, end) => (field.value = span ? written(span[end]) : ""));
      find(".span-length").textContent = span ? length(span[1] - span[0]) : "";
      ready();
    }

    function ready() {
      find("[type=submit]").disabled = !(chosen && chosen[1] > chosen[0] && activity());
    }
    const activity = () => other.value.trim() || label;

    function choose(name) {
      label = label === name ? "" : name;
      if (label) other.value = "";
      for (const button of all(".label[data-label]")) button.setAttribute("aria-pressed", String(button.dataset.label === label));
      ready();
    }

    // the finer the view, the finer the steps; a window is the least
    const grain = () => Math.max(step, hours <= 1 ? 0 : hours <= 6 ? 30_000 : 60_000);
    const snap = (at) => Math.min(Math.max(Math.round(at / grain()) * grain(), view.since), view.until);
    const timeAt = (x) => {
      const box = line.getBoundingClientRect();
      return view.since + (Math.min(Math.max(x - box.left, 0), box.width) / box.width) * (view.until - view.since);
    };

    line.addEventListener("pointerdown", (event) => {
      if (!view || event.button !== 0) return;
      const grip = event.target.closest(".grip");
      const at = snap(timeAt(event.clientX));
      // the end that stays
      const fixed = grip ? chosen[1 - Number(grip.dataset.end)] : at;
      drag = { fixed, x: event.clientX, before: chosen, moved: Boolean(grip) };
      line.setPointerCapture(event.pointerId);
      if (!grip) event.preventDefault();
    });
    line.addEventListener("pointermove", (event) => {
      if (!drag) return;
      drag.moved = drag.moved || Math.abs(event.clientX - drag.x) > 4;
      if (!drag.moved) return;
      const at = snap(timeAt(event.clientX));
      select([Math.min(at, drag.fixed), Math.max(at, drag.fixed)]);
    });
    line.addEventListener("pointerup", (event) => {
      if (!drag) return;
      const { moved, before } = drag;
      drag = null;
      if (moved) return select(chosen && chosen[1] > chosen[0] ? chosen : before);
      // a click: the bar under it, of a span before a predicted one
      const at = timeAt(event.clientX);
      const under = document.elementsFromPoint(event.clientX, event.clientY).some((one) => one.classList.contains("labelled"));
      const bar = (under ? view.labelled : view.predicted).find(([start, end]) => start <= at && at < end);
      select(bar ? [Math.max(bar[0], view.since), Math.min(bar[1], view.until)] : null);
    });
    line.addEventListener("pointercancel", () => {
      if (drag) select(drag.before);
      drag = null;
    });

    for (const grip of all(".grip"))
      grip.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
        if (!way || !chosen) return;
        event.preventDefault();
        const end = Number(grip.dataset.end);
        const moved = [...chosen];
        moved[end] = snap(moved[end] + way * grain() * (event.shiftKey ? 6 : 1));
        if (moved[1] > moved[0]) select(moved);
      });

    for (const field of fields)
      field.addEventListener("input", () => {
        const times = fields.map((one) => new Date(one.value).getTime());
        const whole = times.every(Number.isFinite);
        select(whole && times[1] > times[0] ? times : null, false);
        if (whole && times[1] <= times[0]) find(".span-length").textContent = "ends before it begins";
        // what is chosen is to be seen
        if (chosen && (chosen[0] < view.since || chosen[1] > view.until)) {
          const range = find("#span-range");
          const wide = [...range.options].map((one) => Number(one.value)).find((one) => one * 3_600_000 >= chosen[1] - chosen[0]);
          if (wide && wide > hours) range.value = hours = wide;
          load((chosen[0] + chosen[1]) / 2 + hours * 1_800_000);
        }
      });
    other.addEventListener("input", () => {
      if (label) choose(label);
      ready();
    });

    // ---- saving and undoing -------------------------------------------------------------------------------
    async function save() {
      const [name, span] = [activity(), chosen];
      if (find("[type=submit]").disabled) return;
      find("[type=submit]").disabled = true;
      const [start, end] = span.map((at) => new Date(at).toISOString());
      try {
        const given = await ask("/spans", { device_id: device, start, end, label: name, note: find("#span-note").value.trim() || null });
        toast(`Saved: ${given.label}, ${clock(span[0])} to ${clock(span[1])}`);
        other.value = find("#span-note").value = "";
        if (label) choose(label);
        if (chosen === span) select(null);
        await load(following ? undefined : view.until);
      } catch (error) {
        toast(`Not saved: ${error.message}.`, true);
        ready();
      }
    }

    async function undo(one) {
      if (!one) return toast("No span of yours in this range.");
      try {
        await ask(`/spans/${one.span_id}/undo`, {});
        toast(`Undone: ${one.label}, ${clock(one.start)} to ${clock(one.end)}`);
      } catch (error) {
        toast(error.message, true);
      }
      await load(following ? undefined : view.until);
    }
    const undoLast = () => view && undo(view.spans.find((one) => one.own));

    find("#span-form").addEventListener("submit", (event) => {
      event.preventDefault();
      save();
    });
    root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button || !view) return;
      if (button.dataset.act === "undo") undoLast();
      else if (button.dataset.label) choose(button.dataset.label);
      else if (button.dataset.move) {
        const way = Number(button.dataset.move);
        const until = view.until + way * hours * 1_800_000;
        load(way && until < view.newest ? until : undefined);
      }
    });
    find("#span-range").addEventListener("change", (event) => {
      hours = Number(event.target.value);
      load(following ? undefined : view.until);
    });

    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (event.target.closest("input, textarea, select")) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const button = chosen && all(".label[data-label]").find((one) => one.dataset.key && one.dataset.key === key);
      if (button) choose(button.dataset.label);
      else if (key === "Escape" && chosen) select(null);
      else if (key === "z") undoLast();
      else if (key === "Enter" && chosen && !event.target.closest("button:not(.grip):not(.label), a, summary")) save();
      else return;
      event.preventDefault();
    });

    setInterval(() => following && !chosen && !drag && !document.hidden && load(), LOOK_AGAIN);
    addEventListener("resize", () => view && draw());
    load();
  }

  // the page's content is there a moment after its scripts
  const look = setInterval(() => {
    const root = document.getElementById("spans");
    if (root && !root.dataset.begun) {
      root.dataset.begun = "1";
      clearInterval(look);
      begin(root);
    }
  }, 20);
})();
