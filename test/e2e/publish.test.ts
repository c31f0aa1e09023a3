/** A catalogue published under a key in the DHT (BEP 46), and found by that key alone. */
import { join } from 'node:path';
import t from 'tap';
import { cliJson, startCli } from '../helpers/cli.js';
import { dhtHub } from '../helpers/dht-hub.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

t.test('what is published under a key is found by it, and its number never goes down', async (t) => {
  const chain = await regtestChain(t);
  const hub = dhtHub(t);
  const folder = tempFolder(t);
  const key = join(folder, 'key');
  const { publicKey } = await cliJson<{ publicKey: string }>(t, ['catalogue', 'keygen', key]);
  const net = ['--network', 'regtest', '--listen', '127.0.0.1:0', ...hub.options];
  const state = ['--state-dir', join(folder, 'state')];
  const publish = (...command: readonly string[]) =>
    startCli(t, [...command, key, '--datadir', chain.datadir, ...net, ...state, '--json-lines']);
  const published = /"event":"published".*"seq":(\d+),"nodes":([1-9]\d*)/;
  const first = publish('catalogue', 'publish', '--key');
  const [, seq = ''] = await first.printed(published);
  t.ok(Math.abs(Number(seq) - Date.now() / 1000) < 300, 'Unix seconds of signing');
  t.equal((await first.stop()).code, 0);
  // Whoever seeds anyway publishes in the same process: one data directory has one.
  const second = publish('seed', '--publish');
  const [, later = ''] = await second.printed(published);
  t.ok(Number(later) > Number(seq));
  t.notMatch(second.stdout + second.stderr, /seed":/);

  const { stdout, stderr, code } = await startCli(t, [
    ...['bootstrap', '--datadir', join(folder, 'new'), '--catalogue', `dht:${publicKey}`],
    ...[...net, ...state, '--json-lines'],
  ]).finished;
  t.equal(code, 0, stderr);
  t.match(stdout, new RegExp(`"event":"catalogue","segments":3.*"source":"dht:${publicKey}"`));
});
