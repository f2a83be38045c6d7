/** MP4 files of a track of pictures and one of sound (ISO/IEC 14496-12); the index comes first, so a player begins at once. */

/** Units of time in a second, for a sample of Opus and a thirtieth of a second alike. */
const SCALE = 48_000;
const UNITS = SCALE / 1_000_000;
/** Samples at 48 kHz before the sound in Opus' first packet, if its head does not say. */
const OPUS_LEAD = 312;
const MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000];
/** ISO/IEC 23001-8's numbers of the colour spaces that encoders name; 2 for others. */
const PRIMARIES = { bt709: 1, bt470bg: 5, smpte170m: 6 };
const TRANSFERS = { bt709: 1, smpte170m: 6, "iec61966-2-1": 13 };
const MATRICES = { rgb: 0, bt709: 1, bt470bg: 5, smpte170m: 6 };
const OTHER = 2;

/**
 * An MP4 as a Blob. pictures, sound: {config, samples}, config: WebCodecs' of the decoder, of H.264 or VP9 and of AAC or Opus; samples:
 * [{at: microseconds, key, data: Uint8Array}] in the order in which they are shown, the first at 0; seconds: how long it plays.
 */
export function mp4({ width, height, seconds, pictures, sound }) {
  const end = Math.round(seconds * SCALE);
  const seen = { kind: "vide", width, height, volume: 0, lead: 0, entry: pictureEntry(pictures.config, width, height) };
  const heard = { kind: "soun", width: 0, height: 0, volume: 0x100, ...soundEntry(sound.config) };
  const tracks = [
    { id: 1, ...seen, samples: timed(pictures.samples, end) },
    { id: 2, ...heard, samples: timed(sound.samples, end + heard.lead) },
  ];
  const all = tracks.flatMap(({ samples }) => samples).sort((one, other) => one.at - other.at);
  const type = box("ftyp", letters("isom"), u32([0x200]), letters("isomiso2mp41"));
  // The index is as long whatever the places in it.
  let place = type.length + index(tracks, end).length + 8;
  const head = u32([all.reduce((sum, { data }) => sum + data.length, 8)]);
  for (const sample of all) {
    sample.place = place;
    place += sample.data.length;
  }
  const parts = [type, index(tracks, end), head, letters("mdat"), ...all.map(({ data }) => data)];
  return new Blob(parts, { type: "video/mp4" });
}

/** Samples with their times and lengths in units: each lasts until the next, the last one until ``end``. */
function timed(samples, end) {
  const times = samples.map(({ at }) => Math.round((at - samples[0].at) * UNITS));
  times.push(Math.max(end, times.at(-1) + 1));
  return samples.map(({ key, data }, n) => ({ key, data, place: 0, at: times[n], length: times[n + 1] - times[n] }));
}

function index(tracks, end) {
  const head = box("mvhd", u32([0, 0, 0, SCALE, end, 0x10000]), u16([0x100, 0]), u32([0, 0, ...MATRIX, 0, 0, 0, 0, 0, 0, tracks.length + 1]));
  return box("moov", head, ...tracks.map((track) => trackBox(track, end)));
}

function trackBox({ id, kind, width, height, volume, lead, entry, samples }, end) {
  const length = samples.reduce((sum, sample) => sum + sample.length, 0);
  const shown = kind === "vide";
  return box(
    "trak",
    box("tkhd", u32([3, 0, 0, id, 0, end, 0, 0]), u16([0, 0, volume, 0]), u32([...MATRIX, width << 16, height << 16])),
    box("edts", box("elst", u32([0, 1, end, lead, 0x10000]))),
    box(
      "mdia",
      box("mdhd", u32([0, 0, 0, SCALE, length]), u16([0x55c4, 0])),
      box("hdlr", u32([0, 0]), letters(kind), u32([0, 0, 0]), [0]),
      box(
        "minf",
        shown ? box("vmhd", u32([1, 0, 0])) : box("smhd", u32([0, 0])),
        box("dinf", box("dref", u32([0, 1]), box("url ", u32([1])))),
        sampleTable(entry, samples, shown),
      ),
    ),
  );
}

