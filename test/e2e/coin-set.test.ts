/** `hints make`, `snapshot make` and `snapshot verify` beside Core, which makes the same bytes and hashes. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startBitcoind, withoutBitcoind } from '../helpers/bitcoind.js';
import { cli, cliJson, startCli } from '../helpers/cli.js';
import { recordOffsets, sampleTipHash, sampleTipHeight } from '../helpers/engine.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { noSharedData, sharedFile } from '../helpers/shared-data.js';
import { tempFolder } from '../helpers/temp.js';

interface Made {
  readonly file: string;
  readonly coins: number;
  readonly valueSatoshi: number;
  readonly hashSerialized: string;
  readonly muhash: string;
  readonly lengthBytes: number;
  readonly knownToCore: boolean | null;
}

interface CoreTotals {
  readonly txouts: number;
  readonly total_amount: number;
  readonly hash_serialized_3?: string;
  readonly muhash?: string;
}

const snapshotOfCore = (height: number) =>
  execFileSync('zstd', ['-dc', sharedFile(`chain-mainnet/core-utxo-snapshot-${height}.dat.zst`)]);

t.test("mainnet's first blocks", async (t) => {
  const source = ['--datadir', await sampleDatadir()];
  const folder = tempFolder(t);

  await t.test('leave the snapshot that Core dumps, also by hints', { skip: noSharedData }, async (t) => {
    const hints = await cliJson<Made & { survivors: number }>(t, [
      ...['hints', 'make', ...source],
      ...['--out', join(folder, 'hints'), '--to', String(sampleTipHeight)],
    ]);
    t.match(hints, { network: 'mainnet', firstHeight: 0, endHeight: sampleTipHeight + 1, survivors: 13_416 });
    t.equal(readFileSync(hints.file).length, hints.lengthBytes);
    const theirs = snapshotOfCore(sampleTipHeight);
    for (const more of [[], ['--hints', hints.file]]) {
      const made = await cliJson<Made>(t, [
        ...['snapshot', 'make', ...source],
        ...['--out', folder, '--to', String(sampleTipHeight), ...more],
      ]);
      t.match(made, {
        schema: 1,
        file: join(folder, `bitcoin-mainnet-utxo-${sampleTipHeight}.dat`),
        blockHash: sampleTipHash,
        coins: 13_416,
        valueSatoshi: 706_550 * 1e8,
        hashSerialized: '74c5a654587d4eaac9248b73889453e0b2fbc918bbc7bb8d8e6301d4d8c98db3',
        muhash: '859e27f17a6cce9768b75dd0dbd969890157d29a152b0f4a0afa6c67cbcd5975',
        knownToCore: null,
      });
      t.ok(readFileSync(made.file).equals(theirs), 'byte for byte');
    }
    const again = join(folder, 'again');
    await cliJson(t, [
      ...['hints', 'make', ...source, '--out', again, '--to', String(sampleTipHeight)],
      ...['--snapshot', join(folder, `bitcoin-mainnet-utxo-${sampleTipHeight}.dat`), '--threads', '1'],
    ]);
    t.ok(readFileSync(again).equals(readFileSync(hints.file)), 'the same hints from the snapshot');
  });

  await t.test('have hints named after the sealed segments', async (t) => {
    const made = await cliJson<Made>(t, ['hints', 'make', ...source, '--out', folder]);
    t.match(made, { file: join(folder, 'bitcoin-mainnet-hints-00006.dat'), endHeight: 12_096 });
    const cut = await cli(t, ['hints', 'make', ...source, '--out', folder, '--to', '5000']);
    t.equal(cut.code, 2);
    t.match(cut.stderr, /the blocks up to 5000 are no whole segments of 2016: name a file with --out/);
  });

  await t.test('prove a snapshot coin by coin, and name the coin that is wrong', async (t) => {
    const file = join(folder, 'utxo');
    await cliJson(t, ['snapshot', 'make', ...source, '--out', file, '--to', '3000']);
    const right = await cliJson(t, ['snapshot', 'verify', file, ...source]);
    t.match(right, { height: 3000, proven: [{ firstHeight: 0, endHeight: 3001, levels: ['chain', 'set'] }] });
    const alone = await cli(t, ['snapshot', 'verify', file]);
    t.equal(alone.code, 0);
    t.match(alone.stdout, /not compared with a chain/);

    const bytes = readFileSync(file);
    const txid = Buffer.from(bytes.subarray(51, 83)).reverse().toString('hex');
    // Behind txid, count and index: the height × 2 and the coinbase flag as a VARINT, whose last byte has no high bit.
    let at = 85;
    while ((bytes[at] ?? 0) >= 0x80) at++;
    bytes[at] = (bytes[at] ?? 0) ^ 2;
    writeFileSync(file, bytes);
    const wrong = await cli(t, ['snapshot', 'verify', file, ...source, '--json']);
    t.equal(wrong.code, 5);
    const { culprits, proven } = JSON.parse(wrong.stdout);
    t.same(proven, []);
    t.equal(culprits.length, 1);
    t.match(culprits[0], { cause: 'snapshot-differs', coin: { txid, index: 0 }, fields: ['height'] });
    const text = await cli(t, ['snapshot', 'verify', file, ...source]);
    t.match(text.stdout, new RegExp(`WRONG.*\n.*the coin ${txid}:0 has another height in the snapshot`));
  });

  await t.test(
    'refuse snapshots that are cut, prolonged, of other blocks or of another network',
    async (t) => {
      const file = join(folder, 'bad');
      const good = join(folder, 'good');
      await cliJson(t, ['snapshot', 'make', ...source, '--out', good, '--to', '300']);
      const bytes = readFileSync(good);
      const count = Buffer.from(bytes);
      count.writeBigUInt64LE(2n ** 62n, 43);
      const foreign = Buffer.from(bytes);
      foreign.fill(7, 11, 43);
      const regtest = Buffer.from(bytes);
      Buffer.from('fabfb5da', 'hex').copy(regtest, 7);
      const cases: [string, Uint8Array, number, RegExp][] = [
        ['cut', bytes.subarray(0, -3), 5, /coin \d+: .*\[ERR_SNAPSHOT\]/],
        [
          'prolonged',
          Buffer.concat([bytes, bytes.subarray(51)]),
          5,
          /coin \d+ is out of place \[ERR_SNAPSHOT\]/,
        ],
        ['with a huge count', count, 5, /\[ERR_SNAPSHOT\]/],
        ['no snapshot', Buffer.alloc(100), 5, /not a UTXO snapshot of version 2 \[ERR_SNAPSHOT\]/],
        [
          'of another chain',
          foreign,
          5,
          /is of block (07){32}, which this chain, up to height 14131, does not have/,
        ],
        ['of regtest', regtest, 3, /has the magic fabfb5da, and mainnet's is f9beb4d9/],
      ];
      for (const [name, content, code, message] of cases) {
        writeFileSync(file, content);
        const result = await cli(t, ['snapshot', 'verify', file, ...source]);
        t.equal(result.code, code, name);
        t.match(result.stderr, message, name);
      }
      // Of a block whose coins Core knows by another hash.
      const hash = '135eec25a6fb277884e5824e7aa7d052c4868161c99a5122170b5266f86c273d';
      Buffer.from(hash, 'hex').reverse().copy(regtest, 11);
      writeFileSync(file, regtest);
      const known = await cli(t, ['snapshot', 'verify', file, '--network', 'regtest', '--json']);
      t.equal(known.code, 5);
      t.match(JSON.parse(known.stdout), { height: 110, knownToCore: false, proven: [] });
      const hints = [
        'hints',
        'make',
        ...source,
        '--out',
        join(folder, 'x'),
        '--to',
        '299',
        '--snapshot',
        good,
      ];
      t.match((await cli(t, hints)).stderr, /is of height 300, and the hints are of the blocks up to 299/);
      const beyond = await cli(t, ['snapshot', 'make', ...source, '--out', file, '--to', '20000']);
      t.match(beyond.stderr, /block 20000 is not held: the blocks up to 14131 are/);
      const none = await cli(t, ['hints', 'make', '--out', file]);
      t.equal(none.code, 2);
      t.match(none.stderr, /--datadir DIR or --segments DIR/);
    },
  );

  await t.test('make nothing half when the program is killed or interrupted', async (t) => {
    for (const signal of ['SIGKILL', 'SIGINT'] as const) {
      const out = tempFolder(t);
      const state = tempFolder(t);
      // The first name that comes is that of the part that is being written.
      const watcher = watch(out);
      const begun = once(watcher, 'change');
      const args = ['hints', 'make', ...source, '--out', join(out, 'hints'), '--threads', '1'];
      const program = startCli(t, [...args, '--state-dir', state]);
      const [, name] = await begun;
      watcher.close();
      program.kill(signal);
      const { code } = await program.finished;
      t.equal(name, 'hints.part', signal);
      t.same(readdirSync(out), signal === 'SIGKILL' ? ['hints.part'] : [], signal);
      t.equal(code, signal === 'SIGKILL' ? null : 7, signal);
      const left = readdirSync(state, { recursive: true }).filter((name) => String(name).endsWith('.runs'));
      t.same(left, [], 'scratch files have no names');
    }
  });
});

t.test('a node of regtest agrees', { skip: withoutBitcoind() }, async (t) => {
  await t.test('on a chain of many kinds of scripts, at its tip and below', async (t) => {
    const datadir = join(tempFolder(t), 'datadir');
    cpSync((await regtestChain(t)).datadir, datadir, { recursive: true });
    const segments = join(tempFolder(t), 'segments');
    const source = ['--datadir', datadir, '--network', 'regtest'];
    await cliJson(t, ['export', ...source, '--to', segments]);
    const node = await startBitcoind({ datadir, network: 'regtest' });
    t.teardown(() => node.stop());
    const height = (await node.rpc('getblockcount')) as number;
    await sameAsCore(t, node, source, height, 'latest');
    const sealed = 3 * 144 - 1;
    const fromSegments = ['--segments', segments, '--network', 'regtest'];
    await sameAsCore(t, node, fromSegments, sealed, 'rollback');
  });

  await t.test('on a transaction whose outputs the chain state keeps in another order', async (t) => {
    const datadir = tempFolder(t);
    const node = await startBitcoind({ datadir, network: 'regtest' });
    t.teardown(() => node.stop());
    await node.rpc('generatetodescriptor', [101, 'raw(51)']);
    const first = (await node.rpc('getblock', [await node.rpc('getblockhash', [1])])) as { tx: string[] };
    const outputs = 17_000;
    await node.rpc('generateblock', ['raw(51)', [openSpend(first.tx[0] ?? '', outputs)]]);
    const { txouts } = (await node.rpc('gettxoutsetinfo', ['none'])) as CoreTotals;
    t.ok(txouts > outputs);
    await sameAsCore(t, node, ['--datadir', datadir, '--network', 'regtest'], 102, 'latest');
  });
});

/** A transaction that spends a coinbase open to anyone to so many outputs like it. */
function openSpend(txid: string, outputs: number): string {
  const head = Buffer.concat([
    Buffer.from('0200000001', 'hex'),
    Buffer.from(txid, 'hex').reverse(),
    Buffer.from('0000000000ffffffff', 'hex'),
    Buffer.from([0xfd, outputs & 0xff, outputs >> 8]),
  ]);
  const output = Buffer.from('e8030000000000000151', 'hex');
  return Buffer.concat([head, ...Array<Buffer>(outputs).fill(output), Buffer.alloc(4)]).toString('hex');
}

