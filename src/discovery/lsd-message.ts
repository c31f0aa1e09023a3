/** What local service discovery says (BEP 14): in the form of an HTTP head, which torrents somebody has, and at which port. */
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import { fromHex, toHex } from '../units.js';

export interface LsdAnnouncement {
  /** 20 bytes each; v2 ones are cut to that. */
  readonly infoHashes: readonly Uint8Array[];
  readonly port: number;
  /** By which its sender knows it again; null when it has none. */
  readonly cookie: string | null;
}

/** BEP 14: an announcement is to stay under 1,400 bytes. */
const MAX_BYTES = 1400;
/** Names of torrents in one announcement: what has room, with the longest group and cookie. */
export const MAX_INFO_HASHES = 20;
/** Read of a longer one, if others pack more. */
const MAX_READ_INFO_HASHES = 32;
const MAX_LINES = 64;
const MAX_COOKIE = 64;

/** At most `MAX_INFO_HASHES` of them. */
export function encodeLsdAnnouncement(group: PeerAddress, announcement: LsdAnnouncement): Uint8Array {
  const { infoHashes, port, cookie } = announcement;
  const lines = [
    'BT-SEARCH * HTTP/1.1',
    `Host: ${formatPeerAddress(group)}`,
    `Port: ${port}`,
    ...infoHashes.slice(0, MAX_INFO_HASHES).map((infoHash) => `Infohash: ${toHex(infoHash)}`),
    ...(cookie === null ? [] : [`cookie: ${cookie}`]),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n\r\n`, 'latin1');
}

/** Null for what is no announcement. */
export function parseLsdAnnouncement(bytes: Uint8Array): LsdAnnouncement | null {
  if (bytes.length > MAX_BYTES + 100) return null;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const [first, ...lines] = text.split(/\r?\n/, MAX_LINES);
  if (first === undefined || !/^BT-SEARCH \* HTTP\/1\.[01]$/.test(first)) return null;
  const infoHashes = new Map<string, Uint8Array>();
  let port = 0;
  let cookie: string | null = null;
  for (const line of lines) {
    if (line === '') break;
    const [, name = '', value = ''] = /^([A-Za-z-]{1,32}):[ \t]*([^\t\r]*?)[ \t]*$/.exec(line) ?? [];
    switch (name.toLowerCase()) {
      case '':
        return null;
      case 'port':
        if (!/^[0-9]{1,5}$/.test(value)) return null;
        port = Number(value);
        break;
      case 'infohash': {
        const infoHash = fromHex(value, 20);
        if (infoHash === null || infoHashes.size >= MAX_READ_INFO_HASHES) return null;
        infoHashes.set(value.toLowerCase(), infoHash);
        break;
      }
      case 'cookie':
        if (value.length > MAX_COOKIE) return null;
        cookie = value;
        break;
      default: // Host, and what is yet to come.
    }
  }
  if (port < 1 || port > 65535 || infoHashes.size === 0) return null;
  return { infoHashes: [...infoHashes.values()], port, cookie };
}
