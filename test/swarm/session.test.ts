import t from 'tap';
import type {
  Hello,
  How,
  LinkBatch,
  LinkEvent,
  LinkHost,
  PieceStore,
  TorrentFault,
  WebSeedPlace,
} from '../../src/swarm/link-host.js';
import { Session, type SessionOptions } from '../../src/swarm/session.js';
import type { SwarmOptions } from '../../src/swarm/swarm-options.js';
import { encodeExtensionHandshake } from '../../src/wire/extension-handshake.js';

const PIECE = 1 << 20;

/** Notes every command; nothing happens by itself. */
class ScriptedHost implements LinkHost {
  readonly log: string[] = [];
  readonly hellos: Hello[] = [];
  readonly announced: number[] = [];
  readonly hows: (How | undefined)[] = [];
  /** Infohashes known to encrypted handshakes, hex. */
  readonly known = new Set<string>();
  encryption = '';
  #next = 1;

  setEncryption(mode: string): void {
    this.encryption = mode;
  }
  knowInfoHash(infoHash: Uint8Array): void {
    this.known.add(Buffer.from(infoHash).toString('hex'));
  }
  forgetInfoHash(infoHash: Uint8Array): void {
    this.known.delete(Buffer.from(infoHash).toString('hex'));
  }
  addTorrent(): number {
    return this.#next++;
  }
  attachStore(): void {}
  removeTorrent(torrent: number): void {
    this.log.push(`remove ${torrent}`);
  }
  connect(_torrent: number, host: string, port: number, hello: Hello, how?: How): number {
    this.hellos.push(hello);
    this.hows.push(how);
    const link = this.#next++;
    this.log.push(`connect ${link} ${host}:${port}`);
    return link;
  }
  connectWebSeed(_torrent: number, { url }: WebSeedPlace): number {
    const link = this.#next++;
    this.log.push(`web seed ${link} ${url}`);
    return link;
  }
  accept(link: number, torrent: number, hello: Hello): boolean {
    this.hellos.push(hello);
    this.log.push(`accept ${link} ${torrent}`);
    return true;
  }
  refuse(link: number): void {
    this.log.push(`refuse ${link}`);
  }
  close(link: number, reason: string): void {
    this.log.push(`close ${link} ${reason}`);
  }
  setChoked(link: number, choked: boolean): void {
    this.log.push(`${choked ? 'choke' : 'unchoke'} ${link}`);
  }
  setInterested(link: number, interested: boolean): void {
    this.log.push(`${interested ? 'interested' : 'uninterested'} ${link}`);
  }
  forgetHave(): void {}

  setRequestLimit(link: number, requests: number): void {
    this.log.push(`limit ${link} ${requests}`);
  }
  createRateClass(): number {
    return 1;
  }
  setRateClass(): void {}
  dropRateClass(): void {}
  setLinkRateClasses(): void {}
  fetch(link: number, piece: number, firstBlock: number, endBlock: number): boolean {
    this.log.push(`fetch ${link} ${piece} ${firstBlock} ${endBlock}`);
    return true;
  }
  cancel(link: number, piece: number, firstBlock: number, endBlock: number): void {
    this.log.push(`cancel ${link} ${piece} ${firstBlock} ${endBlock}`);
  }
  sendExtension(): boolean {
    return true;
  }
  requestHashes(link: number, piece: number, of: string): number {
    this.log.push(`hashes ${link} ${piece} ${of}`);
    return 0;
  }
  sendHave(): void {}
  suggest(): void {}
  allowFast(): void {}
  announceHave(_torrent: number, piece: number): void {
    this.announced.push(piece);
  }

  /** The commands since the last call. */
  take(): string[] {
    return this.log.splice(0);
  }
}

const bytes = (length: number, fill: number) => new Uint8Array(length).fill(fill);
const emptyStore: PieceStore = { servable: () => new Uint8Array(1) };
const fullStore: PieceStore = { servable: () => Uint8Array.of(0xf0) };
const V1 = bytes(20, 1);
const V2 = bytes(32, 2);