/** Compares our snapshot of a height with the file that Core dumps, and the totals with what it says. */
async function sameAsCore(
  t: Test,
  node: Awaited<ReturnType<typeof startBitcoind>>,
  source: readonly string[],
  height: number,
  kind: 'latest' | 'rollback',
): Promise<void> {
  const folder = tempFolder(t);
  const theirs = join(folder, 'theirs');
  const more = kind === 'latest' ? ['latest'] : ['rollback', { rollback: height }];
  const dumped = (await node.rpc('dumptxoutset', [theirs, ...more])) as {
    coins_written: number;
    txoutset_hash: string;
  };
  const ours = ['snapshot', 'make', ...source, '--out', join(folder, 'ours'), '--to', String(height)];
  const made = await cliJson<Made>(t, ours);
  t.equal(made.coins, dumped.coins_written);
  t.equal(made.hashSerialized, dumped.txoutset_hash);
  t.ok(readFileSync(made.file).equals(readFileSync(theirs)), `byte for byte at height ${height}`);
  const checked = await cliJson(t, ['snapshot', 'verify', theirs, ...source]);
  t.match(checked, { height, proven: [{ endHeight: height + 1, levels: ['chain', 'set'] }] });
  if (kind === 'rollback') return;
  const serialized = (await node.rpc('gettxoutsetinfo', ['hash_serialized_3'])) as CoreTotals;
  const { muhash } = (await node.rpc('gettxoutsetinfo', ['muhash'])) as CoreTotals;
  t.match(made, { coins: serialized.txouts, hashSerialized: serialized.hash_serialized_3, muhash });
  t.equal(made.valueSatoshi, Math.round(serialized.total_amount * 1e8));
}

