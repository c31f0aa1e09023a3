/**
 * Holepunch (BEP 55) with libtorrent, both roles: hosts behind firewalls that let in only answers reach each other over
 * uTP, by the help of one that both are connected to.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { cliJson, programPath } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { noHosts, startHosts } from '../helpers/firewalled-hosts.js';
import { noLibtorrent, python } from '../helpers/libtorrent.js';
import { tempFolder } from '../helpers/temp.js';

const skip = noLibtorrent || noHosts;
const content = bytes(2_000_001, 3);
const [first, second, relay] = ['80.0.0.1', '80.0.0.2', '80.0.0.3'];
const port = 6881;

async function scene(t: Test) {
  const folder = tempFolder(t);
  const torrent = join(folder, 'one.torrent');
  writeFileSync(join(folder, 'one'), content);
  await cliJson(t, [
    'torrent',
    'make',
    join(folder, 'one'),
    '--v1',
    '--piece-length',
    '64KiB',
    '--out',
    torrent,
  ]);
  const empty = (name: string) => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  };
  const script = fileURLToPath(new URL('../helpers/libtorrent_swarm.py', import.meta.url));
  /** `quiet`: it learns of nobody else but by holepunch, else both might dial each other by themselves. */
  const libtorrent = (address: string, path: string, quiet: boolean, ...peers: string[]) => {
    const flags = ['-BW', 'ignore', script, '--tcp-and-utp', `--listen=${address}:${port}`];
    return [python, ...flags, ...(quiet ? ['--no-pex'] : []), path, torrent, 'plain', ...peers];
  };
  const ours = (command: string, address: string, ...args: string[]) => {
    const network = ['--listen', `${address}:${port}`, '--no-dht', '--utp', '--json'];
    return [process.execPath, programPath, command, ...args, ...network];
  };
  return { folder, torrent, empty, libtorrent, ours, env: { XDG_STATE_HOME: tempFolder(t) } };
}

t.test('two libtorrents reach each other through us', { skip }, async (t) => {
  const { folder, torrent, empty, libtorrent, ours, env } = await scene(t);
  const seed = ours('seed', relay, `${torrent}=${join(folder, 'one')}`, '--max-upload', '16KiB');
  const middle = `${relay}:${port}`;
  const hosts = startHosts(
    t,
    {
      seed: { address: relay, firewall: false, command: seed },
      one: { address: first, firewall: true, command: libtorrent(first, empty('one-out'), false, middle) },
      two: { address: second, firewall: true, command: libtorrent(second, empty('two-out'), true, middle) },
    },
    env,
  );
  await Promise.all([
    hosts.printed(new RegExp(`^one .*"peers": \\[[^\\]]*"${second}:${port}"`, 'm')),
    hosts.printed(new RegExp(`^two .*"peers": \\[[^\\]]*"${first}:${port}"`, 'm')),
  ]);
  t.pass('each has the other one among its peers');
});

t.test('we reach a seed through a libtorrent', { skip }, async (t) => {
  const { folder, torrent, empty, libtorrent, ours, env } = await scene(t);
  const out = empty('out');
  const middle = `${relay}:${port}`;
  const hosts = startHosts(
    t,
    {
      relay: { address: relay, firewall: false, command: libtorrent(relay, empty('nothing'), false) },
      seed: { address: first, firewall: true, command: libtorrent(first, folder, true, middle) },
      get: {
        address: second,
        firewall: true,
        command: ours('get', second, torrent, '--out', out, '--peer', middle),
      },
    },
    env,
  );
  await hosts.printed(/^get \{.*"downloadedBytes"/m);
  t.ok(readFileSync(join(out, 'one')).equals(content));
});
