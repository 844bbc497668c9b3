// @ts-check
/** The page: opens files, plays them, and keeps what it shows in step. */

import { actionsOf, listenToFiles } from './actions.js';
import { openComparison } from './comparison.js';
import { listenToDivider, listenToKeys, listenToMoves, listenToPointer } from './controls.js';
import { describe, soundNote } from './description.js';
import { NvppError } from './errors.js';
import { bytesText, count, showRows, updateRows } from './info_panel.js';
import { PARTS } from './model.js';
import { Picture } from './picture.js';
import { Playback } from './playback.js';
import { Schedule, timeText } from './schedule.js';
import { openSound } from './sound.js';
import { Stage } from './stage.js';
import { firstVideo, stayInTouch } from './surroundings.js';
import { ENGINES, openVideo } from './video.js';

const BUSY_AFTER_MS = 300;
const MEASURED_EVERY_MS = 500;
const MOST_PIXELS = 2 ** 26; // of a canvas
const WITHOUT_VIDEO = ['compare', 'seek', 'play', 'back', 'forward', 'number', 'speed', 'zoom'];

/** @type {Record<string, any>} elements by id */
const at = Object.fromEntries([...document.querySelectorAll('[id]')].map((el) => [el.id, el]));

const isPressed = (button) => button.getAttribute('aria-pressed') === 'true';

class Player {
  constructor() {
    this.file = null; // that was opened last, {name, bytes}
    this.video = null;
    this.playback = null;
    this.comparison = null;
    this.sound = null;
    this.nOpened = 0;
    this.waitsSince = 0;
    this.engine = 'auto';
    this.picture = new Picture(at.picture);
    this.stage = new Stage(at.stage, at.frame, at.divider);
    this.screen = {
      isReady: (n) => this.isReady(n),
      want: (numbers) => this.want(numbers),
      show: (n) => this.show(n),
      decodeSeconds: () => this.video.source.seconds,
      nAtOnce: () => this.video.source.clients.length,
    };
  }

  /** Open a file's bytes at a frame in place of what is open; what is wrong with them is shown. */
  async open(name, bytes, frame = 0) {
    const number = ++this.nOpened;
    this.file = { name, bytes };
    this.tell(at.error, '');
    const before = this.playback;
    this.close();
    try {
      const settings = this.settings((error) => this.fail(name, error));
      const video = await openVideo(name, bytes, settings);
      if (number !== this.nOpened) {
        video.close();
        return;
      }
      this.start(video, before, frame);
      await this.openSound(video);
    } catch (error) {
      if (number === this.nOpened) {
        this.fail(name, error);
      }
    }
  }

  async openSound(video) {
    const sound = await openSound(video.file).catch((error) => this.silence(video, error));
    if (this.video !== video) {
      sound?.close();
      return;
    }
    this.sound = sound;
    at.sound.hidden = !sound;
  }

  /** Go on without sound that cannot be played; return null for it. */
  silence(video, error) {
    if (this.video === video) {
      this.sound?.close();
      this.sound = null;
      at.sound.hidden = true;
      this.tell(at.note, soundNote(video.file, error.message));
    }
    return null;
  }

  /** Have the sound go with the picture; it has one speed. */
  follow() {
    const { playback, sound } = this;
    if (sound?.error) {
      this.silence(this.video, sound.error);
    } else if (sound) {
      const isHeard = playback.isPlaying && playback.shown >= 0 && playback.speed === 1;
      const volume = isPressed(at.mute) ? 0 : Number(at.volume.value);
      sound.follow(isHeard ? playback.position : null, volume);
    }
  }

  settings(onError) {
    return { engine: this.engine, onFrame: () => this.playback?.frameCame(), onError };
  }

