// @ts-check
/** The sound of a file, decoded by the browser and played in time with the frames. */

import { readNut } from './nut.js';

const AHEAD_S = 0.5; // is decoded before it is heard
const BEFORE_S = 0.1; // is decoded first, so that a codec that looks back has what it needs
const MOST_DRIFT_S = 0.1;
const MOST_QUEUED = 32;

/**
 * Open the sound of a file: its default stream, or the first one.
 * @param {import('./container.js').NvppFile} file
 * @returns {Promise<Sound | null>} null without sound
 * @throws {Error} one that is damaged, or that the browser cannot decode
 */
export async function openSound(file) {
  const audio = (file.sound?.streams ?? []).filter(({ table }) => table.kind === 0);
  const chosen = audio.find(({ table }) => table.disposition & 1) ?? audio[0];
  if (!chosen) {
    return null;
  }
  const number = file.sound.streams.indexOf(chosen);
  const { streams, packets } = readNut(file.sound.nut);
  const stream = streams[number];
  if (!(stream?.rate > 0 && stream.channels > 0)) {
    throw new Error('its NUT file has no such stream');
  }
  const pcm = /^pcm_([suf])(8|16|24|32|64)(le|be)?$/.exec(chosen.codec);
  const config = pcm ? null : configOf(chosen.codec, stream);
  if (!pcm && !(await isSupported(config))) {
    throw new Error(`this browser does not decode ${chosen.codec}`);
  }
  const { start_numerator, start_denominator } = file.sound.table;
  const own = packets
    .filter((packet) => packet.stream === number)
    .map(({ time, data }) => ({
      seconds: (time * stream.numerator) / stream.denominator - start_numerator / start_denominator,
      data,
    }));
  const decoderOf = config
    ? (output, error) => webDecoder(config, output, error)
    : (output) => pcmDecoder(pcm, stream, output);
  return new Sound(decoderOf, own, stream.rate);
}

async function isSupported(config) {
  if (!config || typeof AudioDecoder === 'undefined') {
    return false;
  }
  return AudioDecoder.isConfigSupported(config).then(({ supported }) => supported, () => false);
}

/** What WebCodecs wants to know of a codec of FFmpeg's, null for one that it does not have. */
function configOf(codec, { rate, channels, extradata }) {
  const hasData = extradata.length > 0;
  const names = {
    aac: hasData ? `mp4a.40.${extradata[0] >> 3}` : 'mp4a.40.2',
    opus: 'opus',
    mp3: 'mp3',
    flac: 'flac',
    vorbis: 'vorbis',
    pcm_alaw: 'alaw',
    pcm_mulaw: 'ulaw',
  };
  let description = hasData ? extradata : undefined;
  if (codec === 'opus' && channels <= 2) {
    description = undefined; // times would lead by the samples that it has a decoder leave out
  } else if (codec === 'flac' && hasData) {
    description = Uint8Array.of(...[...'fLaC\x80\0\0"'].map((c) => c.charCodeAt(0)), ...extradata);
  }
  return codec in names
    ? { codec: names[codec], sampleRate: rate, numberOfChannels: channels, description }
    : null;
}

/** A decoder of the browser. Output takes seconds, samples a second and the samples of channels. */
function webDecoder(config, output, error) {
  const decoder = new AudioDecoder({
    error,
    output: (data) => {
      const { timestamp, sampleRate } = data;
      const channels = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex, format: 'f32-planar' });
        return samples;
      });
      data.close();
      try {
        output(timestamp / 1e6, sampleRate, channels);
      } catch (reason) {
        error(reason);
      }
    },
  });
  decoder.configure(config);
  return {
    isFull: () => decoder.decodeQueueSize > MOST_QUEUED,
    decode: ({ seconds, data }) =>
      decoder.decode(
        new EncodedAudioChunk({ type: 'key', timestamp: Math.round(1e6 * seconds), data }),
      ),
    close: () => decoder.state !== 'closed' && decoder.close(),
  };
}

/**
 * The same of samples as they are.
 * @param {any[]} form name, kind, bits and order of bytes
 */
