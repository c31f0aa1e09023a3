/**
 * What every `LinkHost` must do. Runs against the double over virtual time (`sim-host.test.ts`) and against the
 * native reactor over loopback (`test/native`): policy that was proven on one holds on the other.
 */
import type { Test } from 'tap';
import type {
  Hello,
  How,
  Incoming,
  LinkBatch,
  LinkEvent,
  LinkHost,
  PieceStore,
  PieceVerdict,
  TorrentFault,
} from '../../src/swarm/link-host.js';

/** One of two hosts that can reach each other. */
export interface LinkSide {
  readonly host: LinkHost & { drain(): LinkBatch };
  /** Where it listens. */
  readonly address: { readonly host: string; readonly port: number };
  readonly store: PieceStore;
}

export interface LinkPair {
  /** Its store has everything. */
  readonly seed: LinkSide;
  /** Its store has nothing. */
  readonly leech: LinkSide;
  /** A store with nothing, for the leech, that came without its v2 hashes and cannot judge pieces without. */
  bareStore(): PieceStore;
  /** The seed's files are cut to nothing. */
  cutFiles(): void;
  /** The hosts' clock, or one as fast. */
  nowMs(): number;
  /** The URL of an HTTP server that has the same file, and one that answers 404. */
  readonly webSeeds: { readonly good: string; readonly missing: string };
  /** Lets a little time pass, 1 to 10 ms; resolves when both sides may be drained. */
  step(): Promise<void>;
  close(): Promise<void>;
}

/** The torrent of the suite: three pieces of 64 blocks of 16 KiB, the last one a block and 100 bytes short. */
export const CONFORMANCE_SHAPE = { pieceLengthBytes: 1 << 20, lengthBytes: 3 * (1 << 20) - 16_484 } as const;

const LAST_PIECE_BLOCKS = 63;

/** Steps until something that must happen counts as not happening. */
const STEPS = 2000;

const INFO_HASH = new Uint8Array(20).fill(0x11);
const OTHER_INFO_HASH = new Uint8Array(20).fill(0x22);
const SEED_ID = new TextEncoder().encode('-BW0001-seedseedseed');
const LEECH_ID = new TextEncoder().encode('-BW0001-leechleechle');
/** `d1:md11:ut_metadatai1eee` */
const EXTENSION_HANDSHAKE = new TextEncoder().encode('d1:md11:ut_metadatai1eee');

function hello(peerId: Uint8Array, overrides: Partial<Hello> = {}): Hello {
  return { infoHash: INFO_HASH, peerId, v2: false, extensionHandshake: EXTENSION_HANDSHAKE, ...overrides };
}

/** All that one side has seen. */
class Observer {
  readonly side: LinkSide;
  readonly torrent: number;
  readonly incoming: Incoming[] = [];
  readonly events: LinkEvent[] = [];
  readonly verdicts: PieceVerdict[] = [];
  readonly faults: TorrentFault[] = [];

  constructor(side: LinkSide, store: PieceStore) {
    this.side = side;
    this.torrent = side.host.addTorrent(store);
  }

  drain(): void {
    const batch = this.side.host.drain();
    this.incoming.push(...batch.incoming);
    this.events.push(...batch.links);
    this.verdicts.push(...batch.pieces);
    this.faults.push(...batch.faults);
  }

  of(link: number): LinkEvent[] {
    return this.events.filter((event) => event.link === link);
  }

  last(link: number): LinkEvent | undefined {
    return this.of(link).at(-1);
  }

  triples(link: number, kind: 'finished' | 'rejected'): string[] {
    const flat = this.of(link).flatMap((event) => [...(event[kind] ?? [])]);
    return Array.from({ length: flat.length / 3 }, (_, at) => flat.slice(3 * at, 3 * at + 3).join(','));
  }

