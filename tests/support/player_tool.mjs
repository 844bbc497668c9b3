// Runs the player's modules for the tests: a request as JSON on stdin, its answer as JSON on stdout.
//
// `node player_tool.mjs FILE [ENGINE]` prints the MD5 of each shown frame, or an error and its code.

import { readFileSync } from 'node:fs';
import vm from 'node:vm';

import { crc32 } from '../../nervcodec/player/bytes.js';
import { openFile } from '../../nervcodec/player/container.js';
import { DecoderService } from '../../nervcodec/player/decoder_service.js';
import { checkedEngine, loadEngine } from '../../nervcodec/player/engines.js';
import { NvppError } from '../../nervcodec/player/errors.js';
import { Md5, addFrame, bytesOf, checkDigest, hexadecimal } from '../../nervcodec/player/md5.js';
import { planeSize } from '../../nervcodec/player/model.js';
import { SegmentDecoder } from '../../nervcodec/player/network.js';
import { readNut } from '../../nervcodec/player/nut.js';
import { Schedule } from '../../nervcodec/player/schedule.js';
import { decodeParameters } from '../../nervcodec/player/streams.js';
import { frequenciesOf } from '../../nervcodec/player/tables.js';
import { RgbaConverter } from '../../nervcodec/player/yuv.js';

const PRIOR = readFileSync(new URL('../../nervcodec/nn/priors/1.npy', import.meta.url));
const read = (path) => new Uint8Array(readFileSync(path));
const base64 = (bytes) => Buffer.from(bytes).toString('base64');

/** The planes of all shown frames of a file, in base64. */
async function decode({ path, engine }) {
  const factory = await loadEngine(engine);
  const file = openFile(read(path));
  const decoders = file.segments.map(
    (_, i) => new SegmentDecoder(file, i, { prior: PRIOR, engine: factory }),
  );
  return Array.from({ length: file.nFrames }, (_, shown) => {
    const { segment, frame } = file.locate(file.codedFrame(shown));
    return decoders[segment].decode(frame).planes.map((plane) => base64(bytesOf(plane)));
  });
}

/**
 * The planes of frames of the first segment at any times, in base64, on request of twice the size;
 * null for what it refuses.
 */
async function between({ path, engine, times, upscale }) {
  const file = openFile(read(path));
  const decoder = new SegmentDecoder(file, 0, { prior: PRIOR, engine: await loadEngine(engine) });
  const answers = [];
  for (const time of times) {
    try {
      const frame = await (upscale ? decoder.upscale(time) : decoder.decode(time));
      answers.push(frame.planes.map((plane) => base64(bytesOf(plane))));
    } catch (error) {
      answers.push(error instanceof RangeError ? null : error.stack);
    }
  }
  return answers;
}

/** The MD5 of each segment's frames, and of all. */
async function digest({ path, engine }) {
  const factory = await loadEngine(engine);
  const file = openFile(read(path));
  return file.segments.map((segment, i) => {
    const decoder = new SegmentDecoder(file, i, { prior: PRIOR, engine: factory });
    const md5 = new Md5();
    for (let frame = 0; frame < segment.nFrames; frame++) {
      addFrame(md5, decoder.decode(frame), file.model.colorspace);
    }
    return hexadecimal(md5.digest());
  });
}

/** The MD5 of each shown frame of a file whose segments have the MD5 that they say. */
function frameDigests(path, factory) {
  const file = openFile(read(path));
  const { colorspace } = file.model;
  const ofCoded = file.segments.flatMap((segment, i) => {
    const decoder = new SegmentDecoder(file, i, { prior: PRIOR, engine: factory });
    const all = new Md5();
    const digests = Array.from({ length: segment.nFrames }, (_, n) => {
      const frame = decoder.decode(n);
      addFrame(all, frame, colorspace);
      const md5 = new Md5();
      addFrame(md5, frame, colorspace);
      return hexadecimal(md5.digest());
    });
    checkDigest(all, segment.md5, i);
    return digests;
  });
  return Array.from({ length: file.nFrames }, (_, shown) => ofCoded[file.codedFrame(shown)]);
}

/** For each file the MD5 of its shown frames, or the kind of its error. */
async function suite({ paths, engine }) {
  const factory = await loadEngine(engine);
  return paths.map((path) => {
    try {
      return frameDigests(path, factory);
    } catch (error) {
      return error.kind ?? error.stack;
    }
  });
}

/** What a file is refused with: {kind, message}, or null. */
function refusal(bytes) {
  try {
    const file = openFile(bytes);
    for (const segment of file.segments) {
      decodeParameters(file.model, segment, PRIOR);
    }
  } catch (error) {
    return error instanceof NvppError
      ? { kind: error.kind, message: error.message }
      : { kind: 'bug', message: error.stack };
  }
  return null;
}

/** Files with some bits flipped, every second one with checksums made to fit. */
function damage({ path, seed, count }) {
  const good = read(path);
  const random = generator(seed);
  const result = { kinds: {}, slowest_ms: 0, bugs: [] };
  for (let i = 0; i < count; i++) {
    const bytes = good.slice();
    for (let n = 1 + random(3); n > 0; n--) {
      bytes[random(bytes.length)] ^= 1 << random(8);
    }
    if (i % 2 === 1) {
      mend(bytes);
    }
    const start = performance.now();
    const refused = refusal(bytes);
    result.slowest_ms = Math.max(result.slowest_ms, performance.now() - start);
    const kind = refused?.kind ?? 'none';
    result.kinds[kind] = (result.kinds[kind] ?? 0) + 1;
    if (kind === 'bug') {
      result.bugs.push(`${i}: ${refused.message}`);
    }
  }
  return result;
}

