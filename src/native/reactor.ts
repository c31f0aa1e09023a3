import * as bindings from '../../bindings/index.js';
import { type HttpGetOptions, HttpGets, type HttpResult } from './http.js';
import { Store } from './store.js';
import { call } from './task.js';

export type ReactorOptions = bindings.ReactorOptions;

/** What happened since the last `drain`. */
export type Batch = Readonly<bindings.Batch>;

export type ReactorStats = Readonly<bindings.ReactorStats>;

/** A multicast group on one interface. */
export type MulticastGroup = bindings.MulticastGroup;

/** What came to a multicast group. */
export type GroupDatagram = Readonly<bindings.GroupDatagram>;

export type MappingRequest = bindings.MappingRequest;

export type MappingAnswer = Readonly<bindings.MappingAnswer>;

/** As `WebSeedPlace` of src/swarm/link-host.ts. */
type WebSeedPlace = Omit<bindings.WebSeed, 'paths'> & { readonly paths: readonly string[] };

/**
 * The engine object of the process for everything that touches a socket (DESIGN §4): it owns the network
 * threads, peers' links, and the UDP port. Does not keep the process alive. Commands never block.
 */
export class Reactor {
  readonly #inner: bindings.Reactor;
  readonly #gets: HttpGets;
  readonly #mappings = new Map<number, (answer: bindings.MappingAnswer) => void>();

  /** `wake` is called on the JavaScript thread when there is something to `drain`: once until it is drained. */
  constructor(options: ReactorOptions, wake: () => void) {
    this.#inner = call(() => new bindings.Reactor(options, wake));
    this.#gets = new HttpGets(this.#inner);
  }

