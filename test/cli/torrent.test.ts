import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseMetainfo } from '../../src/metainfo/metainfo.js';
import { bytes, oddTree, writeContent } from '../helpers/content-folder.js';
import { jsonInMemory, runInMemory } from '../helpers/memory-env.js';
import { tempFolder } from '../helpers/temp.js';

const kinds = ['v1', 'v2', 'hybrid'] as const;

/** A folder `tree` to make a torrent of, and where to write it. */
function scene(t: Test) {
  const folder = tempFolder(t);
  const tree = join(folder, 'tree');
  writeContent(tree, oddTree);
  return { folder, tree, out: join(folder, 'made.torrent') };
}

t.test('what is made is what is shown, and verifies', async (t) => {
  for (const kind of kinds) {
    for (const single of [false, true]) {
      const { folder, tree, out } = scene(t);
      const path = single ? join(tree, 'z') : tree;
      const made = await jsonInMemory(['torrent', 'make', path, `--${kind}`, '--out', out]);
      t.match(made, { kind, name: single ? 'z' : 'tree', fileCount: single ? 1 : 8, out });
      const { infoHashV1, infoHashV2, pieces, magnet } = made;
      t.equal(infoHashV1 === null, kind === 'v2');
      t.equal(infoHashV2 === null, kind === 'v1');
      const shown = await jsonInMemory(['torrent', 'show', out]);
      t.match(shown, { kind, infoHashV1, infoHashV2, pieces, magnet, name: made['name'] });
      t.match(await jsonInMemory(['torrent', 'show', String(magnet)]), { infoHashV1, infoHashV2 });
      // The content itself, and the folder that holds it.
      for (const content of [path, single ? tree : folder]) {
        const { code, out: text } = await runInMemory(['torrent', 'verify', out, content]);
        t.equal(code, 0, text);
        t.match(text, /all right/);
      }
    }
  }
});

t.test('all that can be said of a torrent is written, and shown', async (t) => {
  const { tree, out } = scene(t);
  const before = Math.floor(Date.now() / 1000);
  const flags = [
    '--private',
    '--source',
    'X',
    '--comment',
    'päper',
    '--web-seed',
    'http://w/',
    '--name',
    'N',
  ];
  const trackers = ['--tracker', 'http://a/x', '--tracker', 'udp://b:1,udp://c:2'];
  await runInMemory([
    'torrent',
    'make',
    tree,
    '--out',
    out,
    '--piece-length',
    '32KiB',
    ...flags,
    ...trackers,
  ]);
  const shown = await jsonInMemory(['torrent', 'show', out]);
  t.match(shown, {
    name: 'N',
    pieceLengthBytes: 32_768,
    private: true,
    source: 'X',
    comment: 'päper',
    createdBy: /^blockswarm \d/,
    trackerTiers: [['http://a/x'], ['udp://b:1', 'udp://c:2']],
    webSeeds: ['http://w/'],
    files: [
      { path: '.hidden', lengthBytes: 1 },
      { path: 'a/b/deep', lengthBytes: 50_000, piecesRoot: /^[0-9a-f]{64}$/ },
      { path: 'a/empty', lengthBytes: 0 },
      { path: 'a/run.sh', executable: true },
      { path: 'a/to-deep', symlinkTarget: 'a/b/deep' },
      { path: 'größe ₿/日本' },
      { path: 'to-a', symlinkTarget: 'a' },
      { path: 'z' },
    ],
  });
  t.ok(Number(shown['creationDate']) >= before);
  t.match((await runInMemory(['torrent', 'show', out])).out, /comment +päper\n/);
  await runInMemory(['torrent', 'make', tree, '--out', out, '--force', '--no-date']);
  t.equal((await jsonInMemory(['torrent', 'show', out]))['creationDate'], null);
});

t.test('the same content makes the same torrent, however many threads hash it', async (t) => {
  const { folder, tree } = scene(t);
  const made = [];
  for (const [i, more] of [[], ['--threads', '1'], ['--threads', '5', '--uncached']].entries()) {
    const out = join(folder, `${i}.torrent`);
    await runInMemory(['torrent', 'make', tree, '--no-date', '--out', out, ...more]);
    made.push(readFileSync(out, 'latin1'));
  }
  t.equal(new Set(made).size, 1);
});

