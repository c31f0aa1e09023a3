/**
 * What parent and child of Core's engine say to each other: one JSON object a message, over the IPC channel
 * that Node opens between a process and its fork. Paths, offsets, heights and hashes only, never block bytes.
 *
 * Every request but `stop` has one reply with its `id`; the child answers in the order asked. Bytes are lower-case
 * hex; hashes in internal order. Each side checks the shape of all it receives and ends the talk at a fault.
 */

export type EngineRequest =
  | {
      readonly kind: 'open';
      readonly id: number;
      readonly datadirNet: string;
      readonly network: string;
      readonly workerThreads: number;
    }
  | {
      readonly kind: 'feed';
      readonly id: number;
      readonly path: string;
      readonly offsetBytes: number;
      readonly lengthBytes: number;
      readonly xorKey: string | null;
    }
  | { readonly kind: 'knows'; readonly id: number; readonly hash: string }
  | { readonly kind: 'checkpoint'; readonly id: number }
  | { readonly kind: 'close'; readonly id: number }
  /** Ends the feed of that id after the block it is at, or before it begins. Has no reply of its own. */
  | { readonly kind: 'stop'; readonly id: number };

export interface TipMessage {
  readonly height: number;
  readonly hash: string;
  readonly assumedValidHeight: number | null;
}

export interface RejectedMessage {
  readonly hash: string | null;
  readonly offsetBytes: number;
  readonly kind: string;
  readonly reason: string;
}

export type EngineReply =
  /** To `open` and `checkpoint`. */
  | { readonly kind: 'tip'; readonly id: number; readonly tip: TipMessage }
  | {
      readonly kind: 'fed';
      readonly id: number;
      readonly blocks: number;
      readonly bytes: number;
      readonly tip: TipMessage;
      readonly rejected: RejectedMessage | null;
      readonly stopped: boolean;
    }
  | { readonly kind: 'known'; readonly id: number; readonly known: boolean }
  | { readonly kind: 'closed'; readonly id: number }
  | { readonly kind: 'error'; readonly id: number; readonly code: string; readonly message: string };

type Check = (value: unknown) => boolean;
type Shape = { readonly [key: string]: Check };

// Longer texts than any path or reason; a message is parsed before it can be refused, so this only bounds use.
const maxTextLength = 16_384;

const text: Check = (value) => typeof value === 'string' && value.length <= maxTextLength;
const flag: Check = (value) => typeof value === 'boolean';
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const hex =
  (minBytes: number, maxBytes: number): Check =>
  (value) =>
    typeof value === 'string' &&
    /^(?:[0-9a-f]{2})*$/.test(value) &&
    value.length >= 2 * minBytes &&
    value.length <= 2 * maxBytes;
const hash = hex(32, 32);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const shaped =
  (shape: Shape): Check =>
  (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    const entries = Object.entries(value);
    return (
      entries.length === Object.keys(shape).length &&
      entries.every(([key, field]) => Object.hasOwn(shape, key) && shape[key]?.(field) === true)
    );
  };

const tip = shaped({ height: count, hash, assumedValidHeight: orNull(count) });
const rejected = shaped({ hash: orNull(hash), offsetBytes: count, kind: text, reason: text });

const requests: { readonly [kind in EngineRequest['kind']]: Shape } = {
  open: { datadirNet: text, network: text, workerThreads: count },
  feed: { path: text, offsetBytes: count, lengthBytes: count, xorKey: orNull(hex(8, 8)) },
  knows: { hash },
  checkpoint: {},
  close: {},
  stop: {},
};

const replies: { readonly [kind in EngineReply['kind']]: Shape } = {
  tip: { tip },
  fed: { blocks: count, bytes: count, tip, rejected: orNull(rejected), stopped: flag },
  known: { known: flag },
  closed: {},
  error: { code: text, message: text },
};

/** The request, or `null` for anything that is not exactly one. */
export function parseRequest(message: unknown): EngineRequest | null {
  return isMessage(message, requests) ? (message as EngineRequest) : null;
}

/** The reply, or `null` for anything that is not exactly one. */
export function parseReply(message: unknown): EngineReply | null {
  return isMessage(message, replies) ? (message as EngineReply) : null;
}

function isMessage(message: unknown, shapes: { readonly [kind: string]: Shape }): boolean {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false;
  const { kind } = message;
  if (typeof kind !== 'string' || !Object.hasOwn(shapes, kind)) return false;
  return shaped({ ...shapes[kind], kind: text, id: count })(message);
}

/** Bytes of a hex text that the shape check passed. */
export function bytesOf(hexText: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hexText, 'hex'));
}

/** Cuts a text to what a message may carry. */
export function messageText(value: string): string {
  return value.slice(0, maxTextLength);
}
