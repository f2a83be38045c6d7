/** When the audio came, and when it was heard: seconds of audio over seconds since it was asked for. */

import { canvasOf } from "./canvas.js";
import { find } from "./element.js";
import { seconds, t } from "./i18n.js";

const SHORTEST_S = 2;
const ROOM = 6;
/** Between two moments that are drawn. */
const EVERY_S = 0.1;

export class Arrivals {
  #clear = canvasOf(find("arrivals"), () => this.draw());
  /** Of the utterance: seconds after it was asked for, seconds of audio that there were then. */
  #came = [];
  #heard = [];

  /** Show those of an utterance, to which more may be added. */
  begin(arrivals) {
    this.#came = arrivals;
    this.#heard = [];
    this.draw();
  }

  /** ``at`` seconds after it was asked for, the second ``position`` was heard. */
  heard(at, position) {
    if (at < this.#heard.at(-1)?.[0] + EVERY_S) return;
    this.#heard.push([at, position]);
  }

  draw() {
    const { pen, width, height, colour } = this.#clear();
    const last = (points) => points.at(-1) ?? [0, 0];
    const long = Math.max(SHORTEST_S, last(this.#came)[0], last(this.#heard)[0]);
    const much = Math.max(SHORTEST_S, last(this.#came)[1]);
    const [time, length] = last(this.#came).map(seconds);
    find("arrivals").ariaLabel = t("arrivals.label", { n: this.#came.length, time, length });
    const x = (at) => ROOM + (at / long) * (width - 2 * ROOM);
    const y = (seconds) => height - ROOM - (seconds / much) * (height - 2 * ROOM);
    const line = (name, lineWidth, points) => {
      Object.assign(pen, { lineJoin: "round", lineWidth, strokeStyle: colour(name) });
      pen.beginPath();
      for (const [at, seconds] of points) pen.lineTo(x(at), y(seconds));
      pen.stroke();
    };
    line("--line", 1, [[0, 0], [long, 0]]);
    if (this.#came.length === 0) return;
    // A step for each chunk.
    const steps = this.#came.flatMap(([at, seconds], n) => [[at, this.#came[n - 1]?.[1] ?? 0], [at, seconds]]);
    line("--wave", 1.25, [...steps, [long, much]]);
    pen.fillStyle = colour("--wave");
    for (const [at, seconds] of this.#came) {
      pen.beginPath();
      pen.arc(x(at), y(seconds), 1.5, 0, 2 * Math.PI);
      pen.fill();
    }
    line("--accent", 2, this.#heard);
  }
}