t.test('a dry run says what would be made, and neither reads nor writes', async (t) => {
  const { tree, out } = scene(t);
  const plan = await jsonInMemory(['torrent', 'make', tree, '--dry-run', '--out', out]);
  t.match(plan, { kind: 'hybrid', fileCount: 8, lengthBytes: 106_390, pieceLengthBytes: 16_384, pieces: 10 });
  t.notOk(existsSync(out));
  const made = await jsonInMemory(['torrent', 'make', tree, '--out', out]);
  t.equal(parseMetainfo(readFileSync(out)).infoBytes.length, plan['infoLengthBytes']);
  t.match(made, { pieces: plan['pieces'], lengthBytes: plan['lengthBytes'] });
  t.match((await runInMemory(['torrent', 'make', tree, '--dry-run'])).out, /a\/to-deep {2}-> a\/b\/deep/);
});

t.test('a torrent is never written over a file, unless by force', async (t) => {
  const { folder, tree, out } = scene(t);
  writeFileSync(out, 'mine');
  const { code, err } = await runInMemory(['torrent', 'make', tree, '--out', out]);
  t.equal(code, 2);
  t.match(err, /--force/);
  t.equal(readFileSync(out, 'utf8'), 'mine');
  t.equal((await runInMemory(['torrent', 'make', tree, '--out', out, '--force'])).code, 0);
  t.equal((await runInMemory(['torrent', 'verify', out, tree])).code, 0);
  t.equal((await runInMemory(['torrent', 'make', tree, '--out', '/dev/null', '--force'])).code, 2);
  t.equal((await runInMemory(['torrent', 'make', tree, '--out', join(folder, 'no/f')])).code, 1);
  t.same(readdirSync(folder).sort(), ['made.torrent', 'tree'], 'nothing half-written is left');
});

t.test('a torrent file that lies in its own content is not part of it', async (t) => {
  const { tree } = scene(t);
  const out = join(tree, 'tree.torrent');
  for (const force of [[], ['--force']]) {
    const { fileCount } = await jsonInMemory(['torrent', 'make', tree, '--out', out, ...force]);
    t.equal(fileCount, 8);
  }
});

t.test('globs say which files are taken', async (t) => {
  const { tree } = scene(t);
  const cases: [string[], string[]][] = [
    [['--include', '*.sh'], ['a/run.sh']],
    [
      ['--exclude', 'a'],
      ['.hidden', 'größe ₿/日本', 'z'],
    ],
    [
      ['--include', 'a/**', '--exclude', '**/deep'],
      ['a/empty', 'a/run.sh'],
    ],
    [['--exclude', '.*', '--exclude', '{a,größe*}/**', '--exclude', 'to-a'], ['z']],
  ];
  for (const [globs, files] of cases) {
    const plan = await jsonInMemory(['torrent', 'make', tree, '--dry-run', ...globs]);
    t.same(
      (plan['files'] as { path: string }[]).map(({ path }) => path),
      files,
      globs.join(' '),
    );
  }
  const { code, err } = await runInMemory(['torrent', 'make', tree, '--dry-run', '--exclude', '**']);
  t.equal(code, 5);
  t.match(err, /no content/);
});

t.test('what cannot be made is refused with the reason', async (t) => {
  const { folder, tree } = scene(t);
  const cases: [string[], number, RegExp][] = [
    [[tree, '--v1', '--v2'], 2, /one of --v1/],
    [[tree, '--piece-length', '20000'], 3, /power of two/],
    [[tree, '--piece-length', '1 GiB'], 2, /expected `auto`/],
    [[tree, '--threads', '0'], 2, /whole number/],
    [[tree, '--tracker', 'example.org'], 2, /tracker/],
    [[tree, '--web-seed', 'ftp://x/'], 2, /web seed/],
    [[tree, join(tree, 'z')], 2, /--name/],
    [[tree, tree, '--name', 'x'], 2, /two of the paths/],
    [[join(folder, 'nothing')], 1, /ENOENT.*nothing/],
    [[join(tree, 'a/empty')], 5, /no content/],
    [[], 2, /missing required argument/],
  ];
  for (const [args, code, text] of cases) {
    const ran = await runInMemory(['torrent', 'make', ...args, '--dry-run']);
    t.equal(ran.code, code, ran.err);
    t.match(ran.err, text);
  }
});

t.test('several paths make one torrent', async (t) => {
  const { folder, tree, out } = scene(t);
  const paths = [join(tree, 'z'), join(tree, 'a'), join(folder, 'other')];
  writeFileSync(join(folder, 'other'), bytes(7));
  await runInMemory(['torrent', 'make', ...paths, '--name', 'all', '--out', out]);
  const { files } = parseMetainfo(readFileSync(out));
  t.same(
    files.filter((file) => !file.padding).map(({ path }) => path.join('/')),
    ['a/b/deep', 'a/empty', 'a/run.sh', 'a/to-deep', 'other', 'z'],
  );
});

