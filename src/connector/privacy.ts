/**
 * What a privacy mode means: the one place where it is decided. The native connector is made from it, once, and holds to
 * it: in every mode but `open` it has no way in it that leads past the proxy.
 */
import { isIPv4 } from 'node:net';
import {
  isLoopback,
  normalizeHost,
  type PeerAddress,
  parseHostPort,
  parsePeerAddress,
} from '../connector.js';
import { usage } from '../errors.js';

/**
 * `open`: straight. `proxy`: all through a SOCKS5 proxy. `tor`: likewise through Tor, with nothing that Tor cannot carry,
 * each torrent on circuits of its own. `i2p`: through I2P, by a SAM bridge, and to names of I2P only.
 */
export type PrivacyMode = 'open' | 'proxy' | 'tor' | 'i2p';

/** A proxy's user. Never shown. */
export interface ProxyLogin {
  readonly username: string;
  readonly password: string;
}

export interface PrivacyOptions {
  /** Default `open`. */
  readonly privacy?: PrivacyMode;
  /** `socks5://[user:password@]host:port`, the host an IP literal or `localhost`. */
  readonly proxy?: string;
  /** Instead of the user in `proxy`. */
  readonly proxyLogin?: ProxyLogin;
  /** `host:port` to listen on, as the user asked for it. */
  readonly listen?: string;
  /** With `tor`: `host:port` of its control port, for an onion service at which peers come in. */
  readonly torControl?: string;
  /** The password of the control port, as the file says; else the cookie file is used that Tor names. */
  readonly torPasswordFile?: string;
  /** With `i2p`: `host:port` of the SAM bridge, the host an IP literal or `localhost`. */
  readonly sam?: string;
  /** With `i2p`: a file with the keys of our destination, made when missing; else it is a new one each time. */
  readonly i2pKeys?: string;
  /** Says as little about the program as it can. In every mode but `open` it does anyway. */
  readonly anonymous?: boolean;
}

/** As the native reactor wants it. */
export type ConnectorChoice =
  | { readonly kind: 'direct' }
  | {
      readonly kind: 'socks5';
      readonly proxy: {
        readonly host: string;
        readonly port: number;
        readonly username?: Uint8Array;
        readonly password?: Uint8Array;
        readonly isolation?: Uint8Array;
        readonly udp: boolean;
        readonly listen: 'nowhere' | 'loopback' | 'anywhere';
      };
    }
  | { readonly kind: 'i2p'; readonly bridge: PeerAddress & { readonly keys?: string } };

/** What may be done, and how. */
export interface Privacy {
  readonly mode: PrivacyMode;
  readonly connector: ConnectorChoice;
  /** Where to listen; null: nowhere. */
  readonly listen: PeerAddress | null;
  /** Datagrams: the DHT, uTP, UDP trackers. */
  readonly udp: boolean;
  /** Who says where a name leads: DNS, a proxy that is given it as it is, or I2P, which knows its own only. */
  readonly names: 'dns' | 'proxy' | 'i2p';
  /** What only makes sense, and may only be, where nobody is to be hidden from: LSD, port mapping, DHT announcements. */
  readonly direct: boolean;
  readonly anonymous: boolean;
  /** Peers come in at an onion service, which leads to where we listen. */
  readonly onion: { readonly control: PeerAddress; readonly password: Uint8Array | null } | null;
}

const defaultListen = '0.0.0.0:0';
const torProxy = 'socks5://127.0.0.1:9050';
const samBridge = '127.0.0.1:7656';

/**
 * @throws BlockswarmError ERR_USAGE when the options contradict each other, ERR_ADDRESS
 */
