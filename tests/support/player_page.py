"""Steps of tests with the page of the player."""

# Functions that the steps use.
TOOLS = """
const text = (id) => page.textContent('#' + id);
const frame = () => page.evaluate(() => Number(document.getElementById('seek').value));
const ready = () => page.waitForFunction( // the page says that it waits after 300 ms
  () => !document.getElementById('frame').hidden && document.getElementById('busy').hidden);
const paused = async () => {
  await ready();
  if (await page.evaluate(() => document.getElementById('player').classList.contains('playing'))) {
    await page.keyboard.press('k');
  }
};
const picture = async (n) => {
  await page.fill('#number', String(n));
  await page.keyboard.press('Enter');
  await page.waitForTimeout(400);
  await ready();
  return page.evaluate(() => {
    const canvas = document.getElementById('picture');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return Array.from(data);
  });
};
const drop = (name, base64) => page.evaluate(([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  document.dispatchEvent(new DragEvent('drop', { dataTransfer, cancelable: true }));
}, [name, base64]);
"""
