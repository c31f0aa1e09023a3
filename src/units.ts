/**
 * Numbers and hashes as text, at the edge of the program: IEC sizes, rates, durations, hex, base32, and Bitcoin's
 * reversed hash text. Inside, hashes are bytes in internal order and sizes are plain numbers of bytes.
 */

const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

/** `1.5 GiB`: three significant digits or all of a whole number of bytes. */
export function formatBytes(bytes: number): string {
  if (!(bytes >= 0)) throw new RangeError(`"bytes" expected >= 0, got ${bytes}`);
  let value = bytes;
  let unit = 0;
  // 999.5 of a unit would round to 1000: shown in the next one instead.
  while (value >= 999.5 && unit < IEC.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${IEC[unit]}`;
}

/** `12.3 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** The two largest units of a duration: `2 h 05 min`, `1 min 30 s`, `12.3 s`, `450 ms`; `-` when not finite. */
export function formatDuration(durationMs: number): string {
  if (Number.isNaN(durationMs) || durationMs < 0) {
    throw new RangeError(`"durationMs" expected >= 0, got ${durationMs}`);
  }
  if (!Number.isFinite(durationMs)) return '-';
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`;
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
  if (hours > 0) return `${hours} h ${two(minutes % 60)} min`;
  return `${minutes} min ${two(seconds % 60)} s`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Bytes of a hex text in either case, or `null` when it is not hex or not `lengthBytes` long. */
export function fromHex(text: string, lengthBytes?: number): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null;
  if (lengthBytes !== undefined && text.length !== lengthBytes * 2) return null;
  return new Uint8Array(Buffer.from(text, 'hex'));
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** Lower-case base32 without padding (RFC 4648). */
export function toBase32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups.map((group) => BASE32[Number.parseInt(group.padEnd(5, '0'), 2)]).join('');
}

/** `lengthBytes` bytes of a base32 text in either case without padding, or `null` when it is none of that length. */
export function fromBase32(text: string, lengthBytes: number): Uint8Array | null {
  if (text.length !== Math.ceil((lengthBytes * 8) / 5) || !/^[a-z2-7]*$/i.test(text)) return null;
  const groups = Array.from(text.toLowerCase(), (character) => BASE32.indexOf(character));
  const bits = groups.map((group) => group.toString(2).padStart(5, '0')).join('');
  const byteAt = (index: number) => Number.parseInt(bits.slice(8 * index, 8 * index + 8), 2);
  return Uint8Array.from({ length: lengthBytes }, (_, index) => byteAt(index));
}

/** A Bitcoin hash as people read it: the hex of its bytes reversed. `hash` is 32 bytes in internal order. */
export function displayHash(hash: Uint8Array): string {
  return toHex(Uint8Array.from(hash).reverse());
}

/** The 32 bytes, in internal order, of a hash as people write it, or `null` when it is not 64 hex characters. */
export function parseHash(text: string): Uint8Array | null {
  return fromHex(text, 32)?.reverse() ?? null;
}

/** Whether two byte strings are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