function setup(
  options: { session?: Partial<SessionOptions>; swarm?: Partial<SwarmOptions>; pieces?: number } = {},
) {
  const host = new ScriptedHost();
  let nowMs = 0;
  const session = new Session({
    host,
    peerId: bytes(20, 50),
    clock: () => nowMs,
    random: () => 0.5,
    ...options.session,
  });
  const content = { store: emptyStore, pieceLengthBytes: PIECE, lengthBytes: (options.pieces ?? 4) * PIECE };
  const swarm = session.add({
    infoHashV1: V1,
    infoHashV2: V2,
    content,
    order: 'sequential',
    ...options.swarm,
  });
  const event = (link: number, changes: Partial<LinkEvent> = {}): LinkEvent => ({
    link,
    torrent: swarm.torrent,
    state: 'open',
    host: '1.2.3.4',
    port: 6881,
    peerChoking: false,
    peerInterested: false,
    haveAll: false,
    queuedBlocks: 0,
    downloadedBytes: 0,
    uploadedBytes: 0,
    sinceBlockMs: 0,
    ...changes,
  });
  const apply = (batch: Partial<LinkBatch>) =>
    session.apply({ incoming: [], links: [], pieces: [], faults: [], ...batch }, nowMs);
  const wait = (ms: number) => {
    for (const endMs = nowMs + ms; nowMs < endMs; ) {
      nowMs = Math.min(endMs, nowMs + 1000);
      session.tick(nowMs);
    }
  };
  /** Dials an address; its link, open, with everything to give. */
  const open = (last: number, changes: Partial<LinkEvent> = {}) => {
    swarm.addPeers([{ host: `1.2.3.${last}`, port: 6881 }]);
    const link = Number(host.take().at(-1)?.split(' ')[1]);
    apply({ links: [event(link, { peerId: bytes(20, last), haveAll: true, ...changes })] });
    return link;
  };
  return { host, session, swarm, event, apply, wait, open };
}

t.test('an address is dialled at once, and an unchoked seed is asked for stripes', async (t) => {
  const { host, swarm, open } = setup();
  const link = open(9);
  t.same(host.take(), [`interested ${link}`, `fetch ${link} 0 0 64`, `fetch ${link} 1 0 64`]);
  t.equal(swarm.state, 'fetching');
});

t.test(
  'an address that drops a plain handshake is dialled encrypted at once, and so from then on',
  async (t) => {
    const { host, swarm, event, apply, wait } = setup();
    t.equal(host.encryption, 'allowed');
    t.same(
      [...host.known],
      [V1, V2.subarray(0, 20)].map((name) => Buffer.from(name).toString('hex')),
    );
    swarm.addPeers([{ host: '1.2.3.4', port: 6881 }]);
    apply({ links: [event(2, { state: 'closed', closeReason: 'reset' })] });
    apply({ links: [event(3, { peerId: bytes(20, 4), encrypted: true })] });
    apply({ links: [event(3, { state: 'closed', closeReason: 'reset' })] });
    wait(10_000);
    t.same(
      host.hows.map((how) => how?.encrypted),
      [false, true, true],
    );
    swarm.close();
    t.equal(host.known.size, 0);
  },
);

t.test('a hybrid is dialled by its v1 name first, by its v2 name after a failure', async (t) => {
  const { host, swarm, event, apply, wait } = setup({ session: { encryption: 'off' } });
  swarm.addPeers([{ host: '1.2.3.4', port: 6881 }]);
  apply({ links: [event(2, { state: 'closed', closeReason: 'reset' })] });
  wait(10_000);
  t.same(host.hellos[0]?.infoHash, V1);
  t.same(host.hellos[0]?.otherInfoHash, V2.subarray(0, 20));
  t.same(host.hellos[1]?.infoHash, V2.subarray(0, 20));
  t.same(host.hellos[1]?.otherInfoHash, V1);
  t.equal(host.hellos[0]?.v2, true);
});

