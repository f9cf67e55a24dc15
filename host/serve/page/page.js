// The page: sends the image as it is, with the labels in the address, and shows the answer.

const at = (id) => document.getElementById(id);

let state = null;
let file = null;
let request = null;

const lines = () => [...new Set(at("labels").value.split("\n").map((line) => line.trim()).filter(Boolean))];
const digits = (value, count = 3) => Number(value).toLocaleString("en", { maximumSignificantDigits: count });

async function ask(path, options) {
  const answer = await fetch(path, options);
  let content = null;
  try {
    content = await answer.json();
  } catch {
    throw new Error(`the server answered ${answer.status} without a reason`);
  }
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function say(status, error = "") {
  at("status").textContent = status;
  at("error").textContent = error;
  at("error").hidden = !error;
}

function hint() {
  const others = lines().filter((name) => !state.labels.includes(name));
  const { possible, reason } = state.other_labels;
  let text = `${lines().length} labels.`;
  if (possible) text += others.length ? ` ${others.length} will be embedded when you classify; the first time takes some seconds.` : " Any text is possible.";
  else if (others.length) text += ` Not among the bundle’s: ${others.join(", ")}. Other labels: ${reason}.`;
  else text += ` Only the bundle’s labels can be used: ${reason}.`;
  at("labels-hint").textContent = text;
}

function energyText(energy) {
  if (!energy) return "not measured";
  const spread = `${digits(energy.low95_mj)} to ${digits(energy.high95_mj)}`;
  const joules = digits(energy.value_mj / 1e3);
  return `${joules} J an image (${digits(energy.value_mj)} mJ, 95 %: ${spread}), measured ${energy.created} by ${energy.sensor}: ${energy.boundary}`;
}

function showState() {
  const { backend, accelerator } = state;
  at("kind").textContent = backend.kind;
  at("kind").classList.toggle("hardware", !state.emulated);
  at("backend").textContent = `${backend.name}: ${backend.text}`;
  at("bundle").textContent = `${state.bundle}, ${state.built ? "bitstream built" : "no bitstream built"}`;
  at("accelerator").textContent =
    `${digits(accelerator.latency_us)} µs for one image at ${accelerator.clk_mhz} MHz (simulated, ${accelerator.source})`;
  at("energy").textContent = energyText(state.energy);
  at("file").accept = state.media_types.join(",");
  at("labels").value = state.labels.join("\n");
  hint();
  say("Choose an image.");
}

function showTop(top) {
  at("top").replaceChildren(
    ...top.map(({ label, score }) => {
      const row = document.createElement("li");
      const name = document.createElement("span");
      name.textContent = label;
      const number = document.createElement("span");
      number.className = "score";
      number.textContent = score.toFixed(3);
      const bar = document.createElement("div");
      bar.className = "bar";
      bar.setAttribute("aria-hidden", "true");
      const fill = document.createElement("span");
      fill.style.width = `${100 * Math.min(1, Math.max(0, score))}%`;
      bar.append(fill);
      row.append(name, number, bar);
      return row;
    }),
  );
}

async function classify() {
  if (!file || !state) return;
  request?.abort();
  const mine = (request = new AbortController());
  say("Classifying…");
  const query = new URLSearchParams(lines().map((name) => ["label", name]));
  try {
    if (file.size > state.limits.bytes)
      throw new Error(`the image: ${digits(file.size / 1e6)} MB, expected at most ${digits(state.limits.bytes / 1e6)} MB`);
    if (lines().length > state.limits.labels) throw new Error(`labels: expected at most ${state.limits.labels}`);
    const answer = await ask(`/api/classify?${query}`, {
      method: "POST",
      headers: { "Content-Type": file.type || "application/octet-stream" },
      body: file,
      signal: mine.signal,
    });
    at("seen").src = answer.seen;
    showTop(answer.top);
    const { total, accelerator } = answer.latency_ms;
    at("latency").textContent = `${digits(total)} ms in all, ${digits(accelerator)} ms of it in ${state.backend.name}`;
    say(`${answer.top[0].label}, similarity ${answer.top[0].score.toFixed(3)}`);
  } catch (error) {
    if (mine.signal.aborted) return;
    showTop([]);
    at("latency").textContent = "–";
    say("No result.", error.message);
  }
}

function take(chosen) {
  if (!chosen) return;
  file = chosen;
  URL.revokeObjectURL(at("preview").src);
  at("preview").src = URL.createObjectURL(chosen);
  at("seen").removeAttribute("src");
  at("file-name").textContent = chosen.name;
  at("pictures").hidden = false;
  at("again").disabled = false;
  classify();
}

at("file").addEventListener("change", () => take(at("file").files[0]));
at("labels").addEventListener("input", () => state && hint());
at("labels").addEventListener("change", classify);
at("again").addEventListener("click", classify);
at("reset").addEventListener("click", () => {
  if (!state) return;
  at("labels").value = state.labels.join("\n");
  hint();
  classify();
});
// Anywhere on the page, so that a dropped file is never opened in its place.
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
addEventListener("dragleave", () => at("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => take(event.clipboardData.files[0]));

try {
  state = await ask("/api/state");
  showState();
  take(at("file").files[0]); // a browser may restore it, or have been faster than the answer
} catch (error) {
  say("", error.message);
}
