// The generator's data directories in a real `bitcoind`: it opens them, checks them again and follows their chain.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Test, test } from 'tap';
import { startBitcoind, withoutBitcoind } from '../helpers/bitcoind.js';
import { outputOf } from '../helpers/program.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const skip = withoutBitcoind();

interface Made {
  readonly blocks: number;
  readonly staleBlocks: number;
  readonly tipHash: string;
}

async function made(t: Test, datadir: string, args: readonly string[]): Promise<Made> {
  const cargo = ['run', '--release', '--locked', '--quiet', '-p', 'chaingen', '--', '--datadir', datadir];
  return JSON.parse(await outputOf(t, 'cargo', [...cargo, ...args], { cwd: root, timeoutMs: 300_000 }));
}

test('bitcoind finds every block of a generated regtest chain valid, and its branches stale', {
  skip,
}, async (t) => {
  const datadir = join(t.testdir(), 'regtest');
  const size = ['--blocks', '200', '--bytes-per-block', '60000', '--inputs-per-block', '120'];
  const forks = ['--stale', '130:1', '--reorg', '150:3'];
  const chain = await made(t, datadir, [...size, ...forks, '--xor', '--shuffle']);
  t.match(chain, { blocks: 200, staleBlocks: 4 });
  const node = await startBitcoind({ datadir, network: 'regtest' });
  t.teardown(() => node.stop());
  t.equal(await node.rpc('getbestblockhash'), chain.tipHash);
  t.equal(await node.rpc('verifychain', [4, 0]), true, 'all blocks, with their undo data and scripts');
  const tips = (await node.rpc('getchaintips')) as { height: number; branchlen: number; status: string }[];
  t.same(
    tips.map(({ height, branchlen }) => [height, branchlen]).sort(([a = 0], [b = 0]) => a - b),
    [
      [130, 1],
      [152, 3],
      [199, 0],
    ],
  );
  t.notOk(tips.some(({ status }) => status === 'invalid'));
  await node.stop();
});

test('bitcoind finds every block of a generated custom signet valid', { skip }, async (t) => {
  const datadir = join(t.testdir(), 'signet');
  const chain = await made(t, datadir, ['--network', 'signet', '--blocks', '5', '--bytes-per-block', '1000']);
  const node = await startBitcoind({ datadir, network: 'signet', args: ['-signetchallenge=51'] });
  t.teardown(() => node.stop());
  t.equal(await node.rpc('getbestblockhash'), chain.tipHash);
  t.equal(await node.rpc('verifychain', [4, 0]), true);
  await node.stop();
});