t.test('a connection from outside is answered with the name it used', async (t) => {
  const { host, apply } = setup();
  const incoming = {
    link: 7,
    host: '5.6.7.8',
    port: 1,
    peerId: bytes(20, 9),
    reserved: bytes(8, 0),
    encrypted: false,
    transport: 'tcp' as const,
  };
  apply({ incoming: [{ ...incoming, infoHash: V2.subarray(0, 20) }] });
  apply({ incoming: [{ ...incoming, link: 8, infoHash: bytes(20, 99) }] });
  apply({ incoming: [{ ...incoming, link: 9, infoHash: V1, peerId: bytes(20, 50) }] });
  t.same(
    host.take(),
    ['accept 7 1', 'refuse 8', 'refuse 9'],
    'an unknown torrent and we ourselves are refused',
  );
  t.same(host.hellos[0]?.infoHash, V2.subarray(0, 20));
});

t.test('a choke gives everything back, and it goes to others', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 2 });
  const a = open(1);
  const b = open(2, { peerChoking: true });
  host.take();
  apply({ links: [event(b)] });
  t.same(host.take(), [], 'nothing is free, and what was just asked for may come at once');
  wait(1000);
  t.same(host.take(), [`fetch ${b} 0 0 64`], 'endgame');
  apply({ links: [event(a, { peerChoking: true })] });
  t.same(host.take(), [`cancel ${a} 0 0 64`, `cancel ${a} 1 0 64`, `fetch ${b} 1 0 64`]);
});

t.test('what a peer allows is asked for while it chokes us, and stays asked for', async (t) => {
  const { host, event, apply, open } = setup({ pieces: 4 });
  const link = open(1, { peerChoking: true, allowedFast: [2] });
  t.same(
    host.take().filter((line) => line.startsWith('fetch')),
    [`fetch ${link} 2 0 64`],
  );
  apply({ links: [event(link, { queuedBlocks: 64 })] });
  t.same(host.take(), [`fetch ${link} 0 0 64`]);
  apply({ links: [event(link, { peerChoking: true, queuedBlocks: 64 })] });
  t.same(host.take(), [`cancel ${link} 0 0 64`]);
});

t.test('the first to deliver a stripe in endgame cancels it for the others', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 1 });
  const a = open(1);
  const b = open(2);
  wait(1000);
  t.ok(host.take().includes(`fetch ${b} 0 0 64`));
  apply({ links: [event(b, { finished: [0, 0, 64], downloadedBytes: PIECE })] });
  t.same(host.take(), [`cancel ${a} 0 0 64`]);
  apply({ pieces: [{ torrent: 1, piece: 0, outcome: 'good', senders: [b], culprits: [] }] });
  t.same(host.announced, [0]);
  t.same(host.take(), [`uninterested ${a}`, `uninterested ${b}`]);
});

t.test('a good verdict that overtakes its ranges cancels what is still asked', async (t) => {
  const { host, swarm, event, apply, open } = setup({ pieces: 1 });
  const a = open(1);
  host.take();
  apply({ pieces: [{ torrent: 1, piece: 0, outcome: 'good', senders: [a], culprits: [] }] });
  t.same(host.take(), [`cancel ${a} 0 0 64`, `uninterested ${a}`]);
  apply({ links: [event(a, { finished: [0, 0, 64] })] });
  t.equal(swarm.state, 'seeding');
});

t.test('a rejecting peer rests, and is let go when it goes on', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 1 });
  const link = open(1);
  host.take();
  for (let n = 0; n < 51; n++) {
    apply({ links: [event(link, { rejected: [0, 0, 64] })] });
    t.same(host.take(), n < 50 ? [] : [`close ${link} rejects`], 'it is not asked again at once');
    wait(3000);
    if (n < 50) t.same(host.take(), [`fetch ${link} 0 0 64`]);
  }
});

t.test('a stripe of which a part was rejected is asked for again, whole', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 1 });
  const link = open(1);
  host.take();
  apply({ links: [event(link, { finished: [0, 0, 10, 0, 11, 64], rejected: [0, 10, 11] })] });
  wait(2000);
  t.same(host.take(), [`fetch ${link} 0 0 64`]);
});

