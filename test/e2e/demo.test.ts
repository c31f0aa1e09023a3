/** What `npm start` runs: two processes that meet over a DHT of their own. */
import t from 'tap';
import { displayHash } from '../../src/units.js';
import { cli, cliJson } from '../helpers/cli.js';
import { startEngine } from '../helpers/engine.js';
import { tempFolder } from '../helpers/temp.js';

interface Demo {
  readonly source: { height: number; tipHash: string; sealedHeight: number; sealedHash: string };
  readonly result: { datadir: string; height: number; tipHash: string; peers: number };
  readonly opensAtSealedHash: boolean;
  readonly newerBlocks: number;
  readonly peakMemoryBytes: number | null;
}

t.test('the demo finds its seed over the DHT and ends at the sealed tip, in little memory', async (t) => {
  const demo = await cliJson<Demo>(t, ['demo', '--state-dir', tempFolder(t)]);
  t.match(demo, {
    source: { height: 14_131, sealedHeight: 12_095 },
    result: { height: 12_095, tipHash: demo.source.sealedHash, peers: 1 },
    opensAtSealedHash: true,
    newerBlocks: 2036,
  });
  const engine = await startEngine(demo.result.datadir);
  const { height, hash } = engine.tip;
  await engine.close();
  t.same(
    { height, hash: displayHash(hash) },
    { height: 12_095, hash: demo.source.sealedHash },
    'it is left and opens',
  );
  t.ok((demo.peakMemoryBytes ?? 0) < 400 * 2 ** 20, `${demo.peakMemoryBytes} bytes`);
});

t.test('its report names tips, levels and what travels by other ways', async (t) => {
  const { code, stdout, stderr } = await cli(t, ['demo']);
  t.equal(code, 0, stderr);
  for (const text of [
    /tip +00000000b3e750f37fdb42e1018799a9f44b546d393b130b369590a072430a1c, height 14131/,
    /scripts +proven for heights 0 to 12095: Core's engine, in order/,
    /2,036 newer blocks[\s\S]*Bitcoin's own P2P network/,
  ]) {
    t.match(stdout, text);
  }
  t.match(stderr, /WAS LOWERED/);
});
