/**
 * Which addresses may be dialled. Parsing and policy only: sockets are native.
 *
 * A host inside the program is always an IP literal in one spelling: dotted IPv4 (an IPv4-mapped IPv6 address is
 * turned into it), or compressed lower-case IPv6 without brackets and zone.
 */

import { lookup as dnsLookup } from 'node:dns/promises';
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { I2P_PORT, isI2pHash, isI2pName } from './connector/i2p-address.js';
import { BlockswarmError } from './errors.js';

/** Where a peer listens: `host` is an IP literal in its one spelling, `port` 1 to 65535. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

/** How an address became known: `asked` for by the user, or `learnt` from peers, the DHT or a tracker. */
export type AddressOrigin = 'asked' | 'learnt';

/** Resolves a host name to IP literals. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

/** The one spelling of an IP literal, or `null` for what is not one (names, zones, brackets). */
export function normalizeHost(host: string): string | null {
  if (isIPv4(host)) return host;
  if (!isIPv6(host) || host.includes('%')) return null;
  const compressed = new URL(`http://[${host}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(compressed);
  if (mapped === null) return compressed;
  const high = Number.parseInt(mapped[1] ?? '', 16);
  const low = Number.parseInt(mapped[2] ?? '', 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** `1.2.3.4:6881` or `[::1]:6881`: how an address is shown, and its key in tables. */
export function formatPeerAddress(address: PeerAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * Splits `1.2.3.4:6881`, `[::1]:6881` or `name.example:6881`. The host may still be a name: see
 * `resolvePeerAddress`. Port 0 is refused unless `anyPort` is set (an address to listen on may leave it open).
 *
 * @throws BlockswarmError ERR_ADDRESS
 */
export function parseHostPort(text: string, options: { anyPort?: boolean } = {}): PeerAddress {
  const match = /^(?:\[([^\][]+)\]|([^:\][\s/@]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535 || (port === 0 && options.anyPort !== true)) {
    throw new BlockswarmError('ERR_ADDRESS', `expected HOST:PORT or [IPv6]:PORT, got \`${text}\``);
  }
  const bracketed = match[1];
  const bare = match[2] ?? '';
  const host = normalizeHost(bracketed ?? bare);
  // Brackets hold IPv6 only; what ends like a number would be read as an odd spelling of IPv4 (127.1, 0x7f.1).
  const isName = bracketed === undefined && isHostname(bare);
  if (host === null ? !isName : (bracketed !== undefined) !== isIPv6(bracketed ?? bare)) {
    throw new BlockswarmError('ERR_ADDRESS', `not an IP address or host name in \`${text}\``);
  }
  return { host: host ?? bare.toLowerCase(), port };
}

/**
 * Parses an address whose host is an IP literal.
 *
 * @throws BlockswarmError ERR_ADDRESS
 */
export function parsePeerAddress(text: string): PeerAddress {
  const address = parseHostPort(text);
  if (normalizeHost(address.host) === null) {
    throw new BlockswarmError('ERR_ADDRESS', `expected an IP address and not a name in \`${text}\``);
  }
  return address;
}

/**
 * Parses an address and resolves a host name to all its IP literals, without doubles. With `proxyNames` a name stays
 * what it is: nothing is asked, whoever dials hands it on.
 *
 * @throws BlockswarmError ERR_ADDRESS when malformed or not resolvable; `signal.reason` when aborted
 */
export async function resolvePeerAddress(
  text: string,
  options: { signal?: AbortSignal; resolve?: Resolve; proxyNames?: boolean } = {},
): Promise<PeerAddress[]> {
  const { signal, resolve = resolveByDns, proxyNames = false } = options;
  signal?.throwIfAborted();
  const { host, port } = parseHostPort(text);
  if (normalizeHost(host) !== null || proxyNames) return [{ host, port }];
  // Asking DNS for it would tell whom we look for, and nobody there knows.
  if (/\.(?:onion|i2p)$/.test(host)) {
    throw new BlockswarmError('ERR_ADDRESS', `\`${host}\` can only be reached through a proxy (--privacy)`);
  }
  let literals: readonly string[];
  try {
    literals = await abortable(resolve(host), signal);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new BlockswarmError('ERR_ADDRESS', `cannot resolve \`${host}\``, { cause });
  }
  const hosts = new Set(literals.map(normalizeHost).filter((literal) => literal !== null));
  if (hosts.size === 0) throw new BlockswarmError('ERR_ADDRESS', `\`${host}\` has no address`);
  return [...hosts].map((literal) => ({ host: literal, port }));
}

