"use strict";
// The explorer: vectors are bytes in the page, and everything that is asked is computed here. Words reach the page as text only.

const ANSWERS = 15; // neighbours that are listed
const SUGGESTIONS = 12; // words that complete what is typed
const LABELS = 250; // words that are written on a map, at most
const ZOOM = 1.25; // of a step

const byId = (id) => document.getElementById(id);

/** Return an array of numbers from the base64 of its bytes. */
function decode(text, Type) {
  return new Type(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

/** Return an element with a text and attributes. */
function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** The words of a model, their unit vectors as bytes, and questions on them. */
class Model {
  constructor(record) {
    Object.assign(this, record);
    this.vectors = decode(record.vectors, Int8Array);
    this.places = decode(record.places, Float32Array);
    this.colours = decode(record.colours, Uint8Array);
    this.norms = decode(record.norms, Float32Array);
    this.surprise = decode(record.surprise, Float32Array);
    this.rows = new Map(record.words.map((word, row) => [word, row]));
    this.scales = Float32Array.from(record.words, (_, row) => 1 / (Math.hypot(...this.bytes(row)) || Infinity));
  }

  bytes(row) {
    return this.vectors.subarray(row * this.size, (row + 1) * this.size);
  }

  /** Return the row of a word, as written or in lower case; -1 if there is none. */
  find(word) {
    return this.rows.get(word) ?? this.rows.get(word.toLowerCase()) ?? -1;
  }

  unit(row) {
    return Float32Array.from(this.bytes(row), (value) => value * this.scales[row]);
  }

  /** Return the rows nearest to a vector by cosine, best first, as pairs of row and cosine. */
  nearest(query, count, excluded) {
    const length = Math.hypot(...query) || 1;
    const found = [];
    for (let row = 0; row < this.words.length; row++) {
      if (excluded.includes(row)) continue;
      const cosine = (this.dot(row, query) * this.scales[row]) / length;
      if (found.length === count && cosine <= found[count - 1][1]) continue;
      let place = found.length;
      while (place > 0 && found[place - 1][1] < cosine) place--;
      found.splice(place, 0, [row, cosine]);
      if (found.length > count) found.pop();
    }
    return found;
  }

  dot(row, query) {
    const begin = row * this.size;
    let sum = 0;
    for (let at = 0; at < this.size; at++) sum += this.vectors[begin + at] * query[at];
    return sum;
  }

  neighbours(row) {
    return this.nearest(this.unit(row), ANSWERS, [row]);
  }

  /** Return the rows that are to c as b is to a, by 3CosAdd. */
  analogy(a, b, c) {
    const [first, second, third] = [a, b, c].map((row) => this.unit(row));
    return this.nearest(third.map((value, at) => value + second[at] - first[at]), 5, [a, b, c]);
  }
}

/** Points in a plane that can be moved and zoomed by wheel, fingers and keys; those that fit are named. */
class Plane {
  constructor(canvas, choose) {
    this.canvas = canvas;
    this.choose = choose;
    this.pen = canvas.getContext("2d");
    this.pointers = new Map();
    this.chosen = [];
    this.points = [];
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.onUp(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Show points {x, y, word, colour}; the first of them are named first. */
  show(points) {
    this.points = points;
    const [xs, ys] = ["x", "y"].map((axis) => points.map((point) => point[axis]));
    const bounds = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    [this.left, this.right] = bounds(xs);
    [this.top, this.bottom] = bounds(ys);
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.x = this.y = 0.5; // the middle of the view, in shares of the plane
    this.draw();
  }

  /** Zoom by a factor around a point of the canvas, by default its middle. */
  zoomBy(factor, left = this.canvas.clientWidth / 2, top = this.canvas.clientHeight / 2) {
    const zoom = Math.min(60, Math.max(1, this.zoom * factor));
    const [across, down] = [left / this.canvas.clientWidth - 0.5, top / this.canvas.clientHeight - 0.5];
    this.x += across / this.zoom - across / zoom;
    this.y += down / this.zoom - down / zoom;
    this.zoom = zoom;
    this.draw();
  }

  moveBy(across, down) {
    this.x -= across / this.canvas.clientWidth / this.zoom;
    this.y -= down / this.canvas.clientHeight / this.zoom;
    this.draw();
  }

  /** Return where a point is on the canvas; a margin of a twentieth is left on each side. */
  placeOf(point) {
    const share = (value, low, high) => 0.05 + (0.9 * (value - low)) / (high - low || 1);
    const across = (share(point.x, this.left, this.right) - this.x) * this.zoom + 0.5;
    const down = (share(point.y, this.top, this.bottom) - this.y) * this.zoom + 0.5;
    return [across * this.canvas.clientWidth, down * this.canvas.clientHeight];
  }

  onWheel(event) {
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? ZOOM : 1 / ZOOM, event.offsetX, event.offsetY);
  }

  onKey(event) {
    const step = 40;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.key in moves) this.moveBy(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(ZOOM);
    else if (event.key === "-") this.zoomBy(1 / ZOOM);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  onDown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.travelled = this.pointers.size > 1 ? Infinity : 0;
  }

  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY];
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
    if (other) this.zoomBy(apart(now) / apart(before), ...other);
    else this.moveBy(now[0] - before[0], now[1] - before[1]);
    this.travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
  }

  onUp(event) {
    if (event.type === "pointerup" && this.pointers.has(event.pointerId) && this.travelled < 5) this.pick(event.offsetX, event.offsetY);
    this.pointers.delete(event.pointerId);
  }

  /** Choose the word of the nearest point, if it is near. */
  pick(left, top) {
    let best = [20, null];
    for (const point of this.points) {
      const [x, y] = this.placeOf(point);
      const distance = Math.hypot(x - left, y - top);
      if (distance < best[0]) best = [distance, point];
    }
    if (best[1]) this.choose(best[1].word);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    const style = getComputedStyle(this.canvas);
    [this.canvas.width, this.canvas.height] = [width * ratio, height * ratio];
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.font = `12px ${style.fontFamily}`;
    this.pen.textBaseline = "middle";
    const seen = this.points.map((point) => [point, ...this.placeOf(point)]);
    const inside = seen.filter(([, x, y]) => x > 0 && y > 0 && x < width && y < height);
    this.pen.globalAlpha = 0.5;
    for (const [point, x, y] of inside) this.dot(x, y, 2, style.getPropertyValue(`--c${point.colour}`));
    this.pen.globalAlpha = 1;
    const chosen = inside.filter(([point]) => this.chosen.includes(point.word));
    const ink = style.getPropertyValue("--ink");
    for (const [, x, y] of chosen) this.dot(x, y, 5, ink);
    this.name([...chosen, ...inside], width, (point) => (this.chosen.includes(point.word) ? ink : style.getPropertyValue(`--c${point.colour}`)));
  }

  dot(x, y, radius, colour) {
    this.pen.fillStyle = colour;
    this.pen.beginPath();
    this.pen.arc(x, y, radius, 0, 7);
    this.pen.fill();
  }

  /** Write words beside their points, the first first, wherever they cover no other. */
  name(places, width, colour) {
    const taken = [];
    for (const [point, x, y] of places) {
      if (taken.length >= LABELS) break;
      const box = [x + 5, y - 7, x + 8 + this.pen.measureText(point.word).width, y + 7];
      if (box[2] > width || taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      taken.push(box);
      this.pen.fillStyle = colour(point);
      this.pen.fillText(point.word, x + 6, y);
    }
  }
}

const models = JSON.parse(byId("data").textContent).map((record) => new Model(record));
const map = new Plane(byId("map"), (word) => choose(word));
const norms = new Plane(byId("norms"), (word) => choose(word));

/** Fill an element with a column for each model: its name, and what `list` returns for it. */
function showColumns(home, list) {
  home.replaceChildren(
    ...models.map((model) => {
      const column = element("div");
      column.append(element("h3", model.name), list(model));
      return column;
    }),
  );
}

/** Return a list of words with their cosines; those that all models answer are marked. */
function answerList(model, found, shared) {
  const list = element("ol");
  for (const [row, cosine] of found) {
    const word = model.words[row];
    const button = element("button", word, { type: "button" });
    button.addEventListener("click", () => choose(word));
    const item = element("li", "", shared.has(word) ? { class: "shared" } : {});
    item.append(button, element("span", cosine.toFixed(3)));
    list.append(item);
  }
  return list;
}

/** Show answers of all models side by side; `ask` returns those of one, or null if it lacks a word. */
function showAnswers(home, ask) {
  const answers = new Map(models.map((model) => [model, ask(model)]));
  const sets = [...answers].filter(([, found]) => found).map(([model, found]) => new Set(found.map(([row]) => model.words[row])));
  const shared = new Set(sets.length > 1 ? [...sets[0]].filter((word) => sets.every((set) => set.has(word))) : []);
  showColumns(home, (model) =>
    answers.get(model) ? answerList(model, answers.get(model), shared) : element("p", "not among its words", { class: "none" }),
  );
}

/** Show a word everywhere: its neighbours, its place on the map, and its length. */
function choose(word) {
  const homes = models.filter((model) => model.find(word) >= 0);
  byId("message").textContent = homes.length ? "" : `“${word}” is not among the words of this page`;
  if (!homes.length) return;
  const known = homes[0].words[homes[0].find(word)];
  byId("word").value = known;
  byId("shown").textContent = known;
  location.hash = encodeURIComponent(known);
  showAnswers(byId("neighbours"), (model) => (model.find(known) < 0 ? null : model.neighbours(model.find(known))));
  mark(known);
}

/** Mark a word and its neighbours in the model of the map. */
function mark(word) {
  const model = current();
  const row = model.find(word);
  map.chosen = row < 0 ? [] : [word, ...model.neighbours(row).map(([other]) => model.words[other])];
  norms.chosen = [word];
  map.draw();
  norms.draw();
}

function current() {
  return models[byId("model").selectedIndex];
}

/** Show the map and the lengths of the model that is selected. */
function showModel() {
  const model = current();
  const point = (x, y) => model.words.map((word, row) => ({ x: x(row), y: y(row), word, colour: model.colours[row] }));
  map.show(point((row) => model.places[2 * row], (row) => model.places[2 * row + 1]));
  const known = (row) => Number.isFinite(model.surprise[row]);
  norms.show(point((row) => (known(row) ? model.surprise[row] : row), (row) => -model.norms[row]));
  byId("across").textContent = model.words.every((_, row) => known(row)) ? "−log P of the word" : "rank of the word";
  if (byId("shown").textContent) mark(byId("shown").textContent);
}

/** Offer words that begin with what is typed. */
function suggest() {
  const typed = byId("word").value.toLowerCase();
  const words = typed ? models[0].words.filter((word) => word.toLowerCase().startsWith(typed)).slice(0, SUGGESTIONS) : [];
  byId("suggestions").replaceChildren(...words.map((word) => element("option", "", { value: word })));
}

function askAnalogy() {
  const words = ["a", "b", "c"].map((id) => byId(id).value.trim());
  if (words.some((word) => !word)) return;
  showAnswers(byId("answers"), (model) => {
    const rows = words.map((word) => model.find(word));
    return rows.some((row) => row < 0) ? null : model.analogy(...rows);
  });
}

function onSubmit(id, action) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

byId("model").append(...models.map((model) => element("option", model.name)));
byId("model").addEventListener("change", showModel);
byId("word").addEventListener("input", suggest);
byId("closer").addEventListener("click", () => map.zoomBy(ZOOM));
byId("farther").addEventListener("click", () => map.zoomBy(1 / ZOOM));
byId("whole").addEventListener("click", () => map.reset());
onSubmit("search", () => choose(byId("word").value.trim()));
onSubmit("analogy", askAnalogy);
showModel();
choose(decodeURIComponent(location.hash.slice(1)) || models[0].words[models[0].first]);
