/** When the audio came, and when it was heard: seconds of audio over seconds since it was asked for. */

import { Canvas } from "./canvas.js";

const SHORTEST_S = 2;
const ROOM = 6;

export class Arrivals {
  #canvas;
  #came = [];
  #heard = [];

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#canvas = new Canvas(element, () => this.draw());
  }

  begin() {
    this.#came = [];
    this.#heard = [];
    this.draw();
  }

  /** A chunk came ``at`` seconds after it was asked for, with which there are ``seconds`` of audio. */
  came(at, seconds) {
    this.#came.push([at, seconds]);
  }

  /** ``at`` seconds after it was asked for, the second ``position`` was heard. */
  heard(at, position) {
    const [one, other] = this.#heard.slice(-2);
    // Points on one line are one line.
    const straight = one && other && Math.abs(at - position - (one[0] - one[1])) < 0.02 && other[1] > one[1];
    if (straight && Math.abs(other[0] - other[1] - (one[0] - one[1])) < 0.02) this.#heard.pop();
    this.#heard.push([at, position]);
  }

  draw() {
    const { pen, width, height, colour } = this.#canvas.clear();
    const last = (points) => points.at(-1) ?? [0, 0];
    const long = Math.max(SHORTEST_S, last(this.#came)[0], last(this.#heard)[0]);
    const much = Math.max(SHORTEST_S, last(this.#came)[1]);
    const x = (at) => ROOM + (at / long) * (width - 2 * ROOM);
    const y = (seconds) => height - ROOM - (seconds / much) * (height - 2 * ROOM);
    pen.lineJoin = "round";
    pen.lineWidth = 1;
    pen.strokeStyle = colour("--line");
    pen.beginPath();
    pen.moveTo(x(0), y(0));
    pen.lineTo(x(long), y(0));
    pen.stroke();
    if (this.#came.length === 0) return;
    pen.lineWidth = 1.25;
    pen.strokeStyle = colour("--wave");
    pen.beginPath();
    pen.moveTo(x(this.#came[0][0]), y(0));
    let before = 0;
    for (const [at, seconds] of this.#came) {
      pen.lineTo(x(at), y(before));
      pen.lineTo(x(at), y(seconds));
      before = seconds;
    }
    pen.lineTo(x(long), y(before));
    pen.stroke();
    pen.fillStyle = colour("--wave");
    for (const [at, seconds] of this.#came) {
      pen.beginPath();
      pen.arc(x(at), y(seconds), 1.5, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.lineWidth = 2;
    pen.strokeStyle = colour("--accent");
    pen.beginPath();
    this.#heard.forEach(([at, position], n) => pen[n ? "lineTo" : "moveTo"](x(at), y(position)));
    pen.stroke();
  }
}