function sampleTable(entry, samples, shown) {
  const keys = samples.flatMap(({ key }, n) => (key ? [n + 1] : []));
  return box(
    "stbl",
    box("stsd", u32([0, 1]), entry),
    box("stts", u32([0, samples.length, ...samples.flatMap(({ length }) => [1, length])])),
    shown ? box("stss", u32([0, keys.length, ...keys])) : [],
    // Each sample is a chunk by itself, in the order of time.
    box("stsc", u32([0, 1, 1, 1, 1])),
    box("stsz", u32([0, 0, samples.length, ...samples.map(({ data }) => data.length)])),
    box("stco", u32([0, samples.length, ...samples.map(({ place }) => place)])),
  );
}

/** The description of H.264 or VP9. */
function pictureEntry({ codec, description, colorSpace }, width, height) {
  const { primaries, transfer, matrix, fullRange } = colorSpace ?? {};
  const colours = [PRIMARIES[primaries] ?? OTHER, TRANSFERS[transfer] ?? OTHER, MATRICES[matrix] ?? OTHER];
  const size = [u32([0]), u16([0, 1]), u32([0, 0, 0, 0]), u16([width, height]), u32([0x480000, 0x480000, 0]), u16([1])];
  const common = [...size, new Uint8Array(32), u16([24, 0xffff])];
  const colour = box("colr", letters("nclx"), u16(colours), [fullRange ? 0x80 : 0]);
  if (codec.startsWith("avc1")) return box("avc1", ...common, box("avcC", bytes(description)), colour);
  const [profile, level, depth] = codec.split(".").slice(1).map(Number);
  // 4:2:0, the colour's samples beside those of the brightness.
  const vp9 = box("vpcC", u32([0x1000000]), [profile, level, (depth << 4) | 2 | (fullRange ? 1 : 0), ...colours], u16([0]));
  return box("vp09", ...common, vp9, colour);
}

/** The description of AAC or Opus, and the samples before the sound: {entry, lead}. */
function soundEntry({ codec, description, sampleRate, numberOfChannels }) {
  const common = [u32([0]), u16([0, 1]), u32([0, 0]), u16([numberOfChannels, 16, 0, 0]), u32([sampleRate << 16])];
  if (codec === "opus") {
    const lead = description ? new DataView(bytes(description).buffer).getUint16(10, true) : OPUS_LEAD;
    const opus = box("dOps", [0, numberOfChannels], u16([lead]), u32([sampleRate]), u16([0]), [0]);
    return { entry: box("Opus", ...common, opus), lead };
  }
  const own = descriptor(5, bytes(description));
  const decoder = descriptor(4, [0x40, 0x15, 0, 0, 0], u32([0, 0]), own);
  return { entry: box("mp4a", ...common, box("esds", u32([0]), descriptor(3, [0, 2, 0], decoder, descriptor(6, [2])))), lead: 0 };
}

/** A descriptor of MPEG-4, shorter than 128 bytes. */
function descriptor(tag, ...parts) {
  const content = joined(parts);
  return joined([[tag, content.length], content]);
}

function box(kind, ...parts) {
  const content = joined(parts);
  return joined([u32([content.length + 8]), letters(kind), content]);
}

function joined(parts) {
  const made = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    made.set(part, at);
    at += part.length;
  }
  return made;
}

const letters = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const u16 = (numbers) => Uint8Array.from(numbers.flatMap((number) => [number >> 8, number]));
const u32 = (numbers) => u16(numbers.flatMap((number) => [number >> 16, number]));
/** The bytes of a buffer or of a view of one, in a buffer of their own. */
const bytes = (source) => (ArrayBuffer.isView(source) ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice() : new Uint8Array(source.slice(0)));
