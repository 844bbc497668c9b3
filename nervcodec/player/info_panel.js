// @ts-check
/** The panel of what a video is and how well it plays. Texts come from files: textContent alone. */

/** Show rows of names and values in a list. @param {HTMLElement} list */
export function showRows(list, rows) {
  list.replaceChildren(
    ...rows.flatMap(([name, value]) => [element('dt', name), element('dd', value)]),
  );
}

/** Show what changes while playing, in place. @param {HTMLElement} list */
export function updateRows(list, rows) {
  const values = list.querySelectorAll('dd');
  if (values.length !== rows.length) {
    showRows(list, rows);
    return;
  }
  rows.forEach(([, value], i) => {
    if (values[i].textContent !== value) {
      values[i].textContent = value;
    }
  });
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** A number with separators between thousands. */
export function count(n) {
  return n.toLocaleString('en');
}

/** Bytes in the unit that reads best. */
export function bytesText(n) {
  return n < 1e6 ? `${count(n)} bytes` : `${(n / 1e6).toFixed(1)} MB`;
}