export function privacyOf(options: PrivacyOptions, random: (length: number) => Uint8Array): Privacy {
  const { privacy: mode = 'open', proxy, proxyLogin, listen, anonymous = false } = options;
  const onion = mode === 'tor' ? onionOf(options) : null;
  if (mode !== 'tor' && (options.torControl !== undefined || options.torPasswordFile !== undefined))
    throw usage('--tor-control belongs to --privacy tor');
  if (mode !== 'i2p' && (options.sam !== undefined || options.i2pKeys !== undefined))
    throw usage('--sam and --i2p-keys belong to --privacy i2p');
  if (mode === 'i2p') return i2pOf(options);
  if (mode === 'open') {
    // Whoever names a proxy wants it used.
    if (proxy !== undefined || proxyLogin) throw usage('--proxy belongs to --privacy proxy or tor');
    const address = parseHostPort(listen ?? defaultListen, { anyPort: true });
    return {
      mode,
      connector: { kind: 'direct' },
      listen: address,
      udp: true,
      names: 'dns',
      direct: true,
      anonymous,
      onion,
    };
  }
  if (proxy === undefined && mode === 'proxy') throw usage('--privacy proxy needs --proxy');
  const { address, login: inUrl } = parseProxyUrl(proxy ?? torProxy);
  if (inUrl && proxyLogin) throw usage('the user of the proxy is given twice');
  const login = proxyLogin ?? inUrl;
  const asked = listen ?? (onion ? '127.0.0.1:0' : undefined);
  const wanted = asked === undefined ? null : parseHostPort(asked, { anyPort: true });
  if (mode === 'tor') {
    if (login) throw usage('no user for Tor: it tells our streams apart by it');
    if (wanted && !isLoopback(wanted.host)) throw usage('--privacy tor listens on loopback only');
    if (wanted && onion && wanted.host !== '127.0.0.1') throw usage('an onion service leads to 127.0.0.1');
  }
  const scope = !wanted ? 'nowhere' : mode === 'tor' ? 'loopback' : 'anywhere';
  const udp = mode === 'proxy';
  return {
    mode,
    connector: {
      kind: 'socks5',
      proxy: {
        ...address,
        ...(login && { username: Buffer.from(login.username), password: Buffer.from(login.password) }),
        ...(mode === 'tor' && { isolation: random(16) }),
        udp,
        listen: scope,
      },
    },
    listen: wanted,
    udp,
    names: 'proxy',
    direct: false,
    anonymous: true,
    onion,
  };
}

/** Peers come in through the bridge: nothing is listened to, and no datagram sent. */
function i2pOf({ proxy, proxyLogin, listen, sam = samBridge }: PrivacyOptions): Privacy {
  if (proxy !== undefined || proxyLogin) throw usage('--proxy belongs to --privacy proxy or tor');
  if (listen !== undefined)
    throw usage('no --listen with --privacy i2p: peers come in through the SAM bridge');
  const { host, port } = parseHostPort(sam.replace(/^localhost:/i, '127.0.0.1:'));
  if (normalizeHost(host) === null)
    throw usage('the SAM bridge must be an IP address: a name would have to be looked up');
  return {
    mode: 'i2p',
    connector: { kind: 'i2p', bridge: { host, port } },
    listen: null,
    udp: false,
    names: 'i2p',
    direct: false,
    anonymous: true,
    onion: null,
  };
}

function onionOf({ torControl, torPasswordFile }: PrivacyOptions): Privacy['onion'] {
  if (torControl === undefined) {
    if (torPasswordFile !== undefined) throw usage('--tor-password-file belongs to --tor-control');
    return null;
  }
  const control = parsePeerAddress(torControl.replace(/^localhost:/i, '127.0.0.1:'));
  return { control, password: torPasswordFile === undefined ? null : Buffer.from(torPasswordFile) };
}

/**
 * `socks5://[user:password@]host:port`. The text is in no error: it may hold a password.
 *
 * @throws BlockswarmError ERR_USAGE
 */
export function parseProxyUrl(text: string): { address: PeerAddress; login: ProxyLogin | null } {
  const match = /^socks5h?:\/\/(?:([^:@/]*):([^@/]*)@)?(\[[^\][@/]+\]|[^:@/[\]]+):(\d{1,5})\/?$/i.exec(text);
  const [, user, word, hostText = '', portText = ''] = match ?? [];
  const port = Number(portText);
  if (!match || port < 1 || port > 65535) {
    throw usage('expected a proxy such as socks5://127.0.0.1:9050 or socks5://user:password@127.0.0.1:1080');
  }
  const bare = hostText.replace(/^\[|\]$/g, '').toLowerCase();
  const host = bare === 'localhost' ? '127.0.0.1' : normalizeHost(bare);
  // Also what is written like a number.
  if (host === null || isIPv4(host) === hostText.startsWith('[')) {
    throw usage("the proxy's host must be an IP address: a name would have to be looked up past it");
  }
  if (user === undefined || word === undefined) return { address: { host, port }, login: null };
  return { address: { host, port }, login: proxyLogin(decoded(user), decoded(word)) };
}

/**
 * Of RFC 1929: 1 to 255 bytes each.
 *
 * @throws BlockswarmError ERR_USAGE
 */
export function proxyLogin(username: string, password: string): ProxyLogin {
  for (const text of [username, password]) {
    const { length } = Buffer.from(text);
    if (length < 1 || length > 255) throw usage("the proxy's user and password have 1 to 255 bytes each");
  }
  return { username, password };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw usage("the proxy's user or password is not URL-encoded");
  }
}
