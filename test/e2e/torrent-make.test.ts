/** Torrents made by the program itself: libtorrent makes the same, and finds their content complete. */
import { truncateSync, writeFileSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cli, cliJson, startCli } from '../helpers/cli.js';
import { bytes, oddTree, writeContent } from '../helpers/content-folder.js';
import { makeTreeTorrent, noLibtorrent, seedWithLibtorrent } from '../helpers/libtorrent.js';
import { tempFolder } from '../helpers/temp.js';

interface Made {
  readonly infoHashV1: string | null;
  readonly infoHashV2: string | null;
}

function tree(t: Test): { folder: string; content: string } {
  const folder = tempFolder(t);
  const content = join(folder, 'größe');
  writeContent(content, { ...oddTree, long: bytes(1_500_000, 6), same: bytes(1_500_000, 6) });
  return { folder, content };
}

t.test('libtorrent makes the same torrents, and is complete with them', { skip: noLibtorrent }, async (t) => {
  for (const kind of ['v1', 'v2', 'hybrid'] as const) {
    for (const single of [false, true]) {
      const { folder, content } = tree(t);
      const path = single ? join(content, 'long') : content;
      const out = join(folder, `${kind}.torrent`);
      for (const pieceLengthBytes of [16_384, 262_144]) {
        const asked = [`--${kind}`, '--piece-length', String(pieceLengthBytes), '--force'];
        const made = await cliJson<Made>(t, ['torrent', 'make', path, '--out', out, ...asked]);
        const theirs = await makeTreeTorrent(t, kind, pieceLengthBytes, path);
        const { infoHashV1, infoHashV2 } = made;
        t.match(theirs, { infoHashV1, infoHashV2 }, `${kind} of ${path} in ${pieceLengthBytes}`);
      }
      t.ok(await seedWithLibtorrent(t, single ? content : folder, [out]), 'libtorrent has it all');
    }
  }
});

t.test('make and verify run as programs, in the folder that they are called in', async (t) => {
  const { folder, content } = tree(t);
  t.match(await cli(t, ['torrent', 'make', 'größe'], { cwd: folder }), { code: 0, stderr: '' });
  const out = join(folder, 'größe.torrent');
  t.match(await cli(t, ['torrent', 'verify', out, '.'], { cwd: folder }), { code: 0, stdout: /all right/ });
  writeFileSync(join(content, 'same'), bytes(1_500_000, 7));
  const damaged = await cli(t, ['torrent', 'verify', out, content, '--json']);
  t.equal(damaged.code, 5);
  t.match(JSON.parse(damaged.stdout), { damaged: [{ path: 'same', fault: null }] });
});

t.test('a file that changes while it is hashed makes no torrent', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'f');
  writeFileSync(path, '');
  // Sparse: some seconds of hashing.
  truncateSync(path, 8 * 2 ** 30);
  const program = startCli(t, ['torrent', 'make', 'f', '--threads', '1'], { cwd: folder });
  await opened(program.child.pid, path);
  truncateSync(path, 100_000);
  const { code, stderr } = await program.finished;
  t.equal(code, 1);
  t.match(stderr, /f: .*(changed while it was read|shorter|bytes long)/);
});

t.test('an interrupt ends a running make with code 7 and leaves nothing', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'f');
  writeFileSync(path, '');
  truncateSync(path, 64 * 2 ** 30);
  const program = startCli(t, ['torrent', 'make', 'f'], { cwd: folder });
  await opened(program.child.pid, path);
  t.match(await program.stop('SIGINT'), { code: 7, stderr: /no torrent was written/ });
});

/** Waits until a process has a file open. */
async function opened(pid: number | undefined, path: string): Promise<void> {
  for (;;) {
    const handles = await readdir(`/proc/${pid}/fd`);
    const links = await Promise.all(handles.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
    if (links.includes(path)) return;
  }
}
