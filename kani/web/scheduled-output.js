/** Playback without a worklet, which browsers refuse over plain http from another machine: the jitter buffer runs on the page's own thread, and what it renders is scheduled block by block. */

import { FADE_S, JitterBuffer } from "./jitter-buffer.js";

/** Seconds of a block; from its rendering to its start, at least; and that are rendered ahead, as the page may be busy for as long. */
const BLOCK_S = 0.05;
const LEAD_S = 0.03;
const AHEAD_S = 0.25;

/** A target of the jitter buffer's messages. @param {AudioContext} context @param {(event: any) => void} told called with each event once it is heard @param {AudioNode} destination of the sound */
export function scheduledOutput(context, told, destination) {
  const rate = context.sampleRate;
  const length = Math.round(BLOCK_S * rate);
  /** Events that are to be told once they are heard: the context's clock stands while the player rests. */
  const events = [];
  const buffer = new JitterBuffer(rate, (event) => events.push(event), AHEAD_S);
  let gain = new GainNode(context);
  gain.connect(destination);
  /** Sample of the context's clock at which the next block begins. */
  let next = 0;
  let timer = 0;

  function schedule() {
    const after = (seconds) => Math.floor((context.currentTime + seconds) * rate);
    if (next < after(LEAD_S)) {
      // The page was busy for longer than was rendered ahead: the stream goes on where its sound broke off.
      buffer.time = next / rate;
      if (buffer.stream?.playing) buffer.rest(buffer.stream, 0);
      next = after(LEAD_S);
      gain.gain.setValueAtTime(1, next / rate);
    } else gain.gain.cancelScheduledValues(next / rate - FADE_S);
    while (buffer.stream && next <= after(buffer.stream.playing ? AHEAD_S : LEAD_S)) {
      const block = new AudioBuffer({ length, sampleRate: rate });
      buffer.render(block.getChannelData(0), next / rate);
      const source = new AudioBufferSourceNode(context, { buffer: block });
      source.connect(gain);
      source.start(next / rate);
      next += length;
    }
    // The sound would break off with a click if the page was too busy to render what follows.
    gain.gain.setValueAtTime(1, next / rate - FADE_S).linearRampToValueAtTime(0, next / rate);
    while (events[0]?.time <= context.currentTime) told(events.shift());
    clearTimeout(timer);
    if (buffer.stream || events.length) timer = setTimeout(schedule, 1000 * BLOCK_S);
  }

  /** Silence what is scheduled, too. */
  function stop() {
    const stopped = gain;
    stopped.gain.cancelScheduledValues(context.currentTime);
    stopped.gain.setTargetAtTime(0, context.currentTime, FADE_S / 3);
    setTimeout(() => stopped.disconnect(), 100);
    gain = new GainNode(context);
    gain.connect(destination);
    buffer.stream = null;
    events.length = 0;
    next = 0;
  }

  return {
    postMessage(message) {
      if (message.kind === "stop") stop();
      else buffer.take(message);
      schedule();
    },
  };
}
