/** Binary frames of VoxCPM's protocol. */

/** A frame begins so, and has so many bytes before its metadata. */
const MAGIC = 0xaa55;
const HEAD = 8;
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Read a frame: 0xAA 0x55, type, 0, metadata and its length, samples and theirs.
 * @param {ArrayBuffer} buffer as it came from the socket
 * @returns {{metadata: Record<string, any>, samples: Int16Array}} samples: mono, in memory of their own
 * @throws {RangeError} if it is not a whole frame
 */
export function readFrame(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEAD + 4 || view.getUint16(0) !== MAGIC) throw new RangeError("not a frame");
  const payloadAt = HEAD + view.getUint32(4) + 4;
  if (payloadAt > buffer.byteLength) throw new RangeError("metadata cut short");
  const size = view.getUint32(payloadAt - 4);
  if (size % 2 || payloadAt + size > buffer.byteLength) throw new RangeError("samples cut short");
  const metadata = JSON.parse(decoder.decode(new Uint8Array(buffer, HEAD, payloadAt - 4 - HEAD)));
  // A copy, as a view would need an even offset. Every browser's processor is little-endian, as the samples are.
  return { metadata, samples: new Int16Array(buffer.slice(payloadAt, payloadAt + size)) };
}
