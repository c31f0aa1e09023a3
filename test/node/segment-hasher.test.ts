/** In which order segments are hashed, and what becomes of those that cannot be. */
import t from 'tap';
import { BlockswarmError } from '../../src/errors.js';
import type { HashPace, ResumeDb } from '../../src/native.js';
import { SegmentHasher } from '../../src/node/segment-hasher.js';
import type { HashOptions, SegmentSource, SegmentTorrent } from '../../src/node/source.js';

const { signal } = new AbortController();

/** A hasher over files that this test breaks and mends, and a clock that only it moves. */
function scene() {
  const made: string[] = [];
  const warnings: string[] = [];
  const broken = new Map<string, Error>();
  const scenery = { nowMs: 0, hashing: async (_: string, __: AbortSignal) => {} };
  const hash = (kind: string) => async (index: number, options: HashOptions) => {
    const name = `${kind} ${index}`;
    await scenery.hashing(name, options.signal);
    options.signal.throwIfAborted();
    const error = broken.get(name);
    if (error) throw error;
    return { name } as SegmentTorrent;
  };
  const source = { blocks: hash('blocks'), spent: hash('spent') } as unknown as SegmentSource;
  const hasher = new SegmentHasher({
    source,
    resumeDb: {} as ResumeDb,
    report: { progress: () => {}, warn: (text) => warnings.push(text), event: () => {} },
    clock: () => scenery.nowMs,
    pace: {} as HashPace,
    made: async (_, __, { name }) => void made.push(name),
    failed: () => {},
  });
  return { hasher, made, warnings, broken, scenery };
}

t.test('segments are hashed in order, blocks before spent files', async (t) => {
  const { hasher, made } = scene();
  t.equal(hasher.dueMs, null);
  hasher.want(0);
  hasher.want(1);
  await hasher.drain(signal);
  t.same(made, ['blocks 0', 'spent 0', 'blocks 1', 'spent 1']);
  t.equal(hasher.dueMs, null);
});

t.test('what fails is passed over, told of once, and tried again ever later', async (t) => {
  const { hasher, made, warnings, broken, scenery } = scene();
  broken.set('spent 0', new BlockswarmError('ERR_SPENT_MISSING', 'segment 0: not written yet'));
  hasher.want(0);
  hasher.want(1);
  await hasher.drain(signal);
  t.same(made, ['blocks 0', 'blocks 1', 'spent 1']);
  t.equal(hasher.dueMs, 5000);
  for (const nextMs of [15_000, 35_000]) {
    scenery.nowMs = hasher.dueMs ?? 0;
    await hasher.drain(signal);
    t.equal(hasher.dueMs, nextMs);
  }
  t.same(warnings, ['segment 0: not written yet']);
  while (hasher.dueMs !== null) {
    scenery.nowMs = hasher.dueMs;
    await hasher.drain(signal);
  }
  t.ok(scenery.nowMs > 2 * 60 * 60_000, 'given up after hours');
  broken.clear();
  hasher.retry();
  await hasher.drain(signal);
  t.equal(made.at(-1), 'spent 0', 'but for when something has changed');
});

t.test('a segment that left the chain is not hashed, also when it had begun', async (t) => {
  const { hasher, made, warnings, scenery } = scene();
  scenery.hashing = async (name) => {
    if (name !== 'spent 1') return;
    scenery.hashing = async () => {};
    hasher.dropFrom(1);
    hasher.want(1);
  };
  for (const index of [0, 1, 2]) hasher.want(index);
  await hasher.drain(signal);
  t.same(made, ['blocks 0', 'spent 0', 'blocks 1', 'blocks 1', 'spent 1']);
  t.same(warnings, []);
});

t.test('its signal ends it', async (t) => {
  const { hasher, scenery } = scene();
  const stop = new AbortController();
  scenery.hashing = async () => stop.abort(new Error('enough'));
  hasher.want(0);
  await t.rejects(hasher.drain(stop.signal), { message: 'enough' });
});
