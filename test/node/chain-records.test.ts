/** What is looked at before the blocks of a chain are read. */
import t from 'tap';
import { networkParams } from '../../src/native.js';
import { checkRowsSpace, openChain } from '../../src/node/chain-records.js';
import { cliJson } from '../helpers/cli.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const quiet = { progress: () => {}, warn: () => {}, event: () => {} };

t.test('a disk that cannot take the rows of so many blocks is full before they are read', async (t) => {
  const folder = tempFolder(t);
  await checkRowsSpace(folder, 5 * 2 ** 30);
  await t.rejects(checkRowsSpace(folder, 2 ** 60), {
    code: 'ERR_DISK_FULL',
    message: /has [\d.]+ [KMGT]iB free, and finding which outputs survive takes [\d.]+ [PTE]iB more/,
  });
});

t.test('the length of a chain is that of its records, wherever they lie', async (t) => {
  const { datadir } = await regtestChain(t);
  const folder = tempFolder(t);
  await cliJson(t, ['export', '--network', 'regtest', '--datadir', datadir, '--to', folder]);
  const { interval } = networkParams('regtest');
  const lengths: number[] = [];
  for (const where of [{ datadir }, { segments: folder }]) {
    const options = { ...where, network: 'regtest', stateDir: tempFolder(t) };
    const chain = await openChain(options, new AbortController().signal, quiet);
    lengths.push(await chain.blocksLengthBytes(3 * interval));
    await chain.close();
  }
  t.ok((lengths[0] ?? 0) > 2 ** 20);
  t.equal(lengths[0], lengths[1]);
});
