/** The messages of speech recognition (Kyutai's protocol): MessagePack maps, as far as they need it. */

const utf8 = new TextDecoder();

/** "Audio" with samples (Float32Array, mono, 24 kHz). */
export function audioMessage(samples) {
  const head = [0x82, 0xa4, ..."type".split("").map(code), 0xa5, ..."Audio".split("").map(code), 0xa3, ..."pcm".split("").map(code)];
  const view = new DataView(new ArrayBuffer(head.length + 5 + 5 * samples.length));
  head.forEach((byte, at) => view.setUint8(at, byte));
  view.setUint8(head.length, 0xdd);
  view.setUint32(head.length + 1, samples.length);
  samples.forEach((sample, n) => {
    view.setUint8(head.length + 5 + 5 * n, 0xca);
    view.setFloat32(head.length + 6 + 5 * n, sample);
  });
  return view.buffer;
}

/** "Marker" with a number below 128: it comes back when all words before it have come. */
export const markerMessage = (number) => Uint8Array.of(0x82, 0xa4, ..."type".split("").map(code), 0xa6, ..."Marker".split("").map(code), 0xa2, ..."id".split("").map(code), number).buffer;

const code = (letter) => letter.charCodeAt(0);

/** The value in a message (ArrayBuffer): maps as objects, arrays, texts, numbers that are not negative. Throws RangeError for any other. */
export function unpack(message) {
  const view = new DataView(message);
  let at = 0;
  const skip = (bytes) => (at += bytes) - bytes;
  const text = (length) => utf8.decode(new Uint8Array(message, skip(length), length));
  const list = (length) => Array.from({ length }, value);
  const map = (length) => Object.fromEntries(Array.from({ length }, () => [value(), value()]));
  const kinds = {
    0xca: () => view.getFloat32(skip(4)),
    0xcb: () => view.getFloat64(skip(8)),
    0xcc: () => view.getUint8(skip(1)),
    0xcd: () => view.getUint16(skip(2)),
    0xce: () => view.getUint32(skip(4)),
    0xd9: () => text(view.getUint8(skip(1))),
    0xda: () => text(view.getUint16(skip(2))),
    0xdc: () => list(view.getUint16(skip(2))),
  };
  function value() {
    const head = view.getUint8(skip(1));
    if (head < 0x80) return head;
    if (head < 0x90) return map(head & 0x0f);
    if (head < 0xa0) return list(head & 0x0f);
    if (head < 0xc0) return text(head & 0x1f);
    if (!(head in kinds)) throw new RangeError(`MessagePack: 0x${head.toString(16)} is not read`);
    return kinds[head]();
  }
  return value();
}
