import t from 'tap';
import type { Env } from '../../src/cli/env.js';
import { Output, type OutputOptions, toJson } from '../../src/cli/output.js';

function output(options: OutputOptions) {
  const out: string[] = [];
  const err: string[] = [];
  const env = { errColumns: 0, out: (text: string) => out.push(text), err: (text: string) => err.push(text) };
  return { output: new Output(env as unknown as Env, options), out, err };
}

t.test('JSON says its schema first, and writes integers over 2^53 as strings', async (t) => {
  t.equal(
    toJson({ a: 1, b: 2n, c: 2n ** 60n, d: 2 ** 53, e: 1.5 }),
    '{"schema":1,"a":1,"b":2,"c":"1152921504606846976","d":"9007199254740992","e":1.5}',
  );
});

t.test('data goes to stdout in the form asked for, all else to stderr', async (t) => {
  const warning = '{"schema":1,"event":"warning","message":"careful"}\n';
  for (const [options, ...wanted] of [
    [{}, 'seven\n'],
    [{ json: true }, '{"schema":1,"n":7}\n'],
    [{ jsonLines: true }, '{"schema":1,"event":"result","n":7}\n', warning],
  ] as const) {
    const { output: made, out, err } = output(options);
    made.result({ n: 7 }, () => 'seven');
    made.warn('careful');
    t.same(out, wanted);
    t.same(err, ['warning: careful\n'], 'a warning is never silenced');
  }
});

t.test(
  'events are a stream with --json-lines, remarks without, and nothing with --json or --quiet',
  async (t) => {
    for (const [options, wantedOut, wantedErr] of [
      [{ jsonLines: true }, ['{"schema":1,"event":"x"}\n'], []],
      [{}, [], ['it happened\n']],
      [{ json: true }, [], []],
      [{ quiet: true }, [], []],
    ] as const) {
      const { output: made, out, err } = output(options);
      made.event({ event: 'x' }, 'it happened');
      t.same([out, err], [wantedOut, wantedErr]);
    }
  },
);
