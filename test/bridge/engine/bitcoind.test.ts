import { readFileSync } from 'node:fs';
import t from 'tap';
import { startBitcoind, withoutBitcoind } from '../../helpers/bitcoind.js';
import {
  sampleRange,
  sampleTipHash,
  sampleTipHeight,
  startEngine,
  withoutSample,
} from '../../helpers/engine.js';
import { noSharedData, sharedFile } from '../../helpers/shared-data.js';
import { tempFolder } from '../../helpers/temp.js';

const skip = withoutSample() || withoutBitcoind();

t.test(
  'a directory that the engine made opens in bitcoind at the same tip and set of coins',
  { skip },
  async (t) => {
    const datadir = tempFolder(t);
    const engine = await startEngine(datadir);
    await engine.feed(sampleRange(0, sampleTipHeight + 1));
    await t.rejects(
      startBitcoind({ datadir, network: 'mainnet' }),
      { message: /lock/i },
      'not while it is open',
    );
    await engine.close();

    const node = await startBitcoind({ datadir, network: 'mainnet' });
    t.teardown(() => node.stop());
    t.match(await node.rpc('getblockchaininfo'), {
      chain: 'main',
      blocks: sampleTipHeight,
      headers: sampleTipHeight,
      bestblockhash: sampleTipHash,
      pruned: false,
    });
    t.equal(await node.rpc('verifychain', [4, 200]), true);
    await t.rejects(startEngine(datadir), { code: 'ERR_DATADIR_LOCKED' }, 'nor the other way round');

    const coins = await node.rpc('gettxoutsetinfo', ['muhash']);
    t.match(coins, { height: sampleTipHeight, bestblock: sampleTipHash });
    if (noSharedData) return;
    // What Core itself computed after importing the same blocks.
    const lines = readFileSync(sharedFile('chain-mainnet/core-coinstats-muhash.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const expected = lines.map((line) => JSON.parse(line)).find(({ height }) => height === sampleTipHeight);
    t.match(coins, { muhash: expected.muhash, txouts: expected.txouts });
  },
);
