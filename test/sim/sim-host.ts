/**
 * The double of the native reactor: a `LinkHost` over messages in memory and virtual time. It has a rate, and it
 * can be told to corrupt what it serves, to fall silent, or to die.
 */
import { formatPeerAddress } from '../../src/connector.js';
import { BLOCK_BYTES } from '../../src/swarm/geometry.js';
import type {
  HashesOf,
  Hello,
  How,
  Incoming,
  LinkBatch,
  LinkEvent,
  LinkHost,
  PieceStore,
  PieceVerdict,
  Rates,
  TorrentFault,
  WebSeedPlace,
} from '../../src/swarm/link-host.js';
import { reservedBytes, SimLink } from './sim-link.js';
import { IDLE_MS, type SimNetwork } from './sim-network.js';
import { SimRateClass } from './sim-rates.js';
import { SimStore } from './sim-store.js';

export interface SimHostOptions {
  /** An IPv4 address; hosts that share one have ports of their own. */
  readonly address: string;
  readonly port?: number;
  /** What it can upload. */
  readonly rateBytesPerSecond?: number;
  /** What it can download; unlimited when absent. */
  readonly downBytesPerSecond?: number;
  /** On top of the network's. */
  readonly latencyMs?: number;
  /** How it answers hash requests, when not honestly. */
  readonly hashes?: 'lies' | 'refuses' | 'ignores';
  /** Which blocks it serves wrong. */
  readonly corrupts?: (piece: number, block: number) => boolean;
  /** Behind a NAT: who dials it gets through only when it has just dialled him. */
  readonly nat?: boolean;
  /** Called soon after something happened; not again before `drain`. */
  readonly wake?: () => void;
}

export interface SimTorrent {
  readonly id: number;
  store: SimStore | null;
}

const PORT = 6881;
const JUDGE_MS = 5;

/** How long a NAT lets answers in. */
const NAT_MS = 5000;

/** Time between an event and the wake-up that tells of it. */
const WAKE_MS = 1;

export class SimHost implements LinkHost {
  readonly network: SimNetwork;
  readonly options: SimHostOptions;
  /** It reads and never answers. */
  silent = false;
  /** Its cable is cut. */
  isDead = false;
  /** Blocks it has sent. */
  sentBlocks = 0;
  /** When what is on its way to it will all be here, as far as its download rate goes. */
  downFreeMs = 0;
  /** Every `fetch` is refused, as when the assembly budget is used up. */
  noMemory = false;
  readonly #torrents = new Map<number, SimTorrent>();
  readonly #links = new Map<number, SimLink>();
  readonly #changed = new Set<SimLink>();
  readonly #rateClasses = new Map<number, SimRateClass>();
  #incoming: Incoming[] = [];
  #verdicts: PieceVerdict[] = [];
  #faults: TorrentFault[] = [];
  readonly #hellos = new Map<number, Hello>();
  #encryption: Parameters<LinkHost['setEncryption']>[0] = 'allowed';
  readonly #knownHashes = new Set<string>();
  readonly #hosts = new Map<number, string>();
  readonly #dialledAtMs = new Map<string, number>();
  #nextId = 1;
  #nextPort = 40_000;
  #isWaking = false;
  #isServing = false;
  /** When it looks again at links that wait for rates; 0: it need not. */
  #servesAtMs = 0;

  constructor(network: SimNetwork, options: SimHostOptions) {
    this.network = network;
    this.options = options;
    network.hosts.set(formatPeerAddress(this.address), this);
  }

  get address(): { host: string; port: number } {
    return { host: this.options.address, port: this.options.port ?? PORT };
  }

  get openLinks(): number {
    return this.links.length;
  }

  setEncryption(mode: Parameters<LinkHost['setEncryption']>[0]): void {
    this.#encryption = mode;
  }

  knowInfoHash(infoHash: Uint8Array): void {
    this.#knownHashes.add(Buffer.from(infoHash).toString('hex'));
  }

  forgetInfoHash(infoHash: Uint8Array): void {
    this.#knownHashes.delete(Buffer.from(infoHash).toString('hex'));
  }

