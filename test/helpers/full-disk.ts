/**
 * A program for a mount namespace of its own: opens an engine in a folder on a small file system, fills that, and
 * prints the codes of what the engine says then. Arguments: folder, child program, full from the start or later.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { EngineProcess } from '../../src/bridge/engine/parent.js';
import { sampleRange, sampleTipHeight } from './engine.js';

const [folder = '', childPath = '', when = ''] = process.argv.slice(2);
const fill = join(folder, 'fill');
const datadirNet = join(folder, 'datadir');
const codeOf = (error: { code?: string }) => error.code ?? String(error);
const start = () => EngineProcess.start({ datadirNet, network: 'mainnet', childPath });

function fillUp() {
  const file = openSync(fill, 'w');
  const bytes = Buffer.alloc(1 << 20, 1);
  try {
    for (;;) writeSync(file, bytes);
  } catch {
    closeSync(file);
  }
}

if (when === 'start') {
  fillUp();
  console.log(await start().catch(codeOf));
  process.exit();
}
const engine = await start();
fillUp();
const whole = sampleRange(0, sampleTipHeight + 1);
console.log(await engine.feed(whole).catch(codeOf));
console.log(await engine.feed(whole).catch(codeOf));
console.log(await engine.close().catch(codeOf));
rmSync(fill);
const next = await start();
console.log((await next.feed(whole)).tip.height);
await next.close();
