import t from 'tap';
import { encodeDontHave, parseDontHave } from '../../src/wire/dont-have.js';
import { encodeUploadOnly, parseUploadOnly } from '../../src/wire/upload-only.js';

t.test('a lost piece is four bytes, big-endian', async (t) => {
  t.same(encodeDontHave(0x01020304), Buffer.from([1, 2, 3, 4]));
  t.equal(parseDontHave(encodeDontHave(0xffff_ffff)), 0xffff_ffff);
  t.equal(parseDontHave(new Uint8Array(3)), null);
  t.equal(parseDontHave(new Uint8Array(5)), null);
});

t.test('wanting nothing is one byte', async (t) => {
  t.same(encodeUploadOnly(true), Uint8Array.of(1));
  t.equal(parseUploadOnly(encodeUploadOnly(false)), false);
  t.equal(parseUploadOnly(Uint8Array.of(7)), true);
  t.equal(parseUploadOnly(new Uint8Array(0)), null);
  t.equal(parseUploadOnly(new Uint8Array(2)), null);
});