  addTorrent(store?: PieceStore): number {
    const id = this.#nextId++;
    this.#torrents.set(id, { id, store: null });
    if (store) this.attachStore(id, store);
    return id;
  }

  attachStore(torrent: number, store: PieceStore): void {
    const entry = this.#torrents.get(torrent);
    if (!(store instanceof SimStore)) throw new TypeError('"store" expected a SimStore');
    if (!entry) return;
    entry.store = store;
    for (const link of this.#links.values()) {
      if (link.torrent === entry && link.state === 'open') link.sendBitmap();
    }
  }

  removeTorrent(torrent: number): void {
    for (const link of this.#links.values()) if (link.torrent?.id === torrent) link.close('closed');
    this.#torrents.delete(torrent);
  }

  connect(torrent: number, host: string, port: number, hello: Hello, how: How = {}): number {
    const link = this.#newLink(host, port);
    const insists = this.#encryption === 'required';
    const { clock, latencyMs } = this.network;
    link.torrent = this.#torrents.get(torrent) ?? null;
    this.#hellos.set(link.id, hello);
    this.#dialledAtMs.set(host, clock.nowMs);
    const remote = this.network.hosts.get(formatPeerAddress({ host, port }));
    clock.after(latencyMs, () => {
      const refusal =
        !remote || remote.isDead || how.transport === 'utp' || remote.#isShut(this)
          ? 'refused'
          : remote.#refuses(hello, how.encrypted ?? false);
      if (refusal || !remote) clock.after(latencyMs, () => link.ended(refusal ?? 'refused'));
      else remote.#onConnect(this, link, hello, how.encrypted ? insists : null);
    });
    return link.id;
  }

  connectWebSeed(torrent: number, { url }: WebSeedPlace): number {
    const link = this.#newLink(url, 0);
    const { clock, latencyMs, webServers } = this.network;
    link.torrent = this.#torrents.get(torrent) ?? null;
    clock.after(2 * latencyMs, () => {
      const server = webServers.get(url);
      if (server) link.openWebSeed(server.endOf(link));
      else link.ended('refused');
    });
    return link.id;
  }

  accept(link: number, torrent: number, hello: Hello): boolean {
    const here = this.#links.get(link);
    const there = here?.other;
    const entry = this.#torrents.get(torrent);
    const theirs = this.#hellos.get(link);
    if (!here || !there || !entry || !theirs || here.state !== 'new') return false;
    // The reply goes ahead of everything else.
    this.network.clock.after(this.network.latencyMs, () => there.dialled(hello));
    here.open(entry, theirs, hello);
    return true;
  }

  refuse(link: number): void {
    const here = this.#links.get(link);
    if (!here) return;
    this.network.clock.after(this.network.latencyMs, () => here.other?.ended('reset'));
    this.#links.delete(link);
  }

  close(link: number, reason: string): void {
    this.#links.get(link)?.close(reason);
  }

  setChoked(link: number, choked: boolean): void {
    const here = this.#links.get(link);
    if (here?.state !== 'open') return;
    here.choking = choked;
    here.choke(choked);
    here.send({ type: choked ? 'choke' : 'unchoke' });
  }

  setInterested(link: number, interested: boolean): void {
    this.#links.get(link)?.send({ type: interested ? 'interested' : 'uninterested' });
  }

  /** Queues are of any length here. */
  setRequestLimit(): void {}

  createRateClass(): number {
    const id = this.#nextId++;
    this.#rateClasses.set(id, new SimRateClass());
    return id;
  }

  setRateClass(rateClass: number, rates: Rates): void {
    this.#rateClasses.get(rateClass)?.setRates(rates, this.network.clock.nowMs);
    this.#serveAll();
  }

  dropRateClass(rateClass: number): void {
    this.setRateClass(rateClass, { uploadBytesPerSecond: 0, downloadBytesPerSecond: 0 });
    this.#rateClasses.delete(rateClass);
  }

  setLinkRateClasses(link: number, rateClasses: readonly number[]): void {
    const here = this.#links.get(link);
    if (!here) return;
    here.rateClasses = rateClasses.flatMap((id) => this.#rateClasses.get(id) ?? []);
    this.#serveAll();
  }

  /** What may go now has changed, on either end. */
  #serveAll(): void {
    this.serve();
    for (const link of this.#links.values()) link.other?.serve();
  }

  forgetHave(link: number, piece: number): void {
    this.#links.get(link)?.forgetHave(piece);
  }

  fetch(link: number, piece: number, firstBlock: number, endBlock: number): boolean {
    if (this.noMemory) return false;
    return this.#links.get(link)?.fetch(piece, firstBlock, endBlock) ?? false;
  }

  cancel(link: number, piece: number, firstBlock: number, endBlock: number): void {
    this.#links.get(link)?.cancel(piece, firstBlock, endBlock);
  }

  sendExtension(link: number, id: number, payload: Uint8Array): boolean {
    const here = this.#links.get(link);
    if (here?.state !== 'open') return false;
    here.send({ type: 'extension', id, payload: Uint8Array.from(payload) });
    return true;
  }

  requestHashes(link: number, piece: number, of: HashesOf): number {
    return this.#links.get(link)?.requestHashes(piece, of) ?? 0;
  }

  sendHave(link: number, piece: number): void {
    this.#links.get(link)?.show(piece);
  }

  suggest(link: number, piece: number): void {
    this.#links.get(link)?.send({ type: 'suggest', piece });
  }

  allowFast(link: number, pieces: readonly number[]): void {
    this.#links.get(link)?.allowFast(pieces);
  }

  announceHave(torrent: number, piece: number): void {
    for (const link of this.#links.values()) {
      if (link.torrent?.id === torrent && link.state === 'open' && !link.shown)
        link.send({ type: 'have', piece });
    }
  }

  /** Everything that happened since the last call. */
  drain(): LinkBatch {
    const links: LinkEvent[] = [];
    for (const link of this.#changed) {
      links.push(link.takeEvent());
      if (link.state === 'closed') this.#links.delete(link.id);
    }
    const batch = { incoming: this.#incoming, links, pieces: this.#verdicts, faults: this.#faults };
    this.#changed.clear();
    this.#incoming = [];
    this.#verdicts = [];
    this.#faults = [];
    return batch;
  }

  /** It ends: nothing goes out any more, and the others are told by its system. */
  die(): void {
    this.isDead = true;
    for (const link of this.#links.values()) link.other?.ended('reset');
  }

  /** The cable is pulled: the others notice only that they hear nothing. */
  vanish(): void {
    this.isDead = true;
    for (const { other } of this.#links.values())
      this.network.clock.after(IDLE_MS, () => other?.ended('idle'));
  }

  /** Links that are open, for hostile hosts and for what the network does to them. */
  get links(): SimLink[] {
    return [...this.#links.values()].filter((link) => link.state === 'open');
  }

  /** Answers requests, one block at a time over all links in turn, as fast as its rate allows. */
  serve(): void {
    if (this.#isServing || this.silent || this.isDead) return;
    const { clock } = this.network;
    const waiting = [...this.#links.values()].filter((each) => each.wantedByPeer.length > 0);
    const link = waiting.find((each) => each.nextBlockMs <= clock.nowMs);
    const wanted = link?.wantedByPeer.shift();
    if (!link || !wanted) {
      if (waiting.length > 0) this.#serveAt(Math.min(...waiting.map((each) => each.nextBlockMs)));
      return;
    }
    link.charge();
    // To the end of the line.
    this.#links.delete(link.id);
    this.#links.set(link.id, link);
    this.#isServing = true;
    const rate = this.options.rateBytesPerSecond ?? 100_000_000;
    clock.after((BLOCK_BYTES * 1000) / rate, () => {
      this.#isServing = false;
      const { piece, block } = wanted;
      const torrent = link.state === 'open' ? link.torrent : null;
      const read = torrent?.store?.read(piece) ?? 'missing';
      if (read === 'whole') {
        link.send({ type: 'block', piece, block, good: !this.options.corrupts?.(piece, block) });
        link.uploadedBytes += BLOCK_BYTES;
        this.sentBlocks++;
        this.changed(link);
      } else if (torrent) {
        link.send({ type: 'reject', piece, block });
        if (read === 'failed')
          this.#faults.push({ torrent: torrent.id, kind: 'changed', message: 'cut short' });
        this.#wake();
      }
      this.serve();
    });
  }

  #serveAt(ms: number): void {
    if (this.#servesAtMs > 0 && this.#servesAtMs <= ms) return;
    this.#servesAtMs = ms;
    this.network.clock.after(ms - this.network.clock.nowMs, () => {
      if (this.#servesAtMs === ms) this.#servesAtMs = 0;
      this.serve();
    });
  }

  /** All blocks of a piece are in hand: a worker hashes it. */
  judge(torrent: SimTorrent, piece: number): void {
    this.network.clock.after(JUDGE_MS, () => {
      if (!torrent.store || !this.#torrents.has(torrent.id)) return;
      this.#verdicts.push(torrent.store.judge(torrent.id, piece));
      this.#wake();
    });
  }

  /** A verdict without a judge. */
  tell(verdict: PieceVerdict): void {
    this.#verdicts.push(verdict);
    this.#wake();
  }

  changed(link: SimLink): void {
    this.#changed.add(link);
    this.#wake();
  }

  /** The reply to our handshake is here. */
  replied(link: SimLink, reply: Hello): void {
    const ours = this.#hellos.get(link.id);
    if (!ours || link.state !== 'new' || !link.torrent) return;
    const expected = [ours.infoHash, ...(ours.otherInfoHash ? [ours.otherInfoHash] : [])];
    if (expected.some((hash) => Buffer.compare(hash, reply.infoHash) === 0))
      link.open(link.torrent, reply, ours);
    else link.close('wrong-info-hash');
  }

  #isShut(from: SimHost): boolean {
    const dialledAtMs = this.#dialledAtMs.get(from.options.address) ?? Number.NEGATIVE_INFINITY;
    return this.options.nat === true && this.network.clock.nowMs - dialledAtMs > NAT_MS;
  }

  /** Why a caller is dropped before anybody is asked. */
  #refuses(hello: Hello, encrypted: boolean): string | null {
    const isKnown = this.#knownHashes.has(Buffer.from(hello.infoHash).toString('hex'));
    const takes = encrypted ? this.#encryption !== 'off' && isKnown : this.#encryption !== 'required';
    return takes ? null : 'reset';
  }

  /** `insists`: whether the caller wants nothing but encryption; null: it came in plain. */
  #onConnect(from: SimHost, there: SimLink, hello: Hello, insists: boolean | null): void {
    const here = this.#newLink(from.options.address, from.#nextPort++);
    here.other = there;
    there.other = here;
    this.#hellos.set(here.id, hello);
    const { id: link, host, port } = here;
    const { infoHash, peerId } = hello;
    const prefers = this.#encryption === 'preferred' || this.#encryption === 'required';
    const encrypted = insists !== null && (insists || prefers);
    here.encrypted = encrypted;
    there.encrypted = encrypted;
    const reserved = reservedBytes(hello);
    this.#incoming.push({ link, host, port, infoHash, peerId, reserved, encrypted, transport: 'tcp' });
    this.#wake();
  }

  /** Where a link of any time went. */
  hostOf(link: number): string {
    return this.#hosts.get(link) ?? '';
  }

  #newLink(host: string, port: number): SimLink {
    const link = new SimLink(this, this.#nextId++, host, port);
    this.#hosts.set(link.id, host);
    this.#links.set(link.id, link);
    return link;
  }

  #wake(): void {
    if (this.#isWaking || !this.options.wake) return;
    this.#isWaking = true;
    this.network.clock.after(WAKE_MS, () => {
      this.#isWaking = false;
      if (!this.isDead) this.options.wake?.();
    });
  }
}