  start(video, before, frame) {
    this.video = video;
    const { file, name, nBytes, schedule, shape } = video;
    at.between.hidden = !video.hasTimesBetween;
    at.upscale.hidden = !video.hasUpscaling;
    this.playback = new Playback(schedule, this.screen, () => this.refresh());
    this.playback.isLooping = before?.isLooping ?? true;
    this.playback.showsEvery = at['when-slow'].value === 'wait';
    this.playback.speed = Number(at.speed.value);
    this.scale();
    const across = shape.width * shape.aspect;
    this.stage.setSize(...(shape.isTurned ? [shape.height, across] : [across, shape.height]));
    at.seek.max = at.number.max = schedule.nFrames - 1;
    at.last.textContent = `of ${count(schedule.nFrames - 1)}`;
    at.title.textContent = name;
    document.title = `${name} - nervcodec player`;
    at.player.classList.remove('empty');
    at.hint.hidden = true;
    this.enable(true);
    showRows(at.about, describe(name, nBytes, file, schedule.duration));
    this.playback.seek(frame);
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) {
      this.playback.play();
    }
  }

  close() {
    this.endComparison();
    this.video?.close();
    this.sound?.close();
    this.video = this.playback = this.sound = null;
    this.enable(false);
    for (const id of ['frame', 'between', 'upscale', 'part', 'sound', 'made']) {
      at[id].hidden = true;
    }
    at.busy.hidden = true;
    at.hint.hidden = false;
    at.player.classList.add('empty');
    at.player.classList.remove('playing');
    at.title.textContent = document.title = 'nervcodec player';
    this.tell(at.note, '');
    showRows(at.about, []);
    showRows(at.measured, []);
  }

  enable(isOpen) {
    WITHOUT_VIDEO.forEach((id) => (at[id].disabled = !isOpen));
  }

  /** Show a file's error in the words of the command line. */
  fail(name, error) {
    if (!(error instanceof NvppError)) {
      console.error(error);
    }
    this.close();
    this.tell(at.error, `${name}: ${error.message}`);
  }

  tell(place, text) {
    place.querySelector('p').textContent = text;
    place.hidden = !text;
  }

  // --- the picture ---

  isReady(n) {
    const { video, comparison } = this;
    return video.isReady(n) && (!comparison || comparison.isReady(video.schedule.timeOf(n)));
  }

  want(numbers) {
    this.video.want(numbers);
    this.comparison?.want(numbers.map((n) => this.video.schedule.timeOf(n)));
  }

  show(n) {
    this.picture.draw(this.video.picture(n));
    at.made.textContent = this.video.mark(n);
    at.made.hidden = !at.made.textContent;
    this.comparison?.show(this.video.schedule.timeOf(n));
  }

  /** Draw pictures as large as a smooth zoom shows them, else in their own size. */
  scale() {
    const { zoom } = this.stage;
    const { shape } = this.video;
    const scale = zoom.endsWith('s') ? parseFloat(zoom) : 1;
    const fits = scale ** 2 * shape.width * shape.height <= MOST_PIXELS;
    this.picture.setShape(shape, fits ? scale : 1);
    if (this.playback.shown >= 0) {
      this.show(this.playback.shown);
    }
  }

  /** Have as many pictures between frames as can be chosen, or as a slow speed shows; and upscale. */
  divide() {
    const { video, playback } = this;
    const isOn = video.hasTimesBetween && isPressed(at.between);
    const slow = 2 ** Math.ceil(Math.log2(Math.max(1 / playback.speed, 1)));
    const parts = isOn ? (playback.isPlaying ? slow : PARTS) : 1;
    at.part.hidden = !isOn;
    if (parts !== video.schedule.parts) {
      video.schedule = new Schedule(video.file, parts);
      playback.use(video.schedule);
    }
    const isUpscaled = video.hasUpscaling && isPressed(at.upscale);
    if (isUpscaled !== video.isUpscaled) {
      video.upscale(isUpscaled);
      playback.use(video.schedule);
    }
  }

  // --- comparison ---

  async compare(file) {
    this.endComparison();
    this.tell(at.error, '');
    const elements = { canvas: at['other-picture'], movie: at['other-video'] };
    const { video } = this;
    const fail = (error) => {
      this.endComparison();
      this.tell(at.error, `${file.name}: ${error.message}`);
    };
    try {
      const comparison = await openComparison(file, elements, this.settings(fail));
      if (this.video !== video) {
        comparison.close();
        return;
      }
      this.comparison = comparison;
    } catch (error) {
      fail(error);
      return;
    }
    this.comparison.element.hidden = false;
    at['split-bar'].hidden = false;
    at['name-left'].textContent = video.name;
    at['name-right'].textContent = file.name;
    this.split();
    this.playback.seek(this.playback.frame);
  }

  split() {
    this.stage.split(this.comparison?.element, at.split.value / at.split.max);
  }

  endComparison() {
    if (!this.comparison) {
      return;
    }
    this.comparison.element.hidden = true;
    this.comparison.close();
    this.comparison = null;
    at['split-bar'].hidden = true;
    this.split();
  }

  // --- what the controls show ---

  refresh() {
    const { playback, video } = this;
    this.divide();
    const { schedule } = video;
    const n = Math.floor(playback.frame);
    const time = `${timeText(schedule.timeOf(playback.target))} / ${timeText(schedule.duration)}`;
    at.player.classList.toggle('playing', playback.isPlaying);
    at.play.setAttribute('aria-label', playback.isPlaying ? 'Pause' : 'Play');
    at.loop.setAttribute('aria-pressed', String(playback.isLooping));
    at.seek.value = n;
    at.seek.setAttribute('aria-valuetext', `frame ${n} of ${schedule.nFrames - 1}, ${time}`);
    at.part.value = PARTS * (playback.frame - n);
    at.time.textContent = time;
    if (document.activeElement !== at.number) {
      at.number.value = n;
    }
    this.comparison?.follow(playback.isPlaying, playback.speed);
  }

  measure() {
    if (!this.video || at.info.hidden) {
      return;
    }
    const { source, engine } = this.video;
    const speed = source.seconds ? source.clients.length / source.seconds : 0;
    updateRows(at.measured, [
      ['decoding', source.nDecoded ? `${speed.toFixed(1)} frames/s` : 'not yet'],
      ['workers', `${source.clients.length}, engine ${engine}`],
      ['shown', count(this.playback.nShown)],
      ['dropped', count(this.playback.nDropped)],
      ['kept', `${source.cache.pictures.size} frames, ${bytesText(source.cache.nBytes)}`],
    ]);
  }

  tick(now) {
    const { playback } = this;
    if (playback) {
      playback.tick(now);
      this.follow();
    }
    const isWaiting = playback !== null && playback.shown < 0;
    this.waitsSince = isWaiting ? this.waitsSince || now : 0;
    at.busy.hidden = !isWaiting || now - this.waitsSince < BUSY_AFTER_MS;
    requestAnimationFrame((next) => this.tick(next));
  }
}

