/** A program that starts an engine, feeds it, and never ends: to be killed. Arguments: folder, child program. */
import { EngineProcess } from '../../src/bridge/engine/parent.js';
import { sampleRange, sampleTipHeight } from './engine.js';

const [datadirNet = '', childPath = ''] = process.argv.slice(2);
const engine = await EngineProcess.start({ datadirNet, network: 'mainnet', childPath });
await engine.feed(sampleRange(0, 100));
console.log(engine.pid);
for (;;) await engine.feed(sampleRange(0, sampleTipHeight + 1));