t.test('damage is named by file and range, with exit code 5', async (t) => {
  const { tree, out } = scene(t);
  await runInMemory(['torrent', 'make', tree, '--out', out]);
  const z = readFileSync(join(tree, 'z'));
  z[20_000] = ~(z[20_000] ?? 0);
  writeFileSync(join(tree, 'z'), z.subarray(0, 39_990));
  rmSync(join(tree, 'a/empty'));
  rmSync(join(tree, 'to-a'));
  truncateSync(join(tree, '.hidden'), 2);
  const json = await jsonInMemory(['torrent', 'verify', out, tree]);
  t.match(json, {
    intact: false,
    pieceCount: 10,
    goodPieces: 8,
    damaged: [
      { path: '.hidden', fault: 'long', ranges: [] },
      { path: 'a/empty', fault: 'missing', ranges: [] },
      { path: 'to-a', fault: 'missing', ranges: [] },
      {
        path: 'z',
        fault: 'short',
        message: 'only 39990 bytes long',
        ranges: [
          { startBytes: 16_384, endBytes: 32_768, reason: 'wrong', holeBytes: 0 },
          { startBytes: 32_768, endBytes: 39_990, reason: 'unproven' },
          { startBytes: 39_990, endBytes: 40_000, reason: 'missing' },
        ],
      },
    ],
  });
  const { code, out: text } = await runInMemory(['torrent', 'verify', out, tree]);
  t.equal(code, 5);
  t.match(text, /^ {2}bytes 16384 to 32768 \(16\.0 KiB\): damaged$/m);
  t.match(text, /4 files are not as the torrent says; 8 of 10 pieces are right/);
  const lines = (await runInMemory(['torrent', 'verify', out, tree, '--json-lines'])).out.trim().split('\n');
  const events = lines.map((line) => (JSON.parse(line) as { event: string }).event);
  t.same(events, ['damaged', 'damaged', 'damaged', 'damaged', 'result']);
});

t.test('nothing to hold against a torrent is an error, not damage', async (t) => {
  const { folder, tree, out } = scene(t);
  await runInMemory(['torrent', 'make', tree, '--out', out]);
  const single = join(folder, 'single.torrent');
  await runInMemory(['torrent', 'make', join(tree, 'z'), '--out', single]);
  const cases: [string[], number][] = [
    [[out, join(folder, 'nothing')], 1],
    [[out, join(tree, 'z')], 1],
    [[single, join(tree, 'a')], 1],
    [[join(tree, 'z'), tree], 5],
    [[join(folder, 'no.torrent'), tree], 1],
  ];
  for (const [args, code] of cases) {
    t.equal((await runInMemory(['torrent', 'verify', ...args])).code, code, args.join(' '));
  }
});

t.test('an interrupted command leaves nothing and ends with code 7', async (t) => {
  const { folder, tree, out } = scene(t);
  const signal = AbortSignal.abort();
  t.equal((await runInMemory(['torrent', 'make', tree, '--out', out], { signal })).code, 7);
  await runInMemory(['torrent', 'make', tree, '--out', out]);
  t.equal((await runInMemory(['torrent', 'verify', out, tree], { signal })).code, 7);
  t.same(readdirSync(folder).sort(), ['made.torrent', 'tree']);
});

t.test('an interruption while hashing ends it at once', async (t) => {
  const { tree, out } = scene(t);
  // Sparse: long to hash, and nothing on disk.
  truncateSync(join(tree, 'z'), 64 * 2 ** 30);
  const stop = new AbortController();
  let shown = '';
  const err = (text: string) => {
    shown += text;
    if (shown.includes('hashing')) stop.abort();
  };
  const { code } = await runInMemory(['torrent', 'make', tree, '--out', out], {
    signal: stop.signal,
    errColumns: 80,
    err,
  });
  t.equal(code, 7, shown);
  t.match(shown, /no torrent was written/);
  t.notOk(existsSync(out));
});

t.test('a full disk is told with code 6 and leaves nothing', async (t) => {
  const { folder, tree } = scene(t);
  const small = join(folder, 'small');
  mkdirSync(small);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', small], { stdio: 'pipe' });
  } catch {
    t.comment('skipped: no right to mount a small file system');
    return;
  }
  t.teardown(() => execFileSync('umount', [small]));
  writeFileSync(join(small, 'fill'), bytes(4096));
  const { code, err } = await runInMemory(['torrent', 'make', tree, '--out', join(small, 'f.torrent')]);
  t.equal(code, 6, err);
  t.same(readdirSync(small), ['fill']);
});