function listen(player) {
  const actions = actionsOf(player, at);
  const clicks = {
    open: actions.open,
    compare: actions.compare,
    play: actions.toggle,
    back: () => actions.step(-1),
    forward: () => actions.step(1),
    loop: actions.loop,
    between: actions.between,
    upscale: actions.upscale,
    mute: actions.mute,
    'show-info': actions.info,
    'show-help': actions.help,
    full: actions.full,
    'compare-end': () => player.endComparison(),
    'error-close': () => player.tell(at.error, ''),
    'note-close': () => player.tell(at.note, ''),
  };
  for (const [id, action] of Object.entries(clicks)) {
    at[id].addEventListener('click', () => action());
  }
  at.seek.addEventListener('input', () => actions.seek(Number(at.seek.value)));
  at.part.addEventListener('input', () => {
    const part = at.part.value / PARTS;
    player.playback.pause();
    actions.seek(Math.floor(player.playback.frame) + part);
  });
  at.number.addEventListener('change', () => actions.seek(Number(at.number.value)));
  at.number.addEventListener('blur', () => player.playback && player.refresh());
  at.split.addEventListener('input', () => player.split());
  at.zoom.addEventListener('change', () => {
    player.stage.setZoom(at.zoom.value);
    player.scale();
  });
  at.speed.addEventListener('change', () => {
    const { playback } = player;
    playback.speed = Number(at.speed.value);
    if (player.sound) {
      player.tell(at.note, playback.speed === 1 ? '' : 'Sound plays at speed 1 only: it is muted.');
    }
    player.refresh();
  });
  at['when-slow'].addEventListener('change', () => {
    if (player.playback) {
      player.playback.showsEvery = at['when-slow'].value === 'wait';
    }
  });
  at.engine.addEventListener('change', () => {
    const { file, playback } = player;
    player.engine = at.engine.value;
    if (file) {
      player.open(file.name, file.bytes, Math.floor(playback?.frame ?? 0));
    }
  });
  listenToFiles(player, at);
  listenToDivider(at.divider, (share) => {
    at.split.value = share * at.split.max;
    player.split();
  });
  listenToKeys(actions);
  listenToMoves(at.stage);
  listenToPointer(at.stage, actions);
}

async function main() {
  const player = new Player();
  at.engine.append(...ENGINES.map(([value, text]) => new Option(text, value)));
  listen(player);
  setInterval(() => player.measure(), MEASURED_EVERY_MS);
  requestAnimationFrame((now) => player.tick(now));
  stayInTouch();
  try {
    const first = await firstVideo();
    if (first) {
      await player.open(first.name, first.bytes);
    }
  } catch (error) {
    player.tell(at.error, error.message);
  }
}

main();
