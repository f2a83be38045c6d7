/** The sleep timer: once its time has passed, what is heard fades and rests. */

import { find, tell } from "./element.js";
import { clock } from "./i18n.js";
import { playback } from "./playback.js";

const FADE_S = 8;
const EVERY_MS = 200;

let timer = 0;

/** Begin the time that is chosen, or none; the end of a chapter is the book's to know. */
export function sleep() {
  clearInterval(timer);
  playback.player.volume = find("volume").valueAsNumber;
  const minutes = Number(find("sleep").value);
  tell(find("sleep-left"), find("sleep").value && "☾");
  if (!(minutes > 0)) return;
  const ends = performance.now() + 60_000 * minutes;
  const shows = () => {
    const left = Math.max(0, (ends - performance.now()) / 1000);
    tell(find("sleep-left"), `☾ ${clock(left)}`);
    if (left < FADE_S) playback.player.volume = find("volume").valueAsNumber * (left / FADE_S);
    if (left === 0) rest();
  };
  shows();
  timer = setInterval(shows, EVERY_MS);
}

/** Pause; what is heard is as loud as before when it goes on. */
async function rest() {
  clearInterval(timer);
  await playback.pause(true);
  find("sleep").value = "";
  sleep();
}
