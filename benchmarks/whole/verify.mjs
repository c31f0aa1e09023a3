// Checking one large file against its v1, v2 and hybrid torrent in pieces of 4 MiB. All must find the one wrong piece of
// a file with one flipped bit before a time is taken. A Python script does not pay for Python's start; transmission's
// daemon is running already, without its sleeps and asked every 5 ms; ours is timed as a person waits for it.
import assert from 'node:assert/strict';
import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { checkers } from '../checkers.mjs';
import { makeFile } from '../content.mjs';
import { contest, present } from '../contest.mjs';
import { hashLimit } from '../limits.mjs';
import { makers } from '../makers.mjs';
import { measured } from '../programs.mjs';

const pieceBytes = 2 ** 22;
const memoryMiB = 150;

export async function run({ folder, report, runs, sizeMiB, cold }) {
  const name = 'content.bin';
  const path = join(folder, name);
  const lengthBytes = sizeMiB * 2 ** 20;
  makeFile(path, lengthBytes);
  const [libtorrent] = makers();
  const there = present(checkers(), report);
  for (const kind of ['v1', 'v2', 'hybrid']) {
    const torrent = join(folder, `${kind}.torrent`);
    await measured(libtorrent.command(kind, pieceBytes, path, torrent));
    const what = `${kind} of ${sizeMiB} MiB, pieces of ${pieceBytes / 1024} KiB`;
    const able = there.filter(({ kinds }) => kinds.includes(kind));
    const opened = [];
    try {
      for (const checker of able)
        opened.push({ ...checker, ...(await checker.open({ torrent, folder, name, pieceBytes })) });
      const damagedAt = Math.floor(lengthBytes * 0.7);
      flipBit(path, damagedAt);
      await allFind([Math.floor(damagedAt / pieceBytes)], opened, what);
      flipBit(path, damagedAt);
      await allFind([], opened, what);
      const subjects = opened.map((checker) => ({ ...checker, measure: checker.check }));
      const limit = hashLimit(kind);
      const paths = [path];
      await contest({
        report,
        runs,
        case: what,
        subjects,
        lengthBytes,
        limit,
        memoryMiB,
        cold,
        paths,
      });
    } finally {
      for (const { close } of opened) await close();
    }
  }
}

async function allFind(wrongPieces, checkers, name) {
  for (const checker of checkers) {
    const found = await checker.check();
    assert.deepEqual(found.wrongPieces, wrongPieces, `${name}: the wrong pieces that ${checker.name} finds`);
  }
}

function flipBit(path, offset) {
  const file = openSync(path, 'r+');
  const byte = new Uint8Array(1);
  readSync(file, byte, 0, 1, offset);
  byte[0] ^= 1;
  writeSync(file, byte, 0, 1, offset);
  fdatasyncSync(file);
  closeSync(file);
}
