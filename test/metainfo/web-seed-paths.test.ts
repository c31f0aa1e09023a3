import t from 'tap';
import { webSeedPaths, webSeedPlace } from '../../src/metainfo/web-seed-paths.js';

const file = (rawPath: string[], padding = false) => ({
  rawPath,
  path: rawPath,
  padding,
  lengthBytes: 1,
  executable: false,
  hidden: false,
  symlinkTarget: null,
  piecesRoot: null,
  pieceLayer: null,
});

t.test('paths are those of the metainfo, each part escaped, padding excepted', async (t) => {
  const files = [file(['a b', 'ü?#']), file(['.pad', '7'], true), file(['..', 'x/y%'])];
  t.same(webSeedPaths({ rawName: 'the name', files, multiFile: true }), {
    multiFile: true,
    paths: ['the%20name/a%20b/%C3%BC%3F%23', '', 'the%20name/../x%2Fy%25'],
  });
  const only = { rawName: 'n\ud800', files: [file(['n\ud800'])], multiFile: false };
  t.same(webSeedPaths(only), { multiFile: false, paths: ['n%EF%BF%BD'] });
});

t.test('only the single file of a torrent may be at the URL itself', async (t) => {
  const one = { multiFile: false, paths: ['f'] };
  t.same(webSeedPlace('http://h/x', one), { url: 'http://h/x', paths: [] });
  t.same(webSeedPlace('http://h/x/', one), { url: 'http://h/x/', paths: ['f'] });
  t.same(webSeedPlace('http://h/x', { ...one, multiFile: true }), { url: 'http://h/x/', paths: ['f'] });
});