t.test('validate', async (t) => {
  const datadir = await sampleDatadir();

  await t.test('finds the survivors itself where none are given', async (t) => {
    const state = tempFolder(t);
    const args = ['validate', '--datadir', datadir, '--prove', 'chain,set', '--state-dir', state];
    const { proven } = await cliJson<{ proven: unknown }>(t, args);
    t.same(proven, [{ firstHeight: 0, endHeight: sampleTipHeight + 1, levels: ['chain', 'set'] }]);
    const left = readdirSync(state, { recursive: true }).filter((name) => String(name).includes('survivors'));
    t.same(left, [], 'the hints are gone with the run');
    const late = await cli(t, [...args, '--from', '100']);
    t.equal(late.code, 2);
    t.match(
      late.stderr,
      /takes the coins before it and after the last: --from-snapshot FILE and --snapshot FILE/,
    );
  });

  await t.test('names the block and the coin of a record that differs', async (t) => {
    const folder = tempFolder(t);
    await cliJson(t, ['export', '--datadir', datadir, '--to', folder, '--last-segment', '0']);
    const hints = join(folder, 'hints');
    await cliJson(t, ['hints', 'make', '--segments', folder, '--out', hints]);
    const made = await cliJson<Made>(t, ['sums', 'make', '--segments', folder, '--out', folder]);
    t.match(made, { file: join(folder, 'bitcoin-mainnet-sums-00001.dat'), lengthBytes: 780, segments: 1 });
    const sums = ['--sums', made.file];
    // Block 170 spends the coinbase of block 9: said to be of block 8, its script and value stay right.
    const spent = join(folder, 'bitcoin-mainnet-spent-00000.dat');
    retell(spent, join(folder, 'bitcoin-mainnet-blocks-00000.dat'), 170, (undo) => {
      t.equal(undo.toString('hex', 0, 3), '010113');
      undo[2] = 0x11;
    });
    for (const more of [['--hints', hints], []]) {
      const args = ['validate', '--segments', folder, '--prove', 'chain,scripts,set', ...sums, ...more];
      const { code, stdout, stderr } = await cli(t, [...args, '--json']);
      t.equal(code, 5, stderr);
      const { failure, proven } = JSON.parse(stdout);
      t.same(proven, [{ firstHeight: 0, endHeight: 2016, levels: ['chain', 'scripts'] }]);
      t.match(failure, { level: 'set', blame: 'coins', differingSegments: [0] });
      t.equal(failure.culprits.length, 1);
      t.match(failure.culprits[0], {
        segment: 0,
        height: 170,
        cause: 'record-differs',
        createdHeight: 9,
        fields: ['height'],
        coin: { txid: '0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9', index: 0 },
        spentBy: { txid: 'f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16', input: 0 },
      });
      const text = (await cli(t, args)).stdout;
      t.match(text, / {2}other than the sums say: segment 0\n/);
      t.match(text, / {2}segment 0, block 170, input 0 of f4184fc5.* has another height in the spent record/);
    }
    const none = await cli(t, ['hints', 'make', '--segments', folder, '--out', join(folder, 'more')]);
    t.equal(none.code, 5);
    t.match(none.stdout, /^no hints: .* do not add up\n {2}segment 0, block 170, /);
    t.notOk(existsSync(join(folder, 'more')));
  });
});