t.test('a torrent over files of others goes on without what fails of them', async (t) => {
  let servable = new Uint8Array([0xf0]);
  let told = 0;
  const { host, swarm, event, apply, open } = setup({
    swarm: {
      content: { store: { servable: () => servable }, pieceLengthBytes: PIECE, lengthBytes: 4 * PIECE },
      wanted: [],
      toleratesFaults: true,
      events: {
        fault: () => {
          told++;
          // Its owner has one of the two fetched.
          swarm.want(1, 2);
        },
      },
    },
  });
  const link = open(1, { peerInterested: true });
  t.equal(swarm.state, 'seeding');
  host.take();
  servable = new Uint8Array([0x90]);
  apply({ faults: [{ torrent: swarm.torrent, kind: 'vanished', message: 'ENOENT' }] });
  t.match(swarm.status(), { state: 'fetching', pauseReason: null, hadPieces: 2, wantedLeft: 1 });
  t.equal(told, 1);
  apply({ links: [event(link, { haveAll: true, peerInterested: true })] });
  const commands = host.take();
  t.ok(commands.includes(`fetch ${link} 1 0 64`) && !commands.includes(`choke ${link}`), commands.join(', '));
  const verdict = { torrent: swarm.torrent, piece: 1, senders: [link], culprits: [] };
  apply({ pieces: [{ ...verdict, outcome: 'io', message: 'ENOSPC' }] });
  t.match(swarm.status(), { state: 'seeding', pauseReason: null, hadPieces: 2, wantedLeft: 0 }, 'no room');
  swarm.want(1, 2);
  apply({ pieces: [{ ...verdict, outcome: 'good' }] });
  t.match(swarm.status(), { state: 'seeding', hadPieces: 3 });
});

t.test('files that fail pause their torrent, and no other', async (t) => {
  const told: TorrentFault[] = [];
  const { host, session, swarm, event, apply, wait, open } = setup({
    pieces: 8,
    swarm: { events: { fault: (fault) => told.push(fault) } },
  });
  const other = session.add({
    infoHashV1: bytes(20, 8),
    infoHashV2: null,
    content: { store: fullStore, pieceLengthBytes: PIECE, lengthBytes: 4 * PIECE },
  });
  const link = open(1, { peerInterested: true });
  apply({
    links: [event(link, { finished: [0, 0, 64], peerInterested: true })],
    pieces: [{ torrent: 1, piece: 0, outcome: 'good', senders: [link], culprits: [] }],
  });
  t.equal(swarm.has(0), true);
  host.take();
  const fault = { torrent: 1, kind: 'io', message: 'EIO' } as const;
  apply({ faults: [fault] });
  t.same(told, [fault]);
  t.equal(swarm.state, 'paused');
  t.match(swarm.status(), { pauseReason: 'EIO', hadPieces: 0 });
  const commands = host.take();
  t.ok(commands.includes(`choke ${link}`), 'nobody is served');
  t.ok(commands.includes(`cancel ${link} 1 0 64`), 'nothing is asked for');
  swarm.addPeers([{ host: '1.2.3.9', port: 6881 }]);
  wait(100_000);
  t.same(
    host.take().filter((line) => !line.startsWith('close')),
    [],
    'nobody is met, asked or served, however long it takes',
  );
  t.equal(other.state, 'seeding');
  swarm.resume();
  t.equal(swarm.state, 'fetching');
  t.equal(swarm.status().pauseReason, null);
  t.ok(
    host.take().some((line) => line.startsWith('connect')),
    'the address is dialled now',
  );
});

t.test('a piece that is read again after a pause counts as had', async (t) => {
  const { session, apply } = setup();
  let bits = 0b1111_0000;
  const swarm = session.add({
    infoHashV1: bytes(20, 8),
    infoHashV2: null,
    content: {
      store: { servable: () => Uint8Array.of(bits) },
      pieceLengthBytes: PIECE,
      lengthBytes: 4 * PIECE,
    },
  });
  bits = 0b1101_0000;
  apply({ faults: [{ torrent: swarm.torrent, kind: 'io', message: 'EIO' }] });
  t.same([swarm.state, swarm.has(1), swarm.has(2)], ['paused', true, false]);
  bits = 0b1111_0000;
  swarm.resume();
  t.same([swarm.state, swarm.has(2)], ['seeding', true]);
});

