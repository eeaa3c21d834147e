// Labelling: shows items, keeps the next ones ready, sends answers in the background.
(() => {
  "use strict";
  const AHEAD = 2; // items held ready beside the one on the screen
  const LOOK_AGAIN = 4000; // ms, while nothing waits

  function begin(root) {
    const start = JSON.parse(root.dataset.start);
    const find = (selector) => root.querySelector(selector);
    const all = (selector) => [...root.querySelectorAll(selector)];
    let current = null; // the item on the screen
    let shownAt = 0;
    let ready = []; // items to come
    let fetching = false;
    let again = 0; // timer, while nothing waits
    let sending = Promise.resolve(); // answers go out one after another
    let unsent = 0;
    let given = 0; // answers and undos so far: a count from before the last of them is out of date
    let hidden = localStorage.getItem("activity-hide-model") === "1";
    let bulk = null; // tiles on show
    const gaps = (window.annotateGaps = []); // ms from a key to the next item painted; tests read it

    // after signing out, do not ask to come back here
    let leaving = false;
    addEventListener("submit", (event) => (leaving ||= event.target.getAttribute("action") === "/signout"), true);

    // ---- talking to the console ---------------------------------------------------------------------------
    async function ask(path, body) {
      const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
      const answer = await fetch("/annotate/" + path, { ...options, headers: { Accept: "application/json", ...options.headers } });
      if (answer.status === 401) {
        if (!leaving) location.href = "/signin?next=/annotate";
        throw new Refused(401, "your session is over");
      }
      const reply = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Refused(answer.status, typeof reply.detail === "string" ? reply.detail : "the console could not do this");
      return reply;
    }
    class Refused extends Error {
      constructor(status, words) {
        super(words);
        this.status = status;
      }
    }

    // the room for the plot; on a phone the page scrolls and the plot takes its own height
    const plot = find("#plot");
    const size = () =>
      `width=${Math.round(plot.clientWidth / 4) * 4 || 900}&height=${matchMedia("(max-width: 899px)").matches ? 0 : plot.clientHeight}`;
    const holding = () => [current, ...ready].filter(Boolean).map((one) => one.item_id).concat(bulk ? bulk.ids : []);

    async function fill() {
      if (fetching || ready.length >= AHEAD) return;
      fetching = true;
      try {
        while (ready.length < AHEAD) {
          const before = unsent ? -1 : given;
          const reply = await ask(`next?${size()}&besides=${holding().concat(taken()).join(",")}`);
          if (before === given) progress(reply.progress);
          if (!reply.item) break;
          ready.push(reply.item);
          if (!current) show(ready.shift());
        }
      } catch (error) {
        if (!(error instanceof Refused)) toast("The console does not answer; retrying.", true);
        else if (error.status !== 401) toast(error.message, true);
      } finally {
        fetching = false;
      }
      if (!current) nothing();
      clearTimeout(again);
      if (ready.length < AHEAD) again = setTimeout(fill, LOOK_AGAIN);
    }

    // items whose answers are still on their way must not be fetched again
    const underway = new Set();
    const taken = () => [...underway];

    function send(ids, path, body, done) {
      for (const id of ids) underway.add(id);
      unsent += 1;
      given += 1;
      sending = sending.then(async () => {
        for (let attempt = 0; ; attempt += 1) {
          try {
            const reply = await ask(path, body);
            progress(reply.progress);
            if (done) done(reply);
            break;
          } catch (error) {
            if (error instanceof Refused && error.status < 500) {
              toast(`Not saved: ${error.message}.`, true);
              break;
            }
            if (attempt === 5) {
              toast("The last answer could not be saved; the window will come back.", true);
              break;
            }
            toast("The console does not answer; retrying.", true);
            await new Promise((go) => setTimeout(go, 400 * 2 ** attempt));
          }
        }
        unsent -= 1;
        for (const id of ids) underway.delete(id);
        fill();
      });
      return sending;
    }

    // ---- showing ------------------------------------------------------------------------------------------
    function show(item, pressedAt) {
      current = item;
      shownAt = performance.now();
      find(".nothing").hidden = true;
      root.setAttribute("aria-busy", "false");
      root.dataset.item = item.item_id;
      find(".device").textContent = item.device;
      const at = new Date(item.start);
      const here = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
      const day = at.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" });
      const utc = item.start.slice(11, 16);
      find(".when").textContent = at.getTimezoneOffset() ? `${day} ${here} (${utc} UTC)` : `${day} ${here} UTC`;
      find(".figures").innerHTML = item.figures.map(([name, value]) => `<span>${name} <b>${value}</b></span>`).join("");
      find("#plot").innerHTML = item.plot;
      find(".strip-place").innerHTML = item.strip
        ? item.strip
        : `<p class="none-yet">${item.audit ? "Hidden for an audit window: they are predictions." : "No other windows of this watch nearby."}</p>`;
      find(".like .tiles").innerHTML = item.similar.length ? item.similar.join("") : '<p class="none-yet">None labelled yet.</p>';
      model();
      for (const button of all(".label.pressed")) button.classList.remove("pressed");
      const sight = find(".sight");
      sight.scrollTop = 0;
      speak(`Next window: ${item.device}, ${item.summary}.`);
      if (pressedAt !== undefined)
        requestAnimationFrame(() => setTimeout(() => gaps.push(performance.now() - pressedAt), 0));
      ask("renew", { item_ids: [item.item_id] }).catch(() => {});
    }

    function model() {
      const quiet = hidden || Boolean(current && current.audit);
      root.classList.toggle("no-model", quiet);
      for (const button of all(".choose .label[data-label]")) {
        const share = current && !quiet ? current.model[button.dataset.label] : undefined;
        button.querySelector(".share").textContent = share === undefined ? "" : `${Math.round(share * 100)}%`;
        button.querySelector(".bar i").style.width = share === undefined ? "0" : `${share * 100}%`;
      }
      const note = find(".hidden-note");
      note.hidden = !quiet;
      note.textContent = current && current.audit
        ? "Audit window: its label evaluates models, so the prediction is hidden."
        : "The prediction is hidden (h to show it).";
      find('[data-act="hide"]').setAttribute("aria-pressed", hidden);
    }

    function nothing() {
      root.setAttribute("aria-busy", "false");
      delete root.dataset.item;
      find(".nothing").hidden = false;
    }

    function progress(p) {
      if (!p) return;
      find(".hour .count").textContent = `${p.hour} of ${p.goal} this hour · ${p.waiting} in the queue`;
      const meter = find(".meter");
      meter.querySelector("i").style.width = `${Math.min(100, (p.hour / p.goal) * 100)}%`;
      meter.classList.toggle("full", p.hour >= p.goal);
      meter.setAttribute("aria-valuenow", p.hour);
      meter.setAttribute("aria-valuemax", p.goal);
      root.dataset.hour = p.hour;
    }

    let fading = 0;
    function toast(words, bad) {
      const place = find(".toast");
      place.textContent = words;
      place.classList.toggle("bad", Boolean(bad));
      clearTimeout(fading);
      fading = setTimeout(() => (place.textContent = ""), bad ? 6000 : 2200);
    }
    const speak = (words) => (find("#spoken").textContent = words);

    // ---- answering ----------------------------------------------------------------------------------------
    function advance(pressedAt) {
      current = null;
      if (ready.length) show(ready.shift(), pressedAt);
      else {
        root.setAttribute("aria-busy", "true");
        delete root.dataset.item;
        find("#plot").innerHTML = '<div class="waiting">Loading …</div>';
      }
      fill();
    }

    function answer(kind, label, note, pressedAt = performance.now()) {
      if (!current) return;
      const item = current;
      const body = {
        item_id: item.item_id,
        answer: kind,
        label: label || null,
        note: note || null,
        seconds: (performance.now() - shownAt) / 1000,
        model_hidden: hidden || item.audit,
      };
      send([item.item_id], "answer", body);
      toast(kind === "label" ? label : { skip: "skipped", unsure: "unsure", flag: "flagged" }[kind]);
      advance(pressedAt);
    }

    async function undo() {
      await sending; // answers given before go first
      given += 1;
      try {
        const reply = await ask(`undo?${size()}`, {});
        progress(reply.progress);
        if (!reply.undone) return toast("Nothing to undo.");
        const what = reply.undone.label || reply.undone.answer;
        toast(`Undone: ${what}${reply.undone.n > 1 ? ` of ${reply.undone.n} windows` : ""}`);
        if (!reply.item) return toast("Undone; another annotator has the window now.");
        ready = ready.filter((one) => one.item_id !== reply.item.item_id);
        if (current && current.item_id !== reply.item.item_id) ready.unshift(current);
        show(reply.item);
      } catch (error) {
        toast(error.message || "The console does not answer.", true);
      }
    }

    function dialog(id, onOk) {
      const box = find("#" + id);
      const input = box.querySelector("input");
      if (input) input.value = "";
      box.returnValue = "";
      box.onclose = () => {
        if (onOk && box.returnValue === "ok") onOk(input ? input.value.trim() : "");
      };
      box.showModal();
      if (input) input.focus();
    }

    // ---- several at once ----------------------------------------------------------------------------------
    async function openBulk() {
      if (!current) return;
      if (current.audit) return toast("Audit windows are labelled one by one.");
      const item = current;
      const opened = performance.now();
      let reply;
      try {
        reply = await ask(`similar/${item.item_id}`);
      } catch (error) {
        return toast(error.message, true);
      }
      if (current !== item) return;
      if (!reply.tiles.length) return toast("No similar window of this person is in the queue.");
      bulk = { item, opened, ids: reply.tiles.map((tile) => tile.item_id) };
      ready = ready.filter((one) => !bulk.ids.includes(one.item_id));
      const place = find("#bulk-tiles");
      place.innerHTML = "";
      for (const tile of reply.tiles) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "tile";
        button.dataset.id = tile.item_id;
        button.setAttribute("aria-pressed", String(tile.alike));
        button.innerHTML = tile.html;
        button.onclick = () => button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        place.append(button);
      }
      const labels = find("#bulk-labels");
      labels.innerHTML = "";
      for (const button of all(".choose .label[data-label]")) {
        const copy = button.cloneNode(true);
        copy.querySelector(".bar").remove();
        copy.querySelector(".share").remove();
        labels.append(copy);
      }
      const box = find("#bulk");
      box.onclose = () => {
        if (!bulk) return;
        ask("release", { item_ids: bulk.ids }).catch(() => {});
        bulk = null;
      };
      box.showModal();
    }

    function labelTogether(label) {
      const chosen = all('#bulk-tiles .tile[aria-pressed="true"]').map((tile) => Number(tile.dataset.id));
      const rest = bulk.ids.filter((id) => !chosen.includes(id));
      const { item, opened } = bulk;
      bulk = null;
      find("#bulk").close();
      const seconds = (performance.now() - Math.min(opened, shownAt)) / 1000 / (chosen.length + 1);
      const body = { item_ids: [item.item_id, ...chosen], label, seconds, model_hidden: hidden || item.audit };
      send(body.item_ids, "together", body, (reply) => toast(`${reply.taken.length} windows: ${label}`));
      if (rest.length) ask("release", { item_ids: rest }).catch(() => {});
      advance();
    }

    // ---- keys and clicks ----------------------------------------------------------------------------------
    const acts = {
      skip: () => answer("skip"),
      unsure: () => answer("unsure"),
      flag: () => answer("flag"),
      note: () => current && dialog("note", (words) => answer("flag", null, words)),
      undo,
      bulk: openBulk,
      "bulk-close": () => find("#bulk").close(),
      hide: () => {
        hidden = !hidden;
        localStorage.setItem("activity-hide-model", hidden ? "1" : "0");
        model();
      },
      help: () => dialog("keys"),
      other: () => current && dialog("other", (words) => words && useOther(words)),
    };
    const keys = { s: "skip", u: "unsure", f: "flag", n: "note", z: "undo", b: "bulk", h: "hide", "?": "help", o: "other" };

    function useOther(words) {
      const known = all(".choose .label[data-label]").find((one) => one.dataset.label.toLowerCase() === words.toLowerCase());
      answer("label", known ? known.dataset.label : words);
    }

    root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-act], .label[data-label]");
      if (!button || !root.contains(button)) return;
      if (button.dataset.act) return acts[button.dataset.act]();
      if (bulk) return labelTogether(button.dataset.label);
      // no focus stays behind on a label: Enter must not answer the next window too
      button.blur();
      answer("label", button.dataset.label, null, event.timeStamp);
    });

    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (event.target.closest("input, textarea, select")) return;
      const open = root.querySelector("dialog[open]");
      if (open && !(bulk && open.id === "bulk")) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const button = all(".choose .label[data-label]").find((one) => one.dataset.number === key || one.dataset.letter === key);
      if (button) {
        event.preventDefault();
        if (bulk) return labelTogether(button.dataset.label);
        return answer("label", button.dataset.label, null, event.timeStamp);
      }
      if (!bulk && keys[key]) {
        event.preventDefault();
        acts[keys[key]]();
      }
    });

    // leases are released when the page is left, and renewed while it is open
    addEventListener("pagehide", () => {
      const body = new Blob([JSON.stringify({ item_ids: holding() })], { type: "application/json" });
      navigator.sendBeacon("/annotate/release", body);
    });
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    addEventListener("beforeunload", (event) => unsent && event.preventDefault());
    const renew = async () => {
      const held = holding();
      if (!held.length || document.hidden) return;
      const reply = await ask("renew", { item_ids: held }).catch(() => null);
      if (!reply) return;
      const lost = held.filter((id) => !reply.held.includes(id) && !underway.has(id));
      ready = ready.filter((one) => !lost.includes(one.item_id));
      if (current && lost.includes(current.item_id)) {
        toast("Your lease on this window expired; another annotator has it now.", true);
        advance();
      }
    };
    setInterval(renew, start.renew * 1000);
    // an answer needs the lease, which is not renewed while the page is out of sight
    document.addEventListener("visibilitychange", renew);

    fill();
  }

  // the page's content is there a moment after its scripts
  const look = setInterval(() => {
    const root = document.getElementById("annotate");
    if (root && !root.dataset.begun) {
      root.dataset.begun = "1";
      clearInterval(look);
      begin(root);
    }
  }, 20);
})();
