/** The sleep timer: once its time has passed, what is heard fades and rests. */

import { find, tell } from "./element.js";
import { clock } from "./i18n.js";
import { quiet, sources } from "./sources.js";

const FADE_S = 8;
const EVERY_MS = 200;

let timer = 0;

/** Begin the time that is chosen, or none; the end of a chapter is the book's to know. */
export function sleep() {
  clearInterval(timer);
  sources.fade(1);
  const minutes = Number(find("sleep").value);
  tell(find("sleep-left"), find("sleep").value && "☾");
  if (!(minutes > 0)) return;
  const ends = performance.now() + 60_000 * minutes;
  const shows = () => {
    const left = Math.max(0, (ends - performance.now()) / 1000);
    tell(find("sleep-left"), `☾ ${clock(left)}`);
    if (left < FADE_S) sources.fade(left / FADE_S);
    if (left > 0) return;
    quiet();
    sleepNoMore();
  };
  shows();
  timer = setInterval(shows, EVERY_MS);
}

/** End the timer; what goes on is as loud as before. */
export function sleepNoMore() {
  find("sleep").value = "";
  sleep();
}