t.test('a piece that cannot be written pauses its torrent for 30 s', async (t) => {
  const { host, swarm, event, apply, wait, open } = setup();
  const link = open(1);
  apply({
    links: [event(link, { finished: [0, 0, 64] })],
    pieces: [{ torrent: 1, piece: 0, outcome: 'io', message: 'full', senders: [link], culprits: [] }],
  });
  t.match(swarm.status(), { state: 'paused', pauseReason: 'full' });
  host.take();
  wait(29_000);
  t.same(host.take(), []);
  wait(1000);
  t.equal(swarm.state, 'fetching');
  t.ok(
    host.take().some((line) => line.startsWith(`fetch ${link}`)),
    'pieces are asked for again',
  );
});

t.test('pieces that were open when a pause began are asked for anew, whole', async (t) => {
  const { host, event, apply, wait, open } = setup({
    swarm: { content: { store: emptyStore, pieceLengthBytes: 2 * PIECE, lengthBytes: 4 * PIECE } },
  });
  const link = open(1);
  apply({ links: [event(link, { finished: [0, 0, 64, 0, 64, 128] })] });
  t.ok(host.take().includes(`fetch ${link} 1 0 64`));
  apply({
    links: [event(link, { finished: [1, 0, 64] })],
    pieces: [{ torrent: 1, piece: 0, outcome: 'io', message: 'full', senders: [link], culprits: [] }],
  });
  host.take();
  wait(30_000);
  // The byte mover forgets a piece to which nothing came for 30 s.
  t.ok(host.take().includes(`fetch ${link} 1 0 64`));
});

t.test('a silent peer is snubbed after 20 s, one that delivered before after 60 s', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 8 });
  const mute = open(1);
  wait(19_000);
  host.take();
  wait(1000);
  t.same(host.take(), [`cancel ${mute} 0 0 64`, `cancel ${mute} 1 0 64`]);
  wait(59_000);
  t.same(host.take(), []);
  wait(1000);
  t.same(host.take(), [`fetch ${mute} 0 0 16`], 'one stripe is tried');
  apply({ links: [event(mute, { downloadedBytes: 16_384, queuedBlocks: 15 })] });
  wait(59_000);
  t.notOk(host.take().includes(`cancel ${mute} 0 0 16`));
  wait(1000);
  t.ok(host.take().includes(`cancel ${mute} 0 0 16`));
  wait(59_000);
  t.same(host.take(), []);
});

t.test('a fast peer that falls silent is snubbed after 15 s', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 100 });
  const fast = open(1);
  for (let second = 1; second <= 5; second++) {
    wait(1000);
    apply({ links: [event(fast, { downloadedBytes: second * 2_000_000, queuedBlocks: 128 - second })] });
  }
  wait(14_000);
  t.notOk(host.take().some((line) => line.startsWith('cancel')));
  wait(1000);
  t.ok(host.take().includes(`cancel ${fast} 0 0 64`));
});

t.test('a peer that turns out slow gives back what it holds, and gets little at a time', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 100 });
  const slow = open(1);
  host.take();
  let blocks = 0;
  for (let second = 1; second <= 20; second++) {
    wait(1000);
    if (second % 3 === 0) blocks++;
    apply({ links: [event(slow, { downloadedBytes: blocks * 16_384, queuedBlocks: 120 })] });
  }
  const log = host.take();
  t.ok(log.includes(`cancel ${slow} 1 0 64`));
  t.ok(log.includes(`cancel ${slow} 0 0 64`));
  t.equal(log.at(-1), `fetch ${slow} 0 0 4`.replace('0 0 4', '0 4 8'));
});

t.test('a have-map that claims pieces behind the end closes the link', async (t) => {
  const { host, open } = setup({ pieces: 4 });
  const link = open(1, { haveAll: false, bitmap: Uint8Array.of(0b1111_1000) });
  t.match(host.take(), [`close ${link} bad-have-map`]);
});

