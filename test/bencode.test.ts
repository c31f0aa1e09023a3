import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import {
  type BencodeValue,
  bytesText,
  decode,
  decodePrefix,
  decodeShallow,
  encode,
  isDict,
  keyText,
  textKey,
} from '../src/bencode.js';
import { BlockswarmError } from '../src/errors.js';

const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** The code of what decoding throws, or `null` when it does not. */
function fault(bytes: Uint8Array, limits = {}): string | null {
  try {
    decode(bytes, limits);
    return null;
  } catch (error) {
    if (error instanceof BlockswarmError) return error.code;
    throw error;
  }
}

const anyKey = fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const anyValue = fc.letrec<{ value: BencodeValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.maxSafeInteger().map((integer) => integer + 0),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
    fc.uint8Array({ maxLength: 64 }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.array(fc.tuple(anyKey, tie('value')), { maxLength: 6 }).map((entries) => new Map(entries)),
  ),
})).value;

t.test('reads each kind of value', async (t) => {
  t.equal(decode(latin1('i0e')), 0);
  t.equal(decode(latin1('i-42e')), -42);
  t.equal(decode(latin1('i9007199254740991e')), Number.MAX_SAFE_INTEGER);
  t.equal(decode(latin1('i9007199254740992e')), 2n ** 53n);
  t.equal(decode(latin1('i18446744073709551615e')), 2n ** 64n - 1n);
  t.equal(decode(latin1('i-9223372036854775808e')), -(2n ** 63n));
  t.same(decode(latin1('0:')), new Uint8Array(0));
  t.same(decode(latin1('4:spam')), latin1('spam'));
  t.same(decode(latin1('l4:spami1ee')), [latin1('spam'), 1]);
  t.same(
    decode(latin1('d1:ai1e1:bdee')),
    new Map<string, unknown>([
      ['a', 1],
      ['b', new Map()],
    ]),
  );
});

t.test('strings are views into the input', async (t) => {
  const bytes = latin1('4:spam');
  const value = decode(bytes) as Uint8Array;
  t.equal(value.buffer, bytes.buffer);
});

t.test('refuses what is not canonical', async (t) => {
  const refused = {
    'no input': '',
    'leading zero of a length': '01:a',
    'length 00': '00:',
    'negative length, on which npm bencode loops for ever': 'l-3:e',
    'signed length': '+1:a',
    'string beyond the end': '5:spam',
    'length beyond any input': '99999999999999999999:a',
    'a lone colon': ':',
    'length without colon': '4',
    'empty integer': 'ie',
    'negative zero': 'i-0e',
    'leading zero': 'i01e',
    'leading zero after a sign': 'i-01e',
    'plus sign': 'i+1e',
    'a fraction': 'i1.5e',
    'an exponent': 'i1e5e',
    'a space': 'i 1e',
    'an integer without end': 'i12',
    '65 bits': 'i18446744073709551616e',
    'less than 64 bits signed': 'i-9223372036854775809e',
    'many digits': `i${'9'.repeat(1000)}e`,
    'unsorted keys': 'd1:bi1e1:ai1ee',
    'double keys': 'd1:ai1e1:ai2ee',
    'an integer as key': 'di1ei1ee',
    'a key without value': 'd1:ae',
    'a list without end': 'li1e',
    'a dictionary without end': 'd1:ai1e',
    'bytes after the end': 'i1ei1e',
    'an end alone': 'e',
    'an unknown head': 'x',
  };
  for (const [what, text] of Object.entries(refused)) t.equal(fault(latin1(text)), 'ERR_BENCODE', what);
});

t.test('says at which offset', async (t) => {
  t.throws(() => decode(latin1('d1:bi1e1:ai1ee')), /offset 7$/);
  t.throws(() => decode(latin1('i1ex')), /after the end at offset 3$/);
});

