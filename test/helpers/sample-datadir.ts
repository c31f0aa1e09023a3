/** Core data directories that tests read: written by Core's engine, once, and shared. Copy one to change it. */
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cachedFolder } from './cached-folder.js';
import { samplePath, startEngine } from './engine.js';

/** The data directory of mainnet's blocks 0 to 14,131. */
export function sampleDatadir(): Promise<string> {
  return cachedFolder('sample-datadir', [readFileSync(samplePath)], (datadir) =>
    makeDatadir(datadir, 'mainnet', samplePath),
  );
}

/** Lets Core's engine take all blocks of a file of records into a new data directory of mainnet or regtest. */
export async function makeDatadir(datadir: string, network: string, recordsPath: string): Promise<void> {
  const datadirNet = join(datadir, network === 'mainnet' ? '' : network);
  mkdirSync(join(datadirNet, 'blocks'), { recursive: true });
  const engine = await startEngine(datadirNet, { network });
  const lengthBytes = statSync(recordsPath).size;
  const fed = await engine.feed({ path: recordsPath, offsetBytes: 0, lengthBytes });
  await engine.close();
  if (fed.rejected || fed.bytes !== lengthBytes)
    throw new Error(`the engine took ${fed.bytes} of ${lengthBytes} bytes`);
}