  /** Whether the peer of this link was heard to have the piece. */
  heard(link: number, piece: number): boolean {
    return this.of(link).some((event) => {
      const bit = ((event.bitmap?.[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0;
      return event.haveAll || bit || (event.haves?.includes(piece) ?? false);
    });
  }
}

class Bench {
  readonly pair: LinkPair;
  readonly seed: Observer;
  readonly leech: Observer;

  constructor(pair: LinkPair, leechStore = pair.leech.store) {
    this.pair = pair;
    this.seed = new Observer(pair.seed, pair.seed.store);
    this.leech = new Observer(pair.leech, leechStore);
  }

  async until(condition: () => boolean): Promise<boolean> {
    for (let step = 0; step < STEPS; step++) {
      this.seed.drain();
      this.leech.drain();
      if (condition()) return true;
      await this.pair.step();
    }
    return false;
  }

  async settle(steps = 30): Promise<void> {
    for (let step = 0; step < steps; step++) {
      await this.pair.step();
      this.seed.drain();
      this.leech.drain();
    }
  }

  dial(overrides: Partial<Hello> = {}, how?: How): number {
    const { host, port } = this.seed.side.address;
    return this.leech.side.host.connect(this.leech.torrent, host, port, hello(LEECH_ID, overrides), how);
  }

  /** A connection with both ends open: their links. */
  async open(seed: Partial<Hello> = {}, leech: Partial<Hello> = {}): Promise<{ up: number; down: number }> {
    const down = this.dial(leech);
    await this.until(() => this.seed.incoming.length > 0);
    const up = this.seed.incoming.at(-1)?.link ?? -1;
    this.seed.side.host.accept(up, this.seed.torrent, hello(SEED_ID, seed));
    await this.until(
      () =>
        this.leech.last(down)?.state === 'open' &&
        this.seed.last(up)?.state === 'open' &&
        (seed.hideHave === true || this.leech.heard(down, 2)),
    );
    return { up, down };
  }

  /** The same, and the seed serves. */
  async serving(): Promise<{ up: number; down: number }> {
    const links = await this.open();
    this.leech.side.host.setInterested(links.down, true);
    this.seed.side.host.setChoked(links.up, false);
    await this.until(() => this.leech.last(links.down)?.peerChoking === false);
    return links;
  }
}

/** Runs the suite; `make` gives two fresh hosts whose stores have `CONFORMANCE_SHAPE`. */
export async function linkConformance(t: Test, make: () => Promise<LinkPair>): Promise<void> {
  const check = (name: string, body: (t: Test, bench: Bench) => Promise<void>) =>
    t.test(name, async (t) => {
      const pair = await make();
      try {
        await body(t, new Bench(pair));
      } finally {
        await pair.close();
      }
    });

  await check('an incoming connection waits with what its handshake said, then opens', async (t, bench) => {
    const down = bench.dial();
    t.ok(await bench.until(() => bench.seed.incoming.length === 1));
    const incoming = bench.seed.incoming[0];
    t.same([...(incoming?.infoHash ?? [])], [...INFO_HASH]);
    t.same([...(incoming?.peerId ?? [])], [...LEECH_ID]);
    t.equal(incoming?.reserved.length, 8);
    t.equal(bench.leech.last(down), undefined, 'nothing is open before it is accepted');
    const up = incoming?.link ?? -1;
    t.equal(bench.seed.side.host.accept(up, bench.seed.torrent, hello(SEED_ID)), true);
    t.ok(
      await bench.until(
        () => bench.leech.last(down)?.state === 'open' && bench.seed.last(up)?.state === 'open',
      ),
    );
    const [first] = bench.leech.of(down);
    t.same([...(first?.peerId ?? [])], [...SEED_ID]);
    t.same([...(first?.infoHash ?? [])], [...INFO_HASH]);
    t.equal(first?.torrent, bench.leech.torrent);
    t.equal(first?.peerChoking, true);
    t.equal(bench.seed.of(up)[0]?.torrent, bench.seed.torrent);
  });

  await check('a connection is encrypted when the dialler asks and one side insists', async (t, bench) => {
    const seed = bench.seed.side.host;
    const comes = async (encrypted: boolean): Promise<boolean | undefined> => {
      const before = bench.seed.incoming.length;
      const down = bench.dial({}, { encrypted });
      const ended = () => bench.leech.last(down)?.state === 'closed';
      await bench.until(() => bench.seed.incoming.length > before || ended());
      if (ended()) return undefined;
      const incoming = bench.seed.incoming.at(-1);
      seed.accept(incoming?.link ?? -1, bench.seed.torrent, hello(SEED_ID));
      await bench.until(() => bench.leech.last(down)?.state === 'open');
      const [first] = bench.leech.of(down);
      t.equal(first?.encrypted, incoming?.encrypted);
      t.same([first?.transport, incoming?.transport], ['tcp', 'tcp']);
      return first?.encrypted;
    };
    t.equal(await comes(true), undefined, 'nobody said that the torrent is known');
    seed.knowInfoHash(INFO_HASH);
    t.equal(await comes(true), false, 'both may do either');
    bench.leech.side.host.setEncryption('required');
    t.equal(await comes(true), true);
    seed.setEncryption('off');
    t.equal(await comes(true), undefined);
    t.equal(await comes(false), false);
    seed.setEncryption('required');
    t.equal(await comes(false), undefined);
    bench.leech.side.host.setEncryption('allowed');
    t.equal(await comes(true), true);
    seed.forgetInfoHash(INFO_HASH);
    t.equal(await comes(true), undefined);
  });

  await check('a refused connection ends for the one that dialled', async (t, bench) => {
    const down = bench.dial();
    await bench.until(() => bench.seed.incoming.length === 1);
    bench.seed.side.host.refuse(bench.seed.incoming[0]?.link ?? -1);
    t.ok(await bench.until(() => bench.leech.last(down)?.state === 'closed'));
    t.equal(
      bench.seed.side.host.accept(bench.seed.incoming[0]?.link ?? -1, bench.seed.torrent, hello(SEED_ID)),
      false,
    );
  });

  await check('a reply with another infohash ends the connection', async (t, bench) => {
    const down = bench.dial();
    await bench.until(() => bench.seed.incoming.length === 1);
    const up = bench.seed.incoming[0]?.link ?? -1;
    bench.seed.side.host.accept(up, bench.seed.torrent, hello(SEED_ID, { infoHash: OTHER_INFO_HASH }));
    t.ok(await bench.until(() => bench.leech.last(down)?.state === 'closed'));
    t.equal(bench.leech.last(down)?.closeReason, 'wrong-info-hash');
  });

  await check("a reply with a hybrid's other infohash is accepted", async (t, bench) => {
    const down = bench.dial({ otherInfoHash: OTHER_INFO_HASH, v2: true });
    await bench.until(() => bench.seed.incoming.length === 1);
    const up = bench.seed.incoming[0]?.link ?? -1;
    bench.seed.side.host.accept(
      up,
      bench.seed.torrent,
      hello(SEED_ID, { infoHash: OTHER_INFO_HASH, v2: true }),
    );
    t.ok(await bench.until(() => bench.leech.last(down)?.state === 'open'));
    t.same([...(bench.leech.of(down)[0]?.infoHash ?? [])], [...OTHER_INFO_HASH]);
  });

  await check('a seed is known to have everything, an empty peer nothing', async (t, bench) => {
    const { up, down } = await bench.open();
    for (const piece of [0, 1, 2]) t.ok(bench.leech.heard(down, piece));
    await bench.settle();
    for (const piece of [0, 1, 2]) t.notOk(bench.seed.heard(up, piece));
  });

  await check('choking and interest reach the other end as state', async (t, bench) => {
    const { up, down } = await bench.open();
    t.equal(bench.seed.last(up)?.peerInterested, false);
    bench.leech.side.host.setInterested(down, true);
    t.ok(await bench.until(() => bench.seed.last(up)?.peerInterested === true));
    bench.seed.side.host.setChoked(up, false);
    t.ok(await bench.until(() => bench.leech.last(down)?.peerChoking === false));
    bench.seed.side.host.setChoked(up, true);
    t.ok(await bench.until(() => bench.leech.last(down)?.peerChoking === true));
    bench.leech.side.host.setInterested(down, false);
    t.ok(await bench.until(() => bench.seed.last(up)?.peerInterested === false));
  });

  await check(
    'fetched ranges finish as asked, then the piece is judged good and servable',
    async (t, bench) => {
      const { up, down } = await bench.serving();
      const { host, store } = bench.leech.side;
      t.equal(host.fetch(down, 1, 0, 40), true);
      t.equal(host.fetch(down, 1, 40, 64), true);
      t.equal(host.fetch(down, 2, 0, LAST_PIECE_BLOCKS), true);
      t.ok(await bench.until(() => bench.leech.verdicts.length === 2));
      t.same(bench.leech.triples(down, 'finished').sort(), ['1,0,40', '1,40,64', `2,0,${LAST_PIECE_BLOCKS}`]);
      for (const verdict of bench.leech.verdicts) {
        t.equal(verdict.outcome, 'good');
        t.equal(verdict.torrent, bench.leech.torrent);
        t.same([...verdict.senders], [down]);
        t.same([...verdict.culprits], []);
      }
      t.same(bench.leech.verdicts.map((verdict) => verdict.piece).sort(), [1, 2]);
      t.equal(store.servable()[0], 0b0110_0000);
      t.equal(bench.leech.last(down)?.queuedBlocks, 0);
      t.ok((bench.leech.last(down)?.downloadedBytes ?? 0) >= 126 * 16_384);
      t.ok(await bench.until(() => (bench.seed.last(up)?.uploadedBytes ?? 0) >= 126 * 16_384));
    },
  );

  await check('what is in hand already is finished at once', async (t, bench) => {
    const { down } = await bench.serving();
    bench.leech.side.host.fetch(down, 0, 0, 64);
    await bench.until(() => bench.leech.verdicts.length === 1);
    const { downloadedBytes } = bench.leech.last(down) ?? { downloadedBytes: -1 };
    t.equal(bench.leech.side.host.fetch(down, 0, 0, 64), true);
    t.ok(await bench.until(() => bench.leech.triples(down, 'finished').length === 2));
    t.equal(bench.leech.last(down)?.downloadedBytes, downloadedBytes);
  });

  await check('a cancelled range neither finishes nor stays queued', async (t, bench) => {
    const { up, down } = await bench.serving();
    const { host } = bench.leech.side;
    host.fetch(down, 0, 0, 64);
    host.fetch(down, 1, 0, 64);
    host.cancel(down, 1, 0, 64);
    host.cancel(down, 2, 0, 10);
    t.ok(await bench.until(() => bench.leech.verdicts.length === 1));
    await bench.settle();
    t.same(bench.leech.triples(down, 'finished'), ['0,0,64']);
    t.equal(bench.leech.last(down)?.queuedBlocks, 0);
    t.equal(bench.leech.last(down)?.state, 'open');
    t.equal(bench.seed.last(up)?.state, 'open');
    t.ok(host.fetch(down, 1, 0, 64), 'and can be asked for again');
    t.ok(await bench.until(() => bench.leech.verdicts.length === 2));
  });

  await check('links of a class get no more than its rates, in both directions', async (t, bench) => {
    const { up, down } = await bench.serving();
    const { seed, leech } = bench;
    const perSecond = 4 * 2 ** 20;
    const millis = async (piece: number) => {
      const from = bench.pair.nowMs();
      t.ok(leech.side.host.fetch(down, piece, 0, 63));
      const whole = `${piece},0,63`;
      t.ok(await bench.until(() => leech.triples(down, 'finished').includes(whole)));
      return bench.pair.nowMs() - from;
    };
    // What 63 blocks take, less what a pause is made up for.
    const least = (63 * 16_384 * 1000) / perSecond - 200;
    const uploading = seed.side.host.createRateClass();
    seed.side.host.setRateClass(uploading, { uploadBytesPerSecond: perSecond, downloadBytesPerSecond: 0 });
    seed.side.host.setLinkRateClasses(up, [uploading]);
    t.ok((await millis(0)) >= least);
    const downloading = leech.side.host.createRateClass();
    leech.side.host.setRateClass(downloading, { uploadBytesPerSecond: 0, downloadBytesPerSecond: perSecond });
    leech.side.host.setLinkRateClasses(down, [downloading]);
    seed.side.host.setLinkRateClasses(up, []);
    t.ok((await millis(1)) >= least);
  });

  await check('a new rate is heard of by links that wait, and so is the end of a class', async (t, bench) => {
    const { up, down } = await bench.serving();
    const { seed, leech } = bench;
    const slow = { uploadBytesPerSecond: 1, downloadBytesPerSecond: 1 };
    const [first, second] = [seed.side.host.createRateClass(), seed.side.host.createRateClass()];
    for (const each of [first, second]) seed.side.host.setRateClass(each, slow);
    seed.side.host.setLinkRateClasses(up, [first, second]);
    leech.side.host.fetch(down, 1, 0, 64);
    await bench.settle();
    t.same(leech.triples(down, 'finished'), []);
    seed.side.host.setRateClass(first, { uploadBytesPerSecond: 0, downloadBytesPerSecond: 0 });
    seed.side.host.dropRateClass(second);
    t.ok(await bench.until(() => leech.triples(down, 'finished').includes('1,0,64')));
  });

  await check('what is asked of a peer that chokes us is rejected', async (t, bench) => {
    const { down } = await bench.open();
    bench.leech.side.host.setInterested(down, true);
    bench.leech.side.host.fetch(down, 0, 0, 64);
    t.ok(await bench.until(() => bench.leech.triples(down, 'rejected').length === 1));
    t.same(bench.leech.triples(down, 'rejected'), ['0,0,64']);
    t.equal(bench.leech.last(down)?.queuedBlocks, 0);
  });

  await check('extension messages arrive whole and in order, the handshake first', async (t, bench) => {
    const { up, down } = await bench.open();
    const sent = Array.from({ length: 50 }, (_, at) => new Uint8Array(1 + at * 100).fill(at));
    for (const payload of sent) t.equal(bench.leech.side.host.sendExtension(down, 7, payload), true);
    const got = () => bench.seed.of(up).flatMap((event) => [...(event.messages ?? [])]);
    t.ok(await bench.until(() => got().length === 51));
    t.same(
      got().map((message) => message.id),
      [0, ...sent.map(() => 7)],
    );
    t.same(Buffer.from(got()[0]?.payload ?? []), Buffer.from(EXTENSION_HANDSHAKE));
    t.same(
      got()
        .slice(1)
        .map((message) => Buffer.from(message.payload)),
      sent.map((payload) => Buffer.from(payload)),
    );
  });

  await check('an announced piece is heard by the other end', async (t, bench) => {
    const { up, down } = await bench.serving();
    bench.leech.side.host.fetch(down, 1, 0, 64);
    await bench.until(() => bench.leech.verdicts.length === 1);
    bench.leech.side.host.announceHave(bench.leech.torrent, 1);
    t.ok(await bench.until(() => bench.seed.heard(up, 1)));
    t.notOk(bench.seed.heard(up, 0));
  });

  await check('pieces that a peer names are heard once', async (t, bench) => {
    const { up, down } = await bench.open();
    for (const piece of [2, 0, 2, 9]) bench.seed.side.host.suggest(up, piece);
    bench.seed.side.host.allowFast(up, [1, 1, 9]);
    const heard = (kind: 'suggested' | 'allowedFast') =>
      bench.leech.of(down).flatMap((event) => [...(event[kind] ?? [])]);
    t.ok(await bench.until(() => heard('allowedFast').length === 1 && heard('suggested').length >= 2));
    await bench.settle();
    t.same(heard('allowedFast'), [1]);
    t.same(
      heard('suggested').filter((piece) => piece < 3),
      [2, 0],
    );
  });

  await check('an allowed piece is got from a peer that chokes us, others are not', async (t, bench) => {
    const { up, down } = await bench.open();
    bench.seed.side.host.allowFast(up, [1]);
    t.ok(await bench.until(() => bench.leech.of(down).some((event) => event.allowedFast?.length)));
    bench.leech.side.host.fetch(down, 0, 0, 64);
    bench.leech.side.host.fetch(down, 1, 0, 64);
    t.ok(await bench.until(() => bench.leech.verdicts.length === 1));
    t.equal(bench.leech.verdicts[0]?.piece, 1);
    t.same(bench.leech.triples(down, 'rejected'), ['0,0,64']);
    t.equal(bench.leech.last(down)?.peerChoking, true);
  });

  const dhtPorts = (side: Observer, link: number) =>
    side.of(link).flatMap(({ dhtPort }) => (dhtPort === undefined ? [] : [dhtPort]));

  await check('BEP 5: two that have DHT nodes tell each other their ports', async (t, bench) => {
    const { up, down } = await bench.open({ dhtPort: 6881 }, { dhtPort: 51413 });
    const told = () => [dhtPorts(bench.seed, up), dhtPorts(bench.leech, down)];
    t.ok(await bench.until(() => told().flat().length === 2));
    t.same(told(), [[51413], [6881]]);
  });

  await check('BEP 5: who says nothing of a DHT node is told of none', async (t, bench) => {
    const { up, down } = await bench.open({ dhtPort: 6881 });
    await bench.settle();
    t.same([dhtPorts(bench.seed, up), dhtPorts(bench.leech, down)], [[], []]);
  });

  await check('a link that hides what we have shows and serves single pieces', async (t, bench) => {
    const { up, down } = await bench.open({ hideHave: true });
    const { host } = bench.seed.side;
    bench.leech.side.host.setInterested(down, true);
    host.setChoked(up, false);
    t.ok(await bench.until(() => bench.leech.last(down)?.peerChoking === false));
    host.announceHave(bench.seed.torrent, 0);
    host.sendHave(up, 1);
    t.ok(await bench.until(() => bench.leech.heard(down, 1)));
    t.notOk(bench.leech.heard(down, 0) || bench.leech.heard(down, 2));
    bench.leech.side.host.fetch(down, 0, 0, 64);
    bench.leech.side.host.fetch(down, 1, 0, 64);
    t.ok(await bench.until(() => bench.leech.verdicts.length === 1));
    t.equal(bench.leech.verdicts[0]?.piece, 1);
    t.ok(await bench.until(() => bench.leech.triples(down, 'rejected').includes('0,0,64')));
  });

  await check('pieces without hashes are not fetched before these came', async (t, { pair }) => {
    const store = pair.bareStore();
    const bench = new Bench(pair, store);
    const { up, down } = await bench.serving();
    const { host } = pair.leech;
    t.match(store.missingHashes?.(), { needed: true });
    t.equal(store.missingHashes?.()?.pieces[0], 0b1110_0000);
    t.equal(host.fetch(down, 1, 0, 64), false);
    t.equal(host.requestHashes(down, 1, 'leaves'), 0, 'its own hash comes first');
    t.equal(host.requestHashes(down, 1, 'pieces'), 3);
    const answers = () => bench.leech.of(down).flatMap((event) => [...(event.hashAnswers ?? [])]);
    t.ok(await bench.until(() => answers().length === 1));
    t.same(answers(), [{ piece: 1, of: 'pieces', outcome: 'good', firstPiece: 0, endPiece: 3 }]);
    t.equal(store.missingHashes?.(), null);
    t.equal(host.requestHashes(down, 1, 'pieces'), 0, 'they are known');
    t.equal(host.fetch(down, 1, 0, 64), true);
    t.ok(await bench.until(() => bench.leech.verdicts.length === 1));
    t.equal(bench.leech.verdicts[0]?.outcome, 'good');
    t.equal(host.requestHashes(down, 1, 'leaves'), 2);
    t.ok(
      await bench.until(() => answers().length === 2),
      'leaves of a piece that nobody doubts are no verdict',
    );
    t.equal(bench.leech.verdicts.length, 1);
    t.equal(pair.seed.host.requestHashes(up, 1, 'pieces'), 0, 'a seed knows them');
  });

  await check('closing tells both ends once, ours with our reason', async (t, bench) => {
    const { up, down } = await bench.open();
    bench.leech.side.host.close(down, 'banned');
    t.ok(
      await bench.until(
        () => bench.leech.last(down)?.state === 'closed' && bench.seed.last(up)?.state === 'closed',
      ),
    );
    t.equal(bench.leech.last(down)?.closeReason, 'banned');
    await bench.settle();
    t.equal(bench.leech.of(down).filter((event) => event.state === 'closed').length, 1);
    t.equal(bench.seed.of(up).filter((event) => event.state === 'closed').length, 1);
    t.equal(bench.leech.side.host.fetch(down, 0, 0, 64), false);
    t.equal(bench.leech.side.host.sendExtension(down, 1, new Uint8Array(1)), false);
    bench.leech.side.host.setInterested(down, true);
    bench.leech.side.host.cancel(down, 0, 0, 64);
  });

  await check(
    'a web seed is a peer that has everything, never chokes and wants nothing',
    async (t, bench) => {
      const { host, store } = bench.leech.side;
      const place = { url: bench.pair.webSeeds.good, paths: [], asked: true, loopback: false };
      const link = host.connectWebSeed(bench.leech.torrent, place);
      t.ok(await bench.until(() => bench.leech.last(link)?.state === 'open'));
      const [first] = bench.leech.of(link);
      t.match(first, {
        haveAll: true,
        peerChoking: false,
        peerInterested: false,
        torrent: bench.leech.torrent,
      });
      t.equal(first?.peerId?.length, 20);
      t.equal(host.fetch(link, 0, 0, 40), true);
      t.equal(host.fetch(link, 0, 40, 64), true);
      t.equal(host.fetch(link, 2, 0, LAST_PIECE_BLOCKS), true);
      t.ok(await bench.until(() => bench.leech.verdicts.length === 2));
      for (const verdict of bench.leech.verdicts) t.match(verdict, { outcome: 'good', senders: [link] });
      t.ok(await bench.until(() => bench.leech.triples(link, 'finished').length === 3));
      t.same(bench.leech.triples(link, 'finished').sort(), ['0,0,40', '0,40,64', `2,0,${LAST_PIECE_BLOCKS}`]);
      t.equal(store.servable()[0], 0b1010_0000);
      t.ok(await bench.until(() => bench.leech.last(link)?.queuedBlocks === 0));
      // It hears nothing, and is not harmed by it.
      host.setInterested(link, true);
      host.setChoked(link, false);
      host.announceHave(bench.leech.torrent, 0);
      host.close(link, 'complete');
      t.ok(await bench.until(() => bench.leech.last(link)?.state === 'closed'));
      t.equal(bench.leech.last(link)?.closeReason, 'complete');
    },
  );

  await check(
    'a web seed without the file, and one where nobody listens, end as events',
    async (t, bench) => {
      const { host } = bench.leech.side;
      const dial = (url: string) =>
        host.connectWebSeed(bench.leech.torrent, { url, paths: [], asked: true, loopback: false });
      const missing = dial(bench.pair.webSeeds.missing);
      t.ok(await bench.until(() => bench.leech.last(missing)?.state === 'open'));
      host.fetch(missing, 0, 0, 64);
      t.ok(await bench.until(() => bench.leech.last(missing)?.state === 'closed'));
      t.equal(bench.leech.last(missing)?.closeReason, 'http-404');
      const nobody = dial('http://127.0.0.1:1/file');
      t.ok(await bench.until(() => bench.leech.last(nobody)?.state === 'closed'));
      t.equal(bench.leech.last(nobody)?.closeReason, 'refused');
      t.equal(bench.leech.of(nobody).length, 1);
    },
  );

  await check('removing a torrent closes its connections', async (t, bench) => {
    const { up } = await bench.open();
    bench.leech.side.host.removeTorrent(bench.leech.torrent);
    t.ok(await bench.until(() => bench.seed.last(up)?.state === 'closed'));
  });

  await check('a store attached later is served', async (t, bench) => {
    const { host, store } = bench.seed.side;
    const torrent = host.addTorrent();
    const down = bench.dial();
    await bench.until(() => bench.seed.incoming.length === 1);
    const up = bench.seed.incoming[0]?.link ?? -1;
    host.accept(up, torrent, hello(SEED_ID));
    await bench.until(() => bench.leech.last(down)?.state === 'open');
    host.attachStore(torrent, store);
    host.setChoked(up, false);
    t.ok(
      await bench.until(() => bench.leech.heard(down, 0) && bench.leech.last(down)?.peerChoking === false),
    );
    bench.leech.side.host.fetch(down, 0, 0, 64);
    t.ok(await bench.until(() => bench.leech.verdicts.length === 1));
  });

  await check('a piece that the peer lost is not had, until it is announced again', async (t, bench) => {
    const { down, up } = await bench.serving();
    t.ok(await bench.until(() => bench.leech.heard(down, 2)));
    bench.leech.side.host.forgetHave(down, 1);
    t.ok(await bench.until(() => bench.leech.of(down).some((event) => event.bitmap?.[0] === 0b1010_0000)));
    t.equal(bench.leech.last(down)?.haveAll, false);
    const seen = bench.leech.events.length;
    bench.leech.side.host.forgetHave(down, 99);
    bench.seed.side.host.announceHave(bench.seed.torrent, 1);
    const isBack = () =>
      bench.leech.events.slice(seen).some((event) => event.link === down && event.haves?.includes(1));
    t.ok(await bench.until(() => isBack() || bench.leech.last(down)?.haveAll === true));
    t.notOk(bench.seed.last(up)?.state === 'closed');
  });

  await check('dialling a port where nobody listens ends as an event', async (t, bench) => {
    const { host } = bench.seed.side.address;
    const link = bench.leech.side.host.connect(bench.leech.torrent, host, 1, hello(LEECH_ID));
    t.ok(await bench.until(() => bench.leech.last(link)?.state === 'closed'));
    t.equal(bench.leech.of(link).length, 1);
  });

  await check('files that fail are told once; what was in them is rejected and not had', async (t, bench) => {
    const { down } = await bench.serving();
    const { host } = bench.leech.side;
    bench.pair.cutFiles();
    t.equal(host.fetch(down, 0, 0, 1), true);
    t.ok(await bench.until(() => bench.seed.faults.length > 0));
    t.ok(await bench.until(() => bench.leech.triples(down, 'rejected').includes('0,0,1')));
    t.equal(host.fetch(down, 1, 0, 1), true);
    t.ok(await bench.until(() => bench.leech.triples(down, 'rejected').includes('1,0,1')));
    t.match(bench.seed.faults, [{ torrent: bench.seed.torrent, kind: 'changed', message: /./ }]);
    t.equal(bench.seed.faults.length, 1);
    t.same([...bench.seed.side.store.servable()], [0]);
  });
}