t.test('a have-map that came before the info dictionary is judged once that is known', async (t) => {
  const { host, session, swarm, event, apply } = setup();
  swarm.close();
  const magnet = session.add({ infoHashV1: V1, infoHashV2: null });
  magnet.addPeers([
    { host: '1.1.1.1', port: 1 },
    { host: '2.2.2.2', port: 1 },
  ]);
  const [a = 0, b = 0] = host
    .take()
    .filter((line) => line.startsWith('connect'))
    .map((line) => Number(line.split(' ')[1]));
  const torrent = magnet.torrent;
  apply({
    links: [
      event(a, { torrent, peerId: bytes(20, 1), bitmap: Uint8Array.of(0b0100_0000) }),
      event(b, { torrent, peerId: bytes(20, 2), haves: [0, 900] }),
    ],
  });
  magnet.attach({ store: emptyStore, pieceLengthBytes: PIECE, lengthBytes: 3 * PIECE });
  t.same(host.take(), [`interested ${a}`, `close ${b} bad-have-map`, `fetch ${a} 1 0 64`]);
  t.throws(
    () => magnet.attach({ store: emptyStore, pieceLengthBytes: PIECE, lengthBytes: PIECE }),
    TypeError,
  );
});

t.test('a peer is kept within the request queue it announced', async (t) => {
  const { host, open } = setup({ pieces: 8 });
  const payload = encodeExtensionHandshake({ requestQueue: 70 });
  const link = open(1, { messages: [{ id: 0, payload }] });
  t.ok(host.take().includes(`limit ${link} 70`), 'by the byte mover; what is behind waits there');
});

t.test('a malformed extension handshake closes the link', async (t) => {
  const { host, open } = setup();
  const link = open(1, { messages: [{ id: 0, payload: new TextEncoder().encode('l-3:e') }] });
  t.ok(host.take().includes(`close ${link} bad-message`));
});

t.test('an incoming peer that says where it listens is dialled again after it left', async (t) => {
  const { host, event, apply, wait } = setup();
  const incoming = {
    link: 70,
    host: '5.6.7.8',
    port: 40_000,
    peerId: bytes(20, 9),
    reserved: bytes(8, 0),
    encrypted: false,
    transport: 'tcp' as const,
  };
  apply({ incoming: [{ ...incoming, infoHash: V1 }] });
  const messages = [{ id: 0, payload: encodeExtensionHandshake({ listenPort: 6999 }) }];
  apply({ links: [event(70, { messages, host: '5.6.7.8', port: 40_000 })] });
  wait(60_000);
  t.notMatch(host.take().join(), 'connect');
  apply({ links: [event(70, { state: 'closed', closeReason: 'reset' })] });
  wait(10_000);
  t.match(host.take().join(), '5.6.7.8:6999');
});

t.test('bad blame: culprits are closed, banned and not dialled again', async (t) => {
  const { host, session, swarm, event, apply, wait, open } = setup();
  const link = open(1);
  host.take();
  apply({ pieces: [{ torrent: 1, piece: 0, outcome: 'bad', senders: [link], culprits: [link] }] });
  t.ok(host.take().includes(`close ${link} banned`));
  t.ok(session.bans.has({ host: '1.2.3.1', port: 1 }, 0));
  apply({ links: [event(link, { state: 'closed', closeReason: 'banned' })] });
  swarm.addPeers([{ host: '1.2.3.1', port: 7000 }], 'dht');
  wait(60_000);
  t.notMatch(host.take().join(), 'connect');
  apply({
    incoming: [
      {
        link: 99,
        host: '1.2.3.1',
        port: 5,
        infoHash: V1,
        peerId: bytes(20, 3),
        reserved: bytes(8, 0),
        encrypted: false,
        transport: 'tcp' as const,
      },
    ],
  });
  t.same(host.take(), ['refuse 99']);
});

t.test('a piece whose verdict never comes is asked for again', async (t) => {
  const { host, event, apply, wait, open } = setup({ pieces: 1 });
  const link = open(1);
  apply({ links: [event(link, { finished: [0, 0, 64], downloadedBytes: PIECE })] });
  host.take();
  wait(119_000);
  t.same(host.take(), []);
  wait(2000);
  t.same(host.take(), [`fetch ${link} 0 0 64`]);
});

