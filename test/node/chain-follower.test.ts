/** What the follower tells of a chain that only this test moves. */
import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import {
  type ChainChange,
  ChainFollower,
  type ChainTip,
  type FollowedChain,
  type KnownChain,
} from '../../src/node/chain-follower.js';
import { toHex } from '../../src/units.js';

const interval = 10;
const { signal } = new AbortController();

/** A chain of blocks that are named by their fork and height. */
class FakeChain implements FollowedChain {
  /** What the files hold, and what the last scan saw of it. */
  written: string[] = [];
  #seen: string[] = [];
  fails: Error | null = null;

  /** Goes on to `height`, above the fork with blocks of that name. */
  grow(height: number, name = 'main', forkHeight = height): void {
    this.written.length = Math.min(this.written.length, forkHeight + 1);
    while (this.written.length <= height) this.written.push(`${name} ${this.written.length}`);
  }

  tip(): ChainTip | null {
    const height = this.#seen.length - 1;
    if (height < 0) return null;
    const work = Buffer.alloc(32);
    work.writeUInt32BE(height + 1, 28);
    return { height, hash: hashOf(this.#seen[height]), work };
  }

  hashAt(height: number): Uint8Array | null {
    return this.#seen[height] === undefined ? null : hashOf(this.#seen[height]);
  }

  replaced = 0;

  async rescan(): Promise<{ forkHeight?: number; replaced?: number }> {
    if (this.fails) throw this.fails;
    const before = this.#seen;
    this.#seen = [...this.written];
    const parted = before.findIndex((block, height) => block !== this.#seen[height]);
    const forkHeight = (parted < 0 ? before.length : parted) - 1;
    const { replaced } = this;
    return forkHeight < 0 ? {} : { forkHeight, replaced };
  }
}

function hashOf(name = ''): Uint8Array {
  return createHash('sha256').update(name).digest();
}

/** A follower and what it tells, in words. */
async function scene(chain: FakeChain, known: KnownChain | null = null) {
  const told: string[] = [];
  const changes: ChainChange[] = [];
  let sealingEnd = Number.POSITIVE_INFINITY;
  await chain.rescan();
  const follower = new ChainFollower({
    chain,
    interval,
    known,
    sealingEnd: () => sealingEnd,
    clock: () => 0,
    events: {
      sealed: (index) => told.push(`sealed ${index}`),
      changed: (change) => {
        changes.push(change);
        const { kind, forkHeight, isExact, firstSegment } = change;
        told.push(`${kind} ${isExact ? 'at' : 'from'} ${forkHeight}, segment ${firstSegment}`);
      },
      filesChanged: () => told.push('files changed'),
      tip: (tip) => told.push(`tip ${tip?.height ?? 'none'}`),
      failed: (error) => told.push(error.message),
      recovered: () => told.push('recovered'),
    },
  });
  follower.begin();
  const look = async () => {
    told.length = 0;
    await follower.look(signal);
    return [...told];
  };
  const setSealingEnd = (end: number) => {
    sealingEnd = end;
  };
  return { follower, look, told, changes, setSealingEnd };
}

const known = ({ follower }: { follower: ChainFollower }): KnownChain => {
  const { tip, sealedHashes } = follower;
  if (!tip) throw new Error('no tip');
  return { tip, sealedHashes: [...sealedHashes] };
};

t.test('a segment is sealed with the 144th block on top, in order, and told once', async (t) => {
  const chain = new FakeChain();
  chain.grow(9 + 143);
  const { look, told } = await scene(chain);
  t.strictSame(told, ['tip 152']);
  t.strictSame(await look(), [], 'nothing new');
  chain.grow(9 + 144);
  t.strictSame(await look(), ['sealed 0', 'tip 153']);
  chain.grow(29 + 144);
  t.strictSame(await look(), ['sealed 1', 'sealed 2', 'tip 173']);
});

t.test('files that were cut or exchanged are told of, and unseal nothing that is still known', async (t) => {
  const chain = new FakeChain();
  chain.grow(180);
  const { look, follower } = await scene(chain);
  chain.replaced = 1;
  t.strictSame(await look(), ['files changed']);
  chain.grow(39, 'main', 39);
  t.strictSame(await look(), ['lost at 39, segment null', 'files changed', 'tip 39']);
  t.equal(follower.sealedHashes.length, 3);
});

t.test('a reorganisation at the tip changes nothing sealed', async (t) => {
  const chain = new FakeChain();
  chain.grow(180);
  const { look, changes } = await scene(chain);
  chain.grow(182, 'other', 177);
  t.strictSame(await look(), ['reorganised at 177, segment null', 'tip 182']);
  t.match(changes, [{ before: { height: 180 }, tip: { height: 182 } }]);
  chain.grow(183, 'main', 177);
  t.strictSame(await look(), ['reorganised at 177, segment null', 'sealed 3', 'tip 183'], 'and back');
});

t.test(
  'a deeper one withdraws the segments that left and all later ones, before others are sealed',
  async (t) => {
    const chain = new FakeChain();
    chain.grow(184);
    const { look, follower } = await scene(chain);
    t.equal(follower.sealedHashes.length, 4);
    chain.grow(185, 'other', 24);
    t.strictSame(await look(), ['reorganised at 24, segment 2', 'sealed 2', 'sealed 3', 'tip 185']);
    t.strictSame(follower.sealedHashes.map(toHex)[2], toHex(hashOf('other 29')));
    chain.grow(186, 'third', 3);
    t.strictSame(await look(), [
      'reorganised at 3, segment 0',
      'sealed 0',
      'sealed 1',
      'sealed 2',
      'sealed 3',
      'tip 186',
    ]);
  },
);

t.test('while sealing is paused nothing from that segment on is sealed', async (t) => {
  const chain = new FakeChain();
  chain.grow(184);
  const { look, setSealingEnd } = await scene(chain);
  setSealingEnd(2);
  chain.grow(185, 'other', 24);
  t.strictSame(await look(), ['reorganised at 24, segment 2', 'tip 185']);
  chain.grow(200);
  t.strictSame(await look(), ['tip 200']);
  setSealingEnd(Number.POSITIVE_INFINITY);
  t.strictSame(await look(), ['sealed 2', 'sealed 3', 'sealed 4']);
});

t.test('files that hold less than before are no reorganisation', async (t) => {
  const chain = new FakeChain();
  chain.grow(184);
  const { look } = await scene(chain);
  chain.grow(25, 'main', 25);
  t.strictSame(await look(), ['lost at 25, segment 2', 'tip 25']);
  chain.grow(184);
  t.strictSame(await look(), ['sealed 2', 'sealed 3', 'tip 184'], 'and again what is there again');
  chain.written = [];
  t.strictSame(await look(), ['lost at -1, segment 0', 'tip none']);
  chain.grow(184);
  t.strictSame(await look(), ['sealed 0', 'sealed 1', 'sealed 2', 'sealed 3', 'tip 184']);
});

t.test('what happened while nobody looked is noticed at the next start', async (t) => {
  const chain = new FakeChain();
  chain.grow(184);
  const before = known(await scene(chain));
  t.strictSame((await scene(chain, before)).told, [
    'sealed 0',
    'sealed 1',
    'sealed 2',
    'sealed 3',
    'tip 184',
  ]);
  chain.grow(190);
  t.strictSame((await scene(chain, before)).told.at(-1), 'tip 190');
  chain.grow(200, 'other', 24);
  const { told } = await scene(chain, before);
  t.strictSame(told.slice(0, 2), ['reorganised from 19, segment 2', 'sealed 0']);
  chain.grow(100, 'other', 100);
  t.strictSame((await scene(chain, before)).told, [
    'lost from 19, segment 2',
    'sealed 0',
    'sealed 1',
    'tip 100',
  ]);
});

t.test('files that cannot be read are told of once, and once when they can again', async (t) => {
  const chain = new FakeChain();
  chain.grow(160);
  const { look } = await scene(chain);
  chain.fails = new Error('no permission');
  t.strictSame(await look(), ['no permission']);
  t.strictSame(await look(), []);
  chain.fails = null;
  t.strictSame(await look(), ['recovered']);
});

t.test('whoever is told to look does so soon, and otherwise from time to time', async (t: Test) => {
  const chain = new FakeChain();
  chain.grow(3);
  const { follower, told } = await scene(chain);
  const stop = new AbortController();
  const running = follower.run(stop.signal);
  const until = async (text: string) => {
    while (!told.includes(text)) await new Promise((resolve) => setImmediate(resolve));
  };
  chain.grow(4);
  await until('tip 4');
  chain.grow(5);
  follower.lookNow();
  await until('tip 5');
  stop.abort();
  await running;
  t.pass('and ends with its signal');
});