  /** Listens for peers; port 0 takes a free one. @throws BlockswarmError ERR_PORT_IN_USE, ERR_LISTEN, ERR_ADDRESS */
  listen(host: string, port: number): { host: string; port: number } {
    return call(() => this.#inner.listen(host, port));
  }

  /** Binds the UDP port, for the DHT and, when `utp` is true, for peers. Errors as `listen`. */
  bindUdp(host: string, port: number, utp = false): { host: string; port: number } {
    return call(() => this.#inner.bindUdp(host, port, utp));
  }

  /** False when the queue is full or no port is bound: datagrams may get lost. */
  sendUdp(payload: Uint8Array, host: string, port: number): boolean {
    return this.#inner.sendUdp(payload, host, port);
  }

  /** Sends a request to a tracker (BEP 15), of which one answer is let in. False as `sendUdp`. */
  askUdpTracker(request: Uint8Array, host: string, port: number): boolean {
    return this.#inner.askUdpTracker(request, host, port);
  }

  /** Takes what happened; outcomes of `httpGet` go to whoever waits for them. */
  drain(): Batch {
    const batch = this.#inner.drain();
    for (const outcome of batch.http) this.#gets.settle(outcome);
    for (const answer of batch.mappings) this.#mappings.get(answer.request)?.(answer);
    return batch;
  }

  /**
   * Joins a multicast group on an interface; returns its number.
   * @throws BlockswarmError ERR_LISTEN, ERR_ADDRESS, ERR_PRIVACY behind a proxy
   */
  joinGroup(group: MulticastGroup): number {
    return call(() => this.#inner.joinGroup(group));
  }

  leaveGroup(group: number): void {
    this.#inner.leaveGroup(group);
  }

  /** False when it is not joined; datagrams may get lost. */
  sendToGroup(group: number, payload: Uint8Array): boolean {
    return this.#inner.sendToGroup(group, payload);
  }

  /**
   * Asks the gateway for a port, or to take one back; that it refuses is a result. Ends within ten seconds, while someone
   * drains.
   * @throws BlockswarmError ERR_ADDRESS, ERR_PRIVACY behind a proxy
   */
  async mapPort(request: MappingRequest): Promise<MappingAnswer> {
    const number = call(() => this.#inner.mapPort(request));
    return new Promise<MappingAnswer>((resolve) => this.#mappings.set(number, resolve)).finally(() =>
      this.#mappings.delete(number),
    );
  }

  /**
   * Asks for something short over HTTP(S), of which everything is bounded; that it cannot be had is a result (`busy`:
   * 64 are on their way). Resolves while someone drains.
   * @throws `signal.reason` when aborted
   */
  async httpGet(url: string, options: HttpGetOptions, signal?: AbortSignal): Promise<HttpResult> {
    return this.#gets.get(url, options, signal);
  }

  /** Addresses that are not met from now on, but for those that are allowed. Links with them end. */
  setBlocked(blocked: Readonly<bindings.AddressRanges>, allowed: Readonly<bindings.AddressRanges>): void {
    this.#inner.setBlocked(blocked, allowed);
  }

  /**
   * Begins to keep an onion service by Tor's control port: its `port` leads to `targetPort` of 127.0.0.1. By the cookie
   * file that Tor names, unless there is a password.
   */
  keepOnion(
    control: { readonly host: string; readonly port: number },
    password: Uint8Array | null,
    port: number,
    targetPort: number,
  ): void {
    call(() => this.#inner.keepOnion(control.host, control.port, password, port, targetPort));
  }

  /** The onion service: its host name while it is up, and else what is in the way; null when there shall be none. */
  onion(): { readonly host: string | null; readonly fault: string | null } {
    return { host: this.#inner.onionHost(), fault: this.#inner.onionFault() };
  }

  /** Where peers meet us in I2P, by name and as a whole destination; null while they cannot. */
  i2pAddress(): Readonly<bindings.I2pAddress> | null {
    return this.#inner.i2pAddress() ?? null;
  }

  /** The keys of our destination in I2P, once there is one: a secret. */
  i2pKeys(): string | null {
    return this.#inner.i2pKeys() ?? null;
  }

  /** What is wrong with the proxy, as long as nothing went through it since; null when nothing is, or there is none. */
  proxyFault(): string | null {
    return this.#inner.proxyFault() ?? null;
  }

  stats(): ReactorStats {
    return this.#inner.stats();
  }

  /** Closes all links and joins the threads. Idempotent. */
  async shutdown(): Promise<void> {
    this.#gets.shutdown();
    const none = { error: 'shutdown', externalPort: 0, lifetimeSeconds: 0 };
    for (const [request, settle] of this.#mappings) settle({ request, ...none });
    await this.#inner.shutdown();
  }

  // The commands of `LinkHost` (src/swarm/link-host.ts), which says what each does.

  setEncryption(mode: 'off' | 'allowed' | 'preferred' | 'required'): void {
    call(() => this.#inner.setEncryption(mode));
  }

  knowInfoHash(infoHash: Uint8Array): void {
    call(() => this.#inner.knowInfoHash(infoHash));
  }

  forgetInfoHash(infoHash: Uint8Array): void {
    call(() => this.#inner.forgetInfoHash(infoHash));
  }

  addTorrent(store?: { servable(): Uint8Array }): number {
    return store ? this.#inner.addTorrent(native(store)) : this.#inner.addTorrent();
  }

  attachStore(torrent: number, store: { servable(): Uint8Array }): void {
    call(() => this.#inner.attachStore(torrent, native(store)));
  }

  removeTorrent(torrent: number): void {
    this.#inner.removeTorrent(torrent);
  }

  connect(
    torrent: number,
    host: string,
    port: number,
    hello: bindings.Hello,
    how: { readonly transport?: 'tcp' | 'utp'; readonly encrypted?: boolean } = {},
  ): number {
    return call(() => this.#inner.connect(torrent, host, port, hello, how));
  }

  connectWebSeed(torrent: number, { paths, ...place }: Readonly<WebSeedPlace>): number {
    return this.#inner.connectWebSeed(torrent, { ...place, paths: [...paths] });
  }

  accept(link: number, torrent: number, hello: bindings.Hello): boolean {
    return call(() => this.#inner.accept(link, torrent, hello));
  }

  refuse(link: number): void {
    this.#inner.refuse(link);
  }

  close(link: number, reason: string): void {
    this.#inner.close(link, reason);
  }

  setChoked(link: number, choked: boolean): void {
    this.#inner.setChoked(link, choked);
  }

  setInterested(link: number, interested: boolean): void {
    this.#inner.setInterested(link, interested);
  }

  setRequestLimit(link: number, requests: number): void {
    this.#inner.setRequestLimit(link, requests);
  }

  createRateClass(): number {
    return this.#inner.createRateClass();
  }

  setRateClass(rateClass: number, rates: bindings.Rates): void {
    this.#inner.setRateClass(rateClass, rates);
  }

  dropRateClass(rateClass: number): void {
    this.#inner.dropRateClass(rateClass);
  }

  setLinkRateClasses(link: number, rateClasses: readonly number[]): void {
    if (rateClasses.length > 4)
      throw new RangeError(`"rateClasses" expected at most 4, got ${rateClasses.length}`);
    this.#inner.setLinkRateClasses(link, [...rateClasses]);
  }

  forgetHave(link: number, piece: number): void {
    this.#inner.forgetHave(link, piece);
  }

  fetch(link: number, piece: number, firstBlock: number, endBlock: number): boolean {
    return this.#inner.fetch(link, piece, firstBlock, endBlock);
  }

  cancel(link: number, piece: number, firstBlock: number, endBlock: number): void {
    this.#inner.cancel(link, piece, firstBlock, endBlock);
  }

  sendExtension(link: number, id: number, payload: Uint8Array): boolean {
    return this.#inner.sendExtension(link, id, payload);
  }

  requestHashes(link: number, piece: number, of: 'pieces' | 'leaves'): number {
    return this.#inner.requestHashes(link, piece, of);
  }

  sendHave(link: number, piece: number): void {
    this.#inner.sendHave(link, piece);
  }

  suggest(link: number, piece: number): void {
    this.#inner.suggest(link, piece);
  }

  allowFast(link: number, pieces: readonly number[]): void {
    this.#inner.allowFast(link, [...pieces]);
  }

  announceHave(torrent: number, piece: number): void {
    this.#inner.announceHave(torrent, piece);
  }
}

function native(store: { servable(): Uint8Array }): bindings.Store {
  if (!(store instanceof Store)) throw new TypeError('"store" expected a native Store');
  return store.inner;
}
