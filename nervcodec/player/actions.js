// @ts-check
/** What keys and buttons of the page do. */

import { arrowSeconds, listenToDrops, toggleFullScreen } from './controls.js';

/** The player's actions by name; those of a video do nothing without one. */
export function actionsOf(player, at) {
  const withVideo = (action) => (value) => player.playback && action(player.playback, value);
  const press = (button) => {
    toggle(button);
    if (player.playback) {
      player.refresh();
    }
  };
  const actions = {
    toggle: withVideo((playback) => playback.toggle()),
    jump: withVideo((playback, n) => playback.seekBy(n * arrowSeconds(playback.schedule.duration))),
    step: withVideo((playback, n) => playback.step(n)),
    seek: withVideo((playback, n) => playback.seek(n)),
    share: withVideo((playback, x) => playback.seek(Math.round(x * (playback.schedule.nFrames - 1)))),
    faster: withVideo((_, n) => choose(at.speed, at.speed.selectedIndex + n)),
    zoom: withVideo((_, n) => {
      at.zoom.value = player.stage.zoomBy(n);
      player.scale();
    }),
    loop: withVideo((playback) => {
      playback.isLooping = !playback.isLooping;
      player.refresh();
    }),
    between: () => press(at.between),
    upscale: () => press(at.upscale),
    full: () => toggleFullScreen(at.player),
    info: () => {
      at.info.hidden = !at.info.hidden;
      at['show-info'].setAttribute('aria-pressed', String(!at.info.hidden));
      player.measure();
    },
    mute: () => toggle(at.mute),
    louder: (n) => {
      if (!at.sound.hidden) {
        at.volume.value = Number(at.volume.value) + n / 10;
      }
      return !at.sound.hidden;
    },
    open: () => at['open-file'].click(),
    compare: withVideo(() => at['compare-file'].click()),
    help: () => at.help.showModal(),
  };
  return actions;
}

/** Press a button that stays pressed, or release it. */
function toggle(button) {
  button.setAttribute('aria-pressed', String(button.getAttribute('aria-pressed') !== 'true'));
}

function choose(select, index) {
  select.selectedIndex = Math.min(Math.max(index, 0), select.length - 1);
  select.dispatchEvent(new Event('change'));
}

/** Open the files that are chosen or dropped. */
export function listenToFiles(player, at) {
  const open = async (file) => player.open(file.name, new Uint8Array(await file.arrayBuffer()));
  /** @type {[string, (file: File) => Promise<void>][]} */
  const inputs = [
    ['open-file', open],
    ['compare-file', (file) => player.compare(file)],
  ];
  for (const [id, action] of inputs) {
    at[id].addEventListener('change', () => {
      const [file] = at[id].files;
      at[id].value = '';
      if (file) {
        action(file);
      }
    });
  }
  listenToDrops(at.player, open);
}