/** Changes what a block is said to spend, and puts the checksum right. */
function retell(spent: string, blocks: string, height: number, change: (undo: Buffer) => void): void {
  const [records, undos] = [readFileSync(blocks), readFileSync(spent)];
  const start = recordOffsets(records)[height] ?? 0;
  const prev = records.subarray(start + 8 + 4, start + 8 + 36);
  let at = 0;
  for (let below = 1; below < height; below++) at += 8 + undos.readUInt32LE(at + 4) + 32;
  const end = at + 8 + undos.readUInt32LE(at + 4);
  const undo = undos.subarray(at + 8, end);
  change(undo);
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
  sha256(sha256(Buffer.concat([prev, undo]))).copy(undos, end);
  writeFileSync(spent, undos);
}

t.test('what a folder of segments lacks is said', async (t) => {
  const empty = tempFolder(t);
  const result = await cli(t, ['hints', 'make', '--segments', empty, '--out', join(empty, 'hints')]);
  t.equal(result.code, 3);
  t.match(result.stderr, /no bitcoin-mainnet-blocks-00000\.dat in .*expected a folder of segment files/);

  const segments = join(tempFolder(t), 'segments');
  const state = tempFolder(t);
  mkdirSync(segments);
  const datadir = await sampleDatadir();
  await cliJson(t, ['export', '--datadir', datadir, '--to', segments, '--last-segment', '0']);
  const blocks = 'bitcoin-mainnet-blocks-00000.dat';
  const only = tempFolder(t);
  cpSync(join(segments, blocks), join(only, blocks));
  const out = join(only, 'hints');
  const without = await cli(t, ['hints', 'make', '--segments', only, '--out', out, '--state-dir', state]);
  t.match(without.stderr, /ERR_SPENT_MISSING/);
  t.notOk(existsSync(out));
});
