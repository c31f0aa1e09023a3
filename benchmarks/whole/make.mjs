// Making torrents: one large file as v1, v2 and hybrid in pieces of 4 MiB, and a tree of small files in pieces of 256 KiB.
// A case of its own in pieces of 2 MiB is for rqbit, which knows no others. Programs from PyPI do not pay for Python's
// start; everything else, ours too, is timed as a person waits for it.
import assert from 'node:assert/strict';
import { existsSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { ensureLibtorrent } from '../../scripts/python-peers.mjs';
import { makeFile, makeTree } from '../content.mjs';
import { contest, ours, present } from '../contest.mjs';
import { hashLimit } from '../limits.mjs';
import { makers } from '../makers.mjs';
import { json, measured } from '../programs.mjs';

const judge = new URL('../libtorrent_bench.py', import.meta.url).pathname;
const memoryMiB = 150;

export async function run({ folder, report, runs, sizeMiB, cold }) {
  const file = { path: join(folder, 'content.bin'), lengthBytes: sizeMiB * 2 ** 20 };
  makeFile(file.path, file.lengthBytes);
  const treePath = join(folder, 'tree');
  const tree = { path: treePath, lengthBytes: makeTree(treePath), isTree: true };
  const there = present(makers(), report);
  const cases = [
    ['v1', 2 ** 22, file],
    ['v2', 2 ** 22, file],
    ['hybrid', 2 ** 22, file],
    ['v1', 2 ** 18, tree],
    ['hybrid', 2 ** 18, tree],
    ['v1', 2 ** 21, { ...file, lengthBytes: file.lengthBytes - 1 }, 'rqbit'],
  ];
  for (const [kind, pieceBytes, content, only] of cases) {
    if (only && !there.some(({ name }) => name === only)) continue;
    // To a file of whole pieces rqbit 9.1.0 adds a piece of no bytes.
    if (only) truncateSync(content.path, content.lengthBytes);
    const of = content.isTree ? '2,000 files, 518 MiB' : `${sizeMiB} MiB`;
    const name = `${kind} of ${of}, pieces of ${pieceBytes / 1024} KiB`;
    const out = join(folder, 'made.torrent');
    const make = async ({ command, until }) => {
      rmSync(out, { force: true });
      return measured(command(kind, pieceBytes, content.path, out), { until });
    };
    const able = there.filter(
      (maker) => maker.kinds.includes(kind) && maker.makes(pieceBytes, content.isTree),
    );
    const agreeing = await agreed(able, { make, out, report, name });
    await contest({
      report,
      runs,
      case: name,
      subjects: agreeing.map((maker) => ({ ...maker, measure: () => make(maker) })),
      lengthBytes: content.lengthBytes,
      limit: hashLimit(kind),
      memoryMiB,
      cold,
      paths: [content.path],
    });
  }
}

/** Those whose torrents have the infohashes of libtorrent's, or at least its hashes of the content. */
async function agreed(makers, { make, out, report, name }) {
  let expected;
  const agreeing = [];
  for (const maker of makers) {
    const { stdout } = await make(maker);
    const made = existsSync(out)
      ? await json(ensureLibtorrent(), ['-BW', 'ignore', judge, 'digest', out])
      : { infoHashV1: /btih:(\w{40})/.exec(stdout)?.[1], infoHashV2: null };
    expected ??= made;
    const same = (...fields) => fields.every((field) => made[field] === expected[field]);
    if (maker.name === ours) assert.deepEqual(made, expected, `${name}: ours is libtorrent's torrent`);
    if (same('infoHashV1', 'infoHashV2')) {
      agreeing.push(maker);
    } else if (same('pieceLengthBytes', 'pieces', 'fileTree')) {
      agreeing.push(maker);
      report.note(`${maker.name}, ${name}: the same hashes in another info dictionary`);
    } else {
      report.skip(`${maker.name}, ${name}`, 'its torrent holds other hashes');
    }
  }
  return agreeing;
}
