/** A torrent in I2P: a SAM bridge of the test's own, a tracker behind it, and who seeds by nothing else. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { cliJson, startCli } from './cli.js';
import { bytes } from './content-folder.js';
import { I2pTracker } from './i2p-tracker.js';
import type { Program } from './program.js';
import { SamBridge } from './sam-bridge.js';
import { tempFolder } from './temp.js';

/** Of the tracker. */
export const trackerName = 'tracker.i2p';

/** A bridge and a tracker behind it, and a torrent that names that. */
export async function i2pScene(t: Test, lengthBytes = 400_000) {
  const folder = tempFolder(t);
  const tracker = await I2pTracker.start(t);
  const bridge = new SamBridge(t, { [trackerName]: tracker.port });
  await bridge.start();
  const torrent = join(folder, 'content.torrent');
  const content = join(folder, 'seed', 'content.bin');
  const out = join(folder, 'out');
  mkdirSync(join(folder, 'seed'));
  writeFileSync(content, bytes(lengthBytes, 5));
  const make = ['torrent', 'make', content, '--piece-length', '64KiB', '--out', torrent];
  const { magnet } = await cliJson<{ magnet: string }>(t, [
    ...make,
    '--tracker',
    `http://${trackerName}/announce`,
  ]);
  const i2p = ['--privacy', 'i2p', '--sam', bridge.address];
  const isWhole = () => readFileSync(join(out, 'content.bin')).equals(readFileSync(content));
  return { folder, tracker, bridge, torrent, content, out, magnet, i2p, isWhole };
}

/** Starts a seed; resolves with it and its name in I2P. */
export async function startI2pSeed(
  t: Test,
  args: readonly string[],
): Promise<{ seed: Program; name: string }> {
  const seed = startCli(t, ['seed', '--json-lines', ...args]);
  const [, name = ''] = await seed.printed(/"event":"i2p","address":"([a-z2-7]{52}\.b32\.i2p)"/);
  return { seed, name };
}
