import t from 'tap';
import { type BencodeDict, decode, encode } from '../../src/bencode.js';
import { checkName, readFilesV1, readFilesV2 } from '../../src/metainfo/file-tree.js';

const dict = (text: string): BencodeDict => decode(Buffer.from(text, 'latin1')) as BencodeDict;

t.test('one file is called as the torrent', async (t) => {
  t.same(readFilesV1(dict('d6:lengthi7ee'), 'name'), {
    files: [{ path: ['name'], lengthBytes: 7, padding: false, piecesRoot: null }],
    multiFile: false,
  });
});

t.test('a v2 tree of one file under another name is a folder', async (t) => {
  const tree = new Map([['file', new Map([['', new Map([['length', 0]])]])]]);
  const info = decode(encode(new Map([['file tree', tree]]))) as BencodeDict;
  t.equal(readFilesV2(info, 'file').multiFile, false);
  t.equal(readFilesV2(info, 'folder').multiFile, true);
});

t.test('a name is kept as it is or refused', async (t) => {
  t.equal(checkName('größe.dat'), 'größe.dat');
  t.throws(() => checkName('..'), { code: 'ERR_METAINFO', message: /"\.\."/ });
  t.throws(() => checkName(null), { code: 'ERR_METAINFO' });
});
