/**
 * The child of Core's engine, a program of its own: started by `parent.ts` with an IPC channel, it opens one
 * data directory, feeds it what it is told, and flushes when told or when the channel closes. Core's asserts may
 * end it at any moment; whoever lies on the other side lives on, and what was flushed stays good.
 *
 * It never outlives its parent: a closed channel, whatever closed it, ends the feed after the block it is at,
 * flushes and exits. Ctrl-C and a closed terminal reach the whole process group: they are the parent's to act on, so
 * they are ignored here.
 */
import { Engine } from '../../native.js';
import { toHex } from '../../units.js';
import { bytesOf, type EngineReply, type EngineRequest, messageText, parseRequest } from './protocol.js';

type Open = Extract<EngineRequest, { kind: 'open' }>;
type Feed = Extract<EngineRequest, { kind: 'feed' }>;

// The parent keeps two feeds and a few questions in flight; more is a fault on its side.
const maxQueued = 16;

let opened: { readonly engine: Engine; readonly how: Open } | null = null;
let opening = false;
let quitting = false;
let feeding: number | null = null;
let queued = 0;
let handled = 0;
let last: Promise<void> = Promise.resolve();
const stopped = new Set<number>();

function reply(message: EngineReply): void {
  // A parent that is gone shows as 'disconnect'.
  if (process.connected) process.send?.(message, undefined, {}, () => {});
}

async function open(how: Open): Promise<void> {
  opening = true;
  try {
    const engine = await Engine.open(how.datadirNet, how.network, how.workerThreads);
    opened = { engine, how };
  } finally {
    opening = false;
  }
}

function current(): Engine {
  if (!opened) throw new Error('ERR_ENGINE: the engine is not open');
  return opened.engine;
}

async function close(): Promise<void> {
  const engine = opened?.engine;
  opened = null;
  await engine?.close();
}

function tip(id: number): EngineReply {
  const { height, hash, assumedValidHeight } = current().tip();
  return {
    kind: 'tip',
    id,
    tip: { height, hash: toHex(hash), assumedValidHeight: assumedValidHeight ?? null },
  };
}

async function feed(request: Feed): Promise<EngineReply> {
  const { id, path, offsetBytes, xorKey } = request;
  // A feed that was stopped before its turn feeds nothing, and says so.
  const lengthBytes = stopped.delete(id) ? 0 : request.lengthBytes;
  feeding = id;
  try {
    const key = xorKey === null ? undefined : bytesOf(xorKey);
    const fed = await current().feed(path, offsetBytes, lengthBytes, key);
    const { blocks, bytes, rejected } = fed;
    const { height, hash, assumedValidHeight } = current().tip();
    return {
      kind: 'fed',
      id,
      blocks,
      bytes,
      tip: { height, hash: toHex(hash), assumedValidHeight: assumedValidHeight ?? null },
      rejected: rejected
        ? {
            hash: rejected.hash ? toHex(rejected.hash) : null,
            offsetBytes: rejected.offsetBytes,
            kind: rejected.kind,
            reason: messageText(rejected.reason),
          }
        : null,
      stopped: fed.stopped || lengthBytes < request.lengthBytes,
    };
  } finally {
    feeding = null;
    stopped.delete(id);
  }
}

async function answer(request: EngineRequest): Promise<EngineReply> {
  const { id } = request;
  switch (request.kind) {
    case 'open':
      if (opened) throw new Error('ERR_ENGINE: the engine is open already');
      await open(request);
      return tip(id);
    case 'feed':
      return feed(request);
    case 'knows':
      return { kind: 'known', id, known: current().knows(bytesOf(request.hash)) };
    case 'checkpoint': {
      const how = opened?.how;
      if (!how) throw new Error('ERR_ENGINE: the engine is not open');
      await close();
      await open(how);
      return tip(id);
    }
    default:
      await close();
      return { kind: 'closed', id };
  }
}

/** The code and text of what was thrown; native errors may carry the code as the text's prefix. */
function fault(id: number, error: unknown): EngineReply {
  const text = error instanceof Error ? error.message : String(error);
  const prefix = /^(ERR_[A-Z_]+): /.exec(text);
  const code = prefix?.[1] ?? (error instanceof Error && 'code' in error ? String(error.code) : 'ERR_NATIVE');
  return { kind: 'error', id, code, message: messageText(prefix ? text.slice(prefix[0].length) : text) };
}

async function handle(request: EngineRequest): Promise<void> {
  if (quitting) return;
  handled = request.id;
  const message = await answer(request).catch((error: unknown) => fault(request.id, error));
  reply(message);
  if (message.kind === 'closed') quit();
}

/** Ends the program: the feed that runs stops at its next block, then everything is flushed. */
function quit(): void {
  if (quitting) return;
  quitting = true;
  // Opening connects what was stored, which may take minutes, and has nothing of ours to flush.
  if (opening) process.kill(process.pid, 'SIGKILL');
  if (feeding !== null) opened?.engine.stop();
  void last.then(close).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}

process.on('message', (message: unknown) => {
  const request = parseRequest(message);
  if (!request || queued >= maxQueued) {
    console.error(request ? 'too many requests at once' : 'not a request');
    quit();
    return;
  }
  if (request.kind === 'stop') {
    if (feeding === request.id) opened?.engine.stop();
    else if (request.id > handled) stopped.add(request.id);
    return;
  }
  queued++;
  last = last.then(() => handle(request)).finally(() => queued--);
});
process.on('disconnect', quit);
process.on('SIGTERM', quit);
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
if (!process.connected) {
  console.error(
    "This program is Core's validation engine for blockswarm; it is started by blockswarm itself.",
  );
  process.exit(2);
}