t.test('holds its limits', async (t) => {
  t.equal(fault(latin1('lllleeee'), { maxDepth: 4 }), null);
  t.equal(fault(latin1('lllleeee'), { maxDepth: 3 }), 'ERR_BENCODE');
  t.equal(fault(latin1('i1e'), { maxDepth: 0 }), null);
  t.equal(fault(latin1('li1ei2ee'), { maxTokens: 3 }), null);
  t.equal(fault(latin1('li1ei2ee'), { maxTokens: 2 }), 'ERR_BENCODE');
  t.equal(fault(latin1('4:spam'), { maxBytes: 6 }), null);
  t.equal(fault(latin1('4:spam'), { maxBytes: 5 }), 'ERR_BENCODE');
  t.equal(fault(latin1('l'.repeat(100_000))), 'ERR_BENCODE', 'depth is refused, not recursed into');
  t.equal(fault(latin1(`l${'i1e'.repeat(20_000)}e`)), 'ERR_BENCODE');
});

t.test('keys keep any bytes, and no key is special', async (t) => {
  const dict = decode(latin1('d9:__proto__i1e2:\xff\xfei2ee'));
  t.ok(isDict(dict));
  t.same(
    [...(dict as Map<string, number>)],
    [
      ['__proto__', 1],
      ['\xff\xfe', 2],
    ],
  );
  t.equal(keyText(textKey('größe ₿')), 'größe ₿');
  t.equal(keyText('\xff\xfe'), null);
  t.equal(bytesText(latin1('\xef\xbb\xbfa')), '\ufeffa', 'a byte order mark is kept: names must differ');
});

t.test('a prefix is read with its end', async (t) => {
  const bytes = latin1('d8:msg_typei1eeINFO');
  const { value, endOffset } = decodePrefix(bytes);
  t.same(value, new Map([['msg_type', 1]]));
  t.same(bytes.subarray(endOffset), latin1('INFO'));
  t.throws(() => decodePrefix(bytes, { maxBytes: 10 }), { code: 'ERR_BENCODE' });
});

t.test('a dictionary is read one level deep, and checked to the bottom', async (t) => {
  const bytes = latin1('d1:ali1e2:xxe1:bd1:ci2eee');
  t.same(
    [...decodeShallow(bytes)],
    [
      ['a', latin1('li1e2:xxe')],
      ['b', latin1('d1:ci2ee')],
    ],
  );
  t.equal(decodeShallow(bytes).get('a')?.buffer, bytes.buffer, 'its values are views into the input');
  for (const text of ['le', 'i1e', '1:a', '', 'd1:ai1ee1:b', 'd1:ad1:bi1e1:bi1eee']) {
    t.throws(() => decodeShallow(latin1(text)), { code: 'ERR_BENCODE' }, text);
  }
  t.throws(() => decodeShallow(bytes, { maxTokens: 5 }), { code: 'ERR_BENCODE' });
  t.throws(() => decodeShallow(bytes, { maxDepth: 1 }), { code: 'ERR_BENCODE' });
  t.ok(decodeShallow(bytes, { maxTokens: 6, maxDepth: 2 }));
});

t.test('reading one level deep refuses exactly what reading all of it refuses', async () => {
  const letters = fc.array(fc.constantFrom(...'deli0123:-ab'), { maxLength: 30 }).map((all) => all.join(''));
  const bytes = fc.oneof(
    anyValue.map(encode),
    letters.map((text) => latin1(`d1:a${text}e`)),
  );
  const limits = { maxDepth: 6, maxTokens: 20 };
  const code = (input: Uint8Array) => {
    try {
      return [...decodeShallow(input, limits)].every(([, value]) => fault(value, limits) === null)
        ? null
        : 'differs';
    } catch (error) {
      return (error as BlockswarmError).code;
    }
  };
  fc.assert(
    fc.property(bytes, (input) => input[0] !== 0x64 || code(input) === fault(input, limits)),
    { numRuns: 2000 },
  );
});

t.test('three million values take no memory, and one more is refused', async (t) => {
  const list = (values: number) => latin1(`d1:al${'de'.repeat(values - 2)}ee`);
  const limits = { maxBytes: 2 ** 24, maxTokens: 3_000_000 };
  t.equal(decodeShallow(list(3_000_000), limits).size, 1);
  t.throws(() => decodeShallow(list(3_000_001), limits), {
    code: 'ERR_BENCODE',
    message: /more than 3000000/,
  });
});

