/**
 * The ed25519 key of somebody who publishes catalogues: a file with the 32 bytes of its seed in hex, which nobody but its
 * owner may read. It is never shown; the public key is.
 */
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { publicKeyOf } from '../discovery/dht-item.js';
import { BlockswarmError } from '../errors.js';
import { fromHex, toHex } from '../units.js';

const seedBytes = 32;

export interface PublisherKey {
  readonly seed: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** Makes a key in a new file, 0600; gives the public key. @throws BlockswarmError ERR_USAGE when it is there, ERR_IO */
export async function makePublisherKey(path: string): Promise<Uint8Array> {
  const seed = randomBytes(seedBytes);
  const file = await open(path, 'wx', 0o600).catch((cause) => {
    if (cause.code === 'EEXIST')
      throw new BlockswarmError('ERR_USAGE', `${path} is there already, and a key is never written over`);
    throw new BlockswarmError('ERR_IO', `cannot write ${path}: ${cause.message}`, { cause });
  });
  try {
    // Whatever the umask took away stays away.
    await file.writeFile(`${toHex(seed)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  return publicKeyOf(seed);
}

/** @throws BlockswarmError ERR_CONFIG when others may read it or it is no key, ERR_IO */
export async function readPublisherKey(path: string): Promise<PublisherKey> {
  const file = await open(path, 'r').catch((cause) => {
    throw new BlockswarmError('ERR_IO', `cannot read the key ${path}: ${cause.message}`, { cause });
  });
  try {
    const { mode, size } = await file.stat();
    if ((mode & 0o077) !== 0) {
      const bits = (mode & 0o777).toString(8);
      throw new BlockswarmError(
        'ERR_CONFIG',
        `others may read the key ${path} (mode ${bits}): chmod 600 ${path}`,
      );
    }
    const text = size <= 2 * seedBytes + 2 ? await file.readFile('utf8') : '';
    const seed = fromHex(text.trim(), seedBytes);
    if (!seed)
      throw new BlockswarmError('ERR_CONFIG', `${path} holds no key: \`catalogue keygen\` makes one`);
    return { seed, publicKey: publicKeyOf(seed) };
  } finally {
    await file.close();
  }
}
