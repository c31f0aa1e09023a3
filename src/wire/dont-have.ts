/** `lt_donthave` of BEP 54: a peer lost a piece that it had announced. */
export const LT_DONTHAVE = 'lt_donthave';
export const DONT_HAVE_BYTES = 4;

export function encodeDontHave(piece: number): Uint8Array {
  const bytes = Buffer.alloc(DONT_HAVE_BYTES);
  bytes.writeUInt32BE(piece);
  return bytes;
}

/** The piece, unchecked; `null` when malformed. */
export function parseDontHave(bytes: Uint8Array): number | null {
  if (bytes.length !== DONT_HAVE_BYTES) return null;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(0);
}
