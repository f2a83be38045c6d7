// Runs the document's client as it is written: node run_document.mjs CLIENT.js URL TEXT OUTPUT
import { readFileSync, writeFileSync } from 'node:fs';

const [client, url, text, output] = process.argv.slice(2);
const VoxCPMTTSClient = new Function(`${readFileSync(client, 'utf8')}; return VoxCPMTTSClient;`)();

const pieces = [];
const told = { sequences: [], shares: [], rate: 0 };
await new VoxCPMTTSClient(url).speak(
  text,
  (audio, metadata) => {
    pieces.push(Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength));
    told.sequences.push(metadata.sequence);
    told.rate = metadata.sample_rate;
  },
  (progress) => told.shares.push(progress.progress),
);
writeFileSync(output, Buffer.concat(pieces));
// It leaves its socket open, as the document's client does.
process.stdout.write(JSON.stringify(told), () => process.exit(0));