/** Whole numbers below a limit, by a linear congruential generator of 32 bits. */
function generator(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Make the checksums of a file fit as far as its lengths lead. */
function mend(bytes) {
  const view = new DataView(bytes.buffer);
  const fit = (start, end) => {
    if (end + 4 > bytes.length) {
      return false;
    }
    view.setUint32(end, crc32(bytes.subarray(start, end)), true);
    return true;
  };
  const index = 12 + view.getUint16(10, true) + 4;
  if (!fit(0, index - 4) || index + 4 > bytes.length) {
    return;
  }
  let end = index + 4;
  for (let n = view.getUint32(index, true); n > 0 && end < bytes.length; n--) {
    end += bytes[end] === 1 ? 9 : 5;
  }
  let start = index;
  while (fit(start, end)) {
    start = end + 4;
    if (start + 5 > bytes.length) {
      return;
    }
    end = start + 5 + view.getUint32(start + 1, true);
  }
}

/** What a service answers to messages, planes and RGBA in base64. */
async function serve({ messages }) {
  const answers = [];
  const service = new DecoderService((answer) => answers.push(answer));
  for (const { path, wait, ...message } of messages) {
    service.receive(
      path === undefined ? message : { ...message, bytes: read(path), prior: new Uint8Array(PRIOR) },
    );
    while (wait === true && service.isBusy) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  while (service.isBusy) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return answers.map((answer) => ({
    ...answer,
    planes: answer.planes?.map((plane) => base64(bytesOf(plane))) ?? null,
    rgba: answer.rgba ? base64(answer.rgba) : null,
  }));
}

/** RGBA of one frame whose planes are given, in base64. */
function rgba({ header, model, planes }) {
  const samples = planes.map((values) =>
    model.depth === 8 ? Uint8Array.from(values) : Uint16Array.from(values),
  );
  const sizes = planes.map((_, plane) => planeSize(model, plane));
  const frame = {
    planes: samples,
    widths: sizes.map(([, width]) => width),
    heights: sizes.map(([height]) => height),
  };
  return base64(new RgbaConverter(header, model).convert(frame));
}

/** Where shown frames are and when they begin, and the other sections of a file. */
function sections({ path }) {
  const file = openFile(read(path));
  const shown = Array.from({ length: file.nFrames }, (_, i) => i);
  return {
    coded: shown.map((i) => file.codedFrame(i)),
    times: [...shown, file.nFrames].map((i) => file.timeOf(i)),
    sound: file.sound && { ...file.sound, nut: base64(file.sound.nut) },
    properties: file.properties,
  };
}

/** The coded frames of all pictures of a schedule, their times, and the pictures at these times. */
function pictures({ path, parts }) {
  const schedule = new Schedule(openFile(read(path)), parts);
  const all = Array.from({ length: schedule.nPictures }, (_, n) => n);
  return {
    coded: all.map((n) => schedule.codedFrame(n)),
    times: [...all, schedule.nPictures].map((n) => schedule.timeOf(n)),
    back: all.map((n) => schedule.pictureAt(schedule.timeOf(n))),
  };
}

/** Streams and packets of NUT files, or why there are none. */
function nut({ files }) {
  return files.map((file) => {
    try {
      const { streams, packets } = readNut(new Uint8Array(Buffer.from(file, 'base64')));
      return {
        streams: streams.map((stream) => ({ ...stream, extradata: base64(stream.extradata) })),
        packets: packets.map((packet) => ({ ...packet, data: base64(packet.data) })),
      };
    } catch (error) {
      return error instanceof NvppError ? error.message : { bug: error.stack };
    }
  });
}

/**
 * The engine and the sample of each frame where fast engines, by their names, give such samples, null
 * where they fail, and a sure one the number of the frame.
 */
async function checked({ fast }) {
  const engines = Object.entries(fast).map(([name, samples]) => async () => {
    if (samples === null) throw new Error('none');
    const run = async ([n]) => {
      if (samples[n] === null) throw new Error('lost');
      return [samples[n]];
    };
    return { name, run };
  });
  const sure = { name: 'sure', run: (inputs) => inputs };
  const engine = checkedEngine(engines, sure);
  const found = [];
  for (let n = 0; n < 4; n++) {
    const [sample] = await engine.run([n]);
    found.push([engine.name, sample]);
  }
  return found;
}

const COMMANDS = {
  checked,
  nut,
  pictures,
  decode,
  between,
  digest,
  damage,
  serve,
  rgba,
  sections,
  suite,
  refuse: ({ paths }) => paths.map((path) => refusal(read(path))),
  md5: ({ parts }) => {
    const md5 = new Md5();
    parts.forEach((part) => md5.update(Buffer.from(part, 'base64')));
    return hexadecimal(md5.digest());
  },
  unpack,
  frequencies: ({ record, most }) => [...frequenciesOf(record, most)],
};

/** The bytes of texts, by the script of an exported page, which has nothing to unpack here. */
function unpack({ texts }) {
  const script = readFileSync(new URL('../../nervcodec/player/unpack.js', import.meta.url), 'utf8');
  const document = { getElementById: () => ({}) };
  const context = { PACKED: '', document, Blob, Response, DecompressionStream };
  vm.runInNewContext(script, context);
  return texts.map((text) => [...context.bytesOf(text)]);
}

if (process.argv.length > 2) {
  try {
    console.log(frameDigests(process.argv[2], await loadEngine(process.argv[3])).join('\n'));
  } catch (error) {
    console.error(`${error.kind ?? 'bug'}: ${error.message}`);
    process.exitCode = error.kind === 'LimitExceeded' ? 5 : error.kind === undefined ? 1 : 4;
  }
} else {
  const request = JSON.parse(readFileSync(0, 'utf8'));
  process.stdout.write(JSON.stringify(await COMMANDS[request.command](request)));
}