t.test('writes what has one spelling', async (t) => {
  const text = (value: Parameters<typeof encode>[0]) => Buffer.from(encode(value)).toString('latin1');
  t.equal(text(-0), 'i0e');
  t.equal(text('₿'), '3:\xe2\x82\xbf');
  t.equal(
    text(
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
    ),
    'd1:ai2e1:bi1ee',
  );
  t.equal(
    text(
      new Map([
        ['\xff', 1],
        ['z', 2],
      ]),
    ),
    'd1:zi2e1:\xffi1ee',
    'keys sort by bytes',
  );
  for (const value of [1.5, Number.NaN, 2 ** 53, 2n ** 64n, new Map([['₿', 1]])]) {
    t.throws(() => encode(value as number), TypeError, String(value));
  }
  t.throws(() => encode(null as never), TypeError);
  t.throws(() => encode([undefined as never]), TypeError);
});

t.test('decode undoes encode', async () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encode(value);
      const limits = { maxDepth: 1000, maxTokens: 1e6 };
      return Buffer.from(encode(decode(bytes, limits))).equals(bytes) && same(decode(bytes, limits), value);
    }),
  );
});

t.test('no strict prefix of a value is a value', async () => {
  fc.assert(
    fc.property(anyValue, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (value, where) => {
      const bytes = encode(value);
      return fault(bytes.subarray(0, Math.floor(bytes.length * where))) === 'ERR_BENCODE';
    }),
  );
});

t.test('any bytes are a canonical value or ERR_BENCODE', async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .array(fc.constantFrom(...'deli0123:-9ae'), { maxLength: 40 })
      .map((letters) => latin1(letters.join(''))),
  );
  fc.assert(
    fc.property(bytes, (input) => {
      if (fault(input) === 'ERR_BENCODE') return true;
      return Buffer.from(encode(decode(input))).equals(input);
    }),
    { numRuns: 2000 },
  );
});

const CORPORA = [
  'anacrolix-torrent/bencode/testdata/fuzz',
  'anacrolix-torrent/metainfo/testdata',
  'anacrolix-dht/krpc/testdata/fuzz',
].map((path) => join('../shared/data/bittorrent', path));

t.test(
  'fuzz corpora of anacrolix',
  { skip: !existsSync(CORPORA[0] ?? '') && 'no ../shared/data' },
  async (t) => {
    let inputs = 0;
    for (const corpus of CORPORA) {
      for (const entry of readdirSync(corpus, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const file = readFileSync(join(entry.parentPath, entry.name));
        const input = entry.name.endsWith('.torrent') ? file : goBytes(file.toString('utf8'));
        inputs += 1;
        if (fault(input, { maxTokens: 1e6 }) === null) {
          t.same(encode(decode(input, { maxTokens: 1e6 })), new Uint8Array(input), entry.name);
        }
      }
    }
    t.ok(inputs >= 20, `${inputs} inputs`);
  },
);

/** The bytes in a file of Go's fuzzing format: `[]byte("…")` with Go's escapes. */
function goBytes(text: string): Uint8Array {
  const literal = /\[\]byte\("(.*)"\)/s.exec(text)?.[1] ?? '';
  const short: Record<string, number> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92, '"': 34 };
  const parts: Buffer[] = [];
  for (const [token] of literal.matchAll(/\\x..|\\u....|\\U.{8}|\\.|[^\\]/gsu)) {
    if (token.startsWith('\\x')) parts.push(Buffer.from(token.slice(2), 'hex'));
    else if (/^\\u/i.test(token))
      parts.push(Buffer.from(String.fromCodePoint(Number.parseInt(token.slice(2), 16))));
    else if (token.startsWith('\\')) parts.push(Buffer.from([short[token.slice(1)] ?? 0]));
    else parts.push(Buffer.from(token));
  }
  return Buffer.concat(parts);
}

function same(a: BencodeValue, b: BencodeValue): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => same(item, b[i] as BencodeValue));
  }
  if (isDict(a) && isDict(b)) {
    return (
      a.size === b.size && [...a].every(([key, item]) => b.has(key) && same(item, b.get(key) as BencodeValue))
    );
  }
  return a === b || (a === 0 && b === 0);
}
