/** opentracker, over HTTP and UDP on one port; Debian's knows only torrents of its white list. */
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { freePort } from './free-port.js';
import { Program } from './program.js';
import { tempFolder } from './temp.js';

/** `npm test` sets it. */
const command = process.env['BLOCKSWARM_OPENTRACKER'] ?? '';

/** For tap's `skip`: why a test that needs opentracker does not run, or `false`. */
export const noOpentracker: string | false =
  !existsSync(command) && 'no opentracker: run the tests by `npm test` on Debian';

export interface OpenTracker {
  readonly http: string;
  readonly udp: string;
}

/** Starts one for infohashes in hex; a v2 one cut to 20 bytes. */
export async function startOpentracker(
  t: Test,
  infoHashes: readonly string[],
  host: '127.0.0.1' | '::1' = '127.0.0.1',
): Promise<OpenTracker> {
  const port = await freePort();
  const folder = tempFolder(t);
  // Started by root it goes on as nobody, and reads the list then.
  chmodSync(folder, 0o755);
  const whitelist = join(folder, 'whitelist');
  writeFileSync(whitelist, infoHashes.map((hash) => `${hash.slice(0, 40)}\n`).join(''));
  const program = new Program(t, command, ['-i', host, '-p', `${port}`, '-P', `${port}`, '-w', whitelist]);
  while (!(await answers(host, port))) {
    if (program.child.exitCode !== null) throw new Error(`opentracker ended\n${program.stderr}`);
    await delay(20);
  }
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { http: `http://${place}/announce`, udp: `udp://${place}/announce` };
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
