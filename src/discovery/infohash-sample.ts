/** What DHT nodes say of the infohashes that they keep (BEP 51). */
import { bytesOf, integerOf, type KrpcReply } from './krpc.js';
import { ID_BYTES } from './node-id.js';

/** BEP 51: at most six hours. */
const MAX_INTERVAL_S = 21_600;
const MAX_SAMPLES_BYTES = 2000;

/** What a node said that it keeps (BEP 51). */
export interface InfohashSample {
  readonly infoHashes: readonly Uint8Array[];
  /** Infohashes that it keeps in all. */
  readonly total: number;
  /** It gives the same sample until then. */
  readonly intervalMs: number;
}

/** `null` for a reply without a sample. */
export function parseSample({ values }: KrpcReply): InfohashSample | null {
  const samples = bytesOf(values, 'samples', 0, MAX_SAMPLES_BYTES);
  if (!samples || samples.length % ID_BYTES !== 0) return null;
  const infoHashes = Array.from({ length: samples.length / ID_BYTES }, (_, at) =>
    samples.slice(at * ID_BYTES, (at + 1) * ID_BYTES),
  );
  const intervalS = Math.min(MAX_INTERVAL_S, Math.max(0, integerOf(values, 'interval') ?? 0));
  const total = Math.max(infoHashes.length, integerOf(values, 'num') ?? 0);
  return { infoHashes, total, intervalMs: intervalS * 1000 };
}