function pcmDecoder([, kind, bits, order], { rate, channels }, output) {
  const nBytes = bits / 8;
  const half = 2 ** (bits - 1);
  const value = (view, at) => {
    if (kind === 'f') {
      return bits === '64' ? view.getFloat64(at, order === 'le') : view.getFloat32(at, order === 'le');
    }
    let sum = 0;
    for (let i = 0; i < nBytes; i++) {
      sum = 256 * sum + view.getUint8(at + (order === 'le' ? nBytes - 1 - i : i));
    }
    return (kind === 'u' ? sum - half : sum < half ? sum : sum - 2 * half) / half;
  };
  return {
    isFull: () => false,
    decode: ({ seconds, data }) => {
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      const length = Math.floor(data.length / nBytes / channels);
      const samples = Array.from({ length: channels }, (_, c) =>
        Float32Array.from({ length }, (_, i) => value(view, (i * channels + c) * nBytes)),
      );
      if (length) {
        output(seconds, rate, samples);
      }
    },
    close: () => {},
  };
}

class Sound {
  constructor(decoderOf, packets, rate) {
    this.decoderOf = decoderOf;
    this.packets = packets;
    this.rate = rate;
    this.context = null;
    this.decoder = null;
    this.sources = new Set();
    this.error = null; // what the decoder stopped with
  }

  /**
   * Be heard at a place of the video.
   * @param {number | null} position seconds from its first frame, null for silence
   * @param {number} volume 0 to 1
   */
  follow(position, volume) {
    try {
      this.keepUp(position, volume);
    } catch (error) {
      this.error = error; // as of a rate that the browser does not have
    }
  }

  keepUp(position, volume) {
    if (position === null || this.error || !this.isAwake()) {
      this.stop();
      return;
    }
    const { context } = this;
    this.gain.gain.value = volume ** 2;
    const latency = context.outputLatency || 0;
    const heard = context.currentTime - latency - this.base;
    if (!this.decoder || Math.abs(heard - position) > MOST_DRIFT_S) {
      this.begin(position, context.currentTime - latency - position);
    }
    while (this.packets[this.next]?.seconds < position + AHEAD_S && !this.decoder.isFull()) {
      this.decoder.decode(this.packets[this.next++]);
    }
  }

  /** Whether the page may be heard: browsers want a click or a key first. */
  isAwake() {
    if (!this.context) {
      if (!navigator.userActivation?.hasBeenActive) {
        return false;
      }
      this.context = new AudioContext({ sampleRate: this.rate });
      this.gain = this.context.createGain();
      this.gain.connect(this.context.destination);
    }
    if (this.context.state === 'suspended') {
      this.context.resume().catch(() => {});
    }
    return this.context.state === 'running';
  }

  /** @param {number} base when the first frame of the video is due, by the context's clock */
  begin(position, base) {
    this.stop();
    this.base = this.onGrid(base);
    const after = this.packets.findIndex(({ seconds }) => seconds > position - BEFORE_S);
    this.next = Math.max(0, (after < 0 ? this.packets.length : after) - 1);
    const fail = (error) => {
      this.error = error;
    };
    const decoder = this.decoderOf(
      (...samples) => this.decoder === decoder && this.play(...samples),
      fail,
    );
    this.decoder = decoder;
  }

  play(seconds, rate, channels) {
    const { context } = this;
    const buffer = context.createBuffer(channels.length, channels[0].length, rate);
    channels.forEach((samples, i) => buffer.copyToChannel(samples, i));
    const when = this.base + this.onGrid(seconds);
    const late = Math.max(0, context.currentTime - when);
    if (late >= buffer.duration) {
      return;
    }
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.gain);
    source.onended = () => this.sources.delete(source);
    source.start(Math.max(0, when + late), late);
    this.sources.add(source);
  }

  /** On whole samples buffers follow one another without a gap. */
  onGrid(seconds) {
    return Math.round(seconds * this.rate) / this.rate;
  }

  stop() {
    this.decoder?.close();
    this.decoder = null;
    this.sources.forEach((source) => source.stop());
    this.sources.clear();
  }

  close() {
    this.stop();
    this.context?.close();
  }
}