t.test('dials respect half-open and per-torrent limits', async (t) => {
  const addresses = Array.from({ length: 30 }, (_, at) => ({ host: `9.9.9.${at}`, port: 1 }));
  const some = setup({ session: { limits: { halfOpenLinks: 5 } } });
  some.swarm.addPeers(addresses);
  some.wait(5000);
  t.equal(some.host.take().length, 5);
  const few = setup({ swarm: { maxLinks: 3 } });
  few.swarm.addPeers(addresses);
  few.wait(5000);
  t.equal(few.host.take().length, 3);
  const all = setup();
  all.swarm.addPeers(addresses);
  t.equal(all.host.take().length, 16, 'and not too many at once');
  all.wait(1000);
  t.equal(all.host.take().length, 14);
});

t.test('addresses that must not be dialled are not', async (t) => {
  const { host, swarm, wait } = setup();
  swarm.addPeers(
    [
      { host: '127.0.0.1', port: 22 },
      { host: '0.0.0.0', port: 1 },
      { host: '1.1.1.1', port: 0 },
    ],
    'dht',
  );
  wait(5000);
  t.same(host.take(), []);
});

t.test('closing a swarm frees its name and ignores what is still told of it', async (t) => {
  const { host, session, swarm, event, apply, open } = setup();
  const link = open(1);
  host.take();
  swarm.close();
  swarm.close();
  t.same(host.take(), ['remove 1']);
  t.equal(session.linkCount, 0);
  apply({
    links: [event(link, { state: 'closed' })],
    pieces: [{ torrent: 1, piece: 0, outcome: 'good', senders: [link], culprits: [] }],
  });
  t.same(host.announced, []);
  swarm.addPeers([{ host: '1.1.1.1', port: 1 }]);
  swarm.want(0, 1);
  t.equal(swarm.state, 'closed');
  t.ok(session.add({ infoHashV1: V1, infoHashV2: V2 }));
  session.close();
  t.throws(() => session.add({ infoHashV1: V1, infoHashV2: V2 }), TypeError);
});

t.test('an owner may close its swarm from within a callback', async (t) => {
  const { swarm, session, event, apply, open } = setup({
    swarm: { events: { piece: () => swarm.close() } },
    pieces: 1,
  });
  const link = open(1);
  const pieces = [{ torrent: 1, piece: 0, outcome: 'good' as const, senders: [link], culprits: [] }];
  apply({ links: [event(link, { finished: [0, 0, 64] })], pieces });
  t.equal(swarm.state, 'closed');
  t.equal(session.linkCount, 0);
});

t.test('arguments that make no sense are refused', async (t) => {
  const { session, host } = setup();
  t.throws(() => session.add({ infoHashV1: V1, infoHashV2: null }), TypeError, 'the torrent is there');
  t.throws(() => session.add({ infoHashV1: null, infoHashV2: null }), TypeError);
  t.throws(() => session.add({ infoHashV1: bytes(19, 1), infoHashV2: null }), RangeError);
  t.throws(() => session.add({ infoHashV1: null, infoHashV2: bytes(20, 7) }), RangeError);
  const content = { store: fullStore, pieceLengthBytes: 0, lengthBytes: 1 };
  t.throws(() => session.add({ infoHashV1: bytes(20, 9), infoHashV2: null, content }), RangeError);
  t.throws(() => session.add({ infoHashV1: bytes(20, 8), infoHashV2: null }).want(0, 1), TypeError);
  t.throws(() => new Session({ host, peerId: bytes(3, 1), clock: () => 0, random: () => 0 }), RangeError);
});

t.test('a complete store seeds from the start, and its completion is not announced', async (t) => {
  let completions = 0;
  const content = { store: fullStore, pieceLengthBytes: PIECE, lengthBytes: 4 * PIECE };
  const { swarm } = setup({ swarm: { content, events: { complete: () => completions++ } } });
  t.equal(swarm.state, 'seeding');
  t.equal(completions, 0);
  t.ok(swarm.has(3));
  t.same(swarm.status().hadPieces, 4);
});