export interface DialPolicyOptions {
  /** Where we listen; port 0 when not yet known. Its own address is never dialled. */
  listening?: PeerAddress | null;
  /** All goes through a proxy: names that the user gave may be dialled, and nobody else leads us into its network. */
  proxied?: boolean;
  /** All goes through I2P: there is nobody but names of I2P's, of which learnt ones are hashes. */
  i2p?: boolean;
}

/** Decides whether an address may be dialled. */
export class DialPolicy {
  private readonly own: string | null;
  private readonly loopback: boolean;
  private readonly proxied: boolean;
  private readonly i2p: boolean;

  constructor(options: DialPolicyOptions = {}) {
    const listening = options.listening ?? null;
    this.proxied = options.proxied ?? false;
    this.i2p = options.i2p ?? false;
    const host = listening === null ? null : normalizeHost(listening.host);
    this.own = listening === null || host === null ? null : formatPeerAddress({ host, port: listening.port });
    this.loopback = host !== null && isLoopback(host);
  }

  /**
   * Never: what is no unicast IP literal, port 0, our own listening address. Loopback and link-local addresses:
   * only when asked for, or loopback when we listen there ourselves; else any stranger could point us at the
   * services of our own machine. Through a proxy the same of private ones, and what they are is the proxy's to know:
   * behind a name that it resolves nobody looks here.
   */
  mayDial(address: PeerAddress, origin: AddressOrigin): boolean {
    const { port } = address;
    const host = normalizeHost(address.host);
    if (!Number.isInteger(port) || port < 1 || port > 65535) return false;
    if (this.i2p) return port === I2P_PORT && (origin === 'asked' ? isI2pName : isI2pHash)(address.host);
    if (host === null) return this.proxied && origin === 'asked' && isHostname(address.host);
    if (formatPeerAddress({ host, port }) === this.own) return false;
    const family = isIPv4(host) ? 'ipv4' : 'ipv6';
    if (NEVER.check(host, family)) return false;
    if (isLoopback(host)) return origin === 'asked' || this.loopback;
    if (this.proxied && PRIVATE.check(host, family)) return origin === 'asked';
    return origin === 'asked' || !LINK_LOCAL.check(host, family);
  }
}

const NEVER = new BlockList();
NEVER.addSubnet('0.0.0.0', 8, 'ipv4'); // "this network"
NEVER.addSubnet('224.0.0.0', 3, 'ipv4'); // multicast, reserved and broadcast
NEVER.addAddress('::', 'ipv6');
NEVER.addSubnet('ff00::', 8, 'ipv6');

const LINK_LOCAL = new BlockList();
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6');

/** Whether an IP literal is a loopback address. */
export function isLoopback(host: string): boolean {
  // Asked for each announcement and each address: a `BlockList` costs microseconds.
  const literal = normalizeHost(host);
  return literal === '::1' || (literal !== null && isIPv4(literal) && literal.startsWith('127.'));
}

const PRIVATE = new BlockList();
PRIVATE.addSubnet('10.0.0.0', 8, 'ipv4');
PRIVATE.addSubnet('172.16.0.0', 12, 'ipv4');
PRIVATE.addSubnet('192.168.0.0', 16, 'ipv4');
PRIVATE.addSubnet('100.64.0.0', 10, 'ipv4'); // behind a provider's NAT
PRIVATE.addSubnet('fc00::', 7, 'ipv6');

/** From where an IP literal means the same machine: only this one, this network, or everywhere. */
export type AddressScope = 'loopback' | 'private' | 'global';

export function addressScope(host: string): AddressScope {
  const literal = normalizeHost(host);
  if (literal === null) return 'global';
  const family = isIPv4(literal) ? 'ipv4' : 'ipv6';
  if (isLoopback(literal)) return 'loopback';
  return PRIVATE.check(literal, family) || LINK_LOCAL.check(literal, family) ? 'private' : 'global';
}

const SCOPES: readonly AddressScope[] = ['loopback', 'private', 'global'];

/**
 * Whether an address means the same machine to whoever sits at `from`: what a stranger out there calls 192.168.1.1 is
 * not ours, and nobody but ourselves may point us at our own machine.
 */
export function isMeantBy(host: string, from: string): boolean {
  return SCOPES.indexOf(addressScope(host)) >= SCOPES.indexOf(addressScope(from));
}

function isHostname(text: string): boolean {
  const labels = text.split('.');
  const last = labels.at(-1) ?? '';
  return (
    text.length <= 253 &&
    labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label)) &&
    !/^(?:[0-9]+|0x[0-9a-f]*)$/i.test(last)
  );
}

async function resolveByDns(hostname: string): Promise<string[]> {
  return (await dnsLookup(hostname, { all: true })).map(({ address }) => address);
}

/** `dns.lookup` cannot be cancelled: its answer is left behind when the signal fires first. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
