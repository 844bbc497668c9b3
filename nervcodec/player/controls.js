// @ts-check
/** Keyboard and touch: which action of the player they mean. */

const LONG_VIDEO_S = 30;
const DOUBLE_TAP_MS = 300;
const CLICK_PIXELS = 4; // that the mouse may move in a click

/** Seconds that an arrow goes: 5, or a tenth of a short video. */
export function arrowSeconds(duration) {
  return duration < LONG_VIDEO_S ? duration / 10 : 5;
}

/**
 * Have keys do what they do in common players. Fields keep the keys that they need.
 * @param {Record<string, (...values: number[]) => any>} actions by name; one that has nothing to do
 *   returns false, and leaves the key to the browser
 */
export function listenToKeys(actions) {
  const keys = {
    ' ': actions.toggle,
    k: actions.toggle,
    ArrowLeft: () => actions.jump(-1),
    ArrowRight: () => actions.jump(1),
    j: () => actions.jump(-2),
    l: () => actions.jump(2),
    ',': () => actions.step(-1),
    '.': () => actions.step(1),
    Home: () => actions.share(0),
    End: () => actions.share(1),
    '<': () => actions.faster(-1),
    '>': () => actions.faster(1),
    '+': () => actions.zoom(1),
    '=': () => actions.zoom(1),
    '-': () => actions.zoom(-1),
    f: actions.full,
    i: actions.info,
    r: actions.loop,
    m: actions.mute,
    ArrowUp: () => actions.louder(1),
    ArrowDown: () => actions.louder(-1),
    b: actions.between,
    u: actions.upscale,
    o: actions.open,
    c: actions.compare,
    '?': actions.help,
  };
  for (let digit = 0; digit < 10; digit++) {
    keys[digit] = () => actions.share(digit / 10);
  }
  document.addEventListener('keydown', (event) => {
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = keys[name];
    if (action && !event.ctrlKey && !event.metaKey && !event.altKey && !keeps(event, name)) {
      if (action() !== false) {
        event.preventDefault();
      }
    }
  });
}

/** Whether the element that has the focus needs a key itself. */
function keeps(event, name) {
  const { target } = event;
  if (document.querySelector('dialog[open]')) {
    return true;
  }
  if (target instanceof HTMLSelectElement) {
    return true;
  }
  if (target instanceof HTMLInputElement) {
    const isNumber = target.type === 'number';
    const moves = /^(Arrow|Home|End)/.test(name) && target.id !== 'seek';
    return moves || (isNumber && /^[-+.,\d]$/.test(name));
  }
  return target instanceof HTMLButtonElement && name === ' ';
}

/**
 * Have a click or tap on the picture toggle playing, a double click fill the screen, and a double
 * tap on the left or right third go back or forward.
 * @param {HTMLElement} stage
 */
export function listenToPointer(stage, actions) {
  let lastTap = -Infinity;
  let touched = false;
  stage.addEventListener('pointerdown', (event) => {
    touched = event.pointerType === 'touch';
  });
  stage.addEventListener('click', (event) => {
    const isSecond = event.timeStamp - lastTap < DOUBLE_TAP_MS;
    lastTap = isSecond ? -Infinity : event.timeStamp;
    const box = stage.getBoundingClientRect();
    const place = (event.clientX - box.left) / box.width;
    actions.toggle();
    if (touched && isSecond && (place < 1 / 3 || place > 2 / 3)) {
      actions.jump(place < 1 / 2 ? -2 : 2);
    }
  });
  stage.addEventListener('dblclick', () => {
    if (!touched) {
      actions.full();
    }
  });
}

/**
 * Have a mouse move a picture that is larger than its place; such a move is no click.
 * @param {HTMLElement} stage scrolls
 */
export function listenToMoves(stage) {
  let held = null;
  let hasMoved = false;
  stage.addEventListener('pointerdown', (event) => {
    const isLarger =
      stage.scrollWidth > stage.clientWidth || stage.scrollHeight > stage.clientHeight;
    hasMoved = false;
    held = event.pointerType === 'mouse' && event.button === 0 && isLarger ? event : null;
  });
  stage.addEventListener('pointermove', (event) => {
    if (held === null || !(event.buttons & 1)) {
      return;
    }
    const [x, y] = [event.clientX - held.clientX, event.clientY - held.clientY];
    if (hasMoved || Math.hypot(x, y) > CLICK_PIXELS) {
      hasMoved = true;
      held = event;
      stage.classList.add('moving');
      stage.scrollBy(-x, -y);
    }
  });
  const release = () => {
    held = null;
    stage.classList.remove('moving');
  };
  stage.addEventListener('pointerup', release);
  stage.addEventListener('pointerleave', release);
  stage.addEventListener(
    'click',
    (event) => {
      if (hasMoved) {
        hasMoved = false;
        event.stopImmediatePropagation();
      }
    },
    { capture: true },
  );
}

/**
 * Have the line between two pictures follow a pointer that holds it.
 * @param {HTMLElement} divider within the element whose width it divides
 * @param {(share: number) => void} onMove share of the width, 0 to 1
 */
export function listenToDivider(divider, onMove) {
  divider.addEventListener('pointerdown', (event) => {
    event.stopPropagation();
    divider.setPointerCapture(event.pointerId);
  });
  divider.addEventListener('pointermove', (event) => {
    if (divider.hasPointerCapture(event.pointerId)) {
      const box = divider.parentElement.getBoundingClientRect();
      onMove(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1));
    }
  });
  divider.addEventListener('click', (event) => event.stopPropagation());
}

/**
 * Take files that are dropped on the page.
 * @param {HTMLElement} place is marked while a file hovers over it
 * @param {(file: File) => void} onFile
 */
export function listenToDrops(place, onFile) {
  let depth = 0;
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    place.classList.toggle('dropping', depth > 0);
  };
  document.addEventListener('dragenter', (event) => {
    event.preventDefault();
    mark(1);
  });
  document.addEventListener('dragleave', () => mark(-1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    mark(-depth);
    const [file] = event.dataTransfer.files;
    if (file) {
      onFile(file);
    }
  });
}

/** Fill the screen with an element, or leave it; where a browser cannot, the page. */
export async function toggleFullScreen(element) {
  if (document.fullscreenElement) {
    await document.exitFullscreen();
  } else if (element.classList.contains('maximized') || !element.requestFullscreen) {
    element.classList.toggle('maximized');
  } else {
    await element.requestFullscreen().catch(() => element.classList.add('maximized'));
  }
}
