/** A display in memory, for browsers that need one, or have no WebGL without one. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const SCREEN = ['-displayfd', '1', '-screen', '0', '1600x1200x24', '-nolisten', 'tcp'];

/** Start one: {env, close}, with the environment of programs that are seen on it. */
export async function openScreen() {
  const screen = spawn('Xvfb', SCREEN, { stdio: ['ignore', 'pipe', 'ignore'] });
  const [number] = await once(screen.stdout, 'data');
  return {
    env: { ...process.env, DISPLAY: `:${String(number).trim()}` },
    close: () => screen.kill(),
  };
}
