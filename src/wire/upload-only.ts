/**
 * `upload_only` as a message of its own, as libtorrent has it: whether the sender wants nothing, told anew when it changes
 * while connected. BEP 21 has it in the handshake only.
 */
export const UPLOAD_ONLY = 'upload_only';
export const UPLOAD_ONLY_BYTES = 1;

export function encodeUploadOnly(uploadOnly: boolean): Uint8Array {
  return Uint8Array.of(Number(uploadOnly));
}

/** `null` when malformed. */
export function parseUploadOnly(bytes: Uint8Array): boolean | null {
  return bytes.length === UPLOAD_ONLY_BYTES ? bytes[0] !== 0 : null;
}
