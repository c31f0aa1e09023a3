/** The commands that fetch and seed, and their options. */
import { type Command, Option } from 'commander';
import { collect, loginFile, passwordFile, rate, size, sizeOrNone, wholeNumber } from './options.js';
import type { AddCommand } from './program.js';
import { schedule } from './schedule.js';

/** A timer of Node's cannot run longer than 2^31 ms. */
export const maxTimeoutSeconds = 2_147_483;

const getText = `
A .torrent file, a magnet link, or an infohash of 40 (v1) or 64 (v2) hex
digits. The torrent's file or folder comes into --out; what is there already
is hashed and kept, and a run that was ended, however, goes on where it was.
It ends with 0 when every piece is checked and on the medium.
A glob is held against the last name of a path or, when it has a slash (also
in front), against the path below the torrent's folder. Files that are not
selected are not made, unless they share a piece (v1) with one that is.`;

const seedText = `
One at a time:
  seed --datadir DIR       the blocks of a Bitcoin node, as torrents that anyone
                           can recompute; the node may run, and is followed
  seed --segments DIR      the same from segment files, as \`export\` writes them or
                           as their torrents were downloaded. Checked block by
                           block from segment 0 on; with --catalogue against its
                           torrents, whichever segments there are
  seed --btcd DIR          the blocks files of the chain from btcd's data folder of
  seed --bootstrap FILE    the network, or from a bootstrap.dat: those that a
                           catalogue names (default: found in the swarm). No
                           catalogue is made of them: they have no undo data
  seed TORRENT=PATH...     torrents whose files are at PATH: the torrent's file
                           or folder, or the folder that holds it
  seed --torrents DIR      every .torrent file in DIR, also those that come
                           later; what each is of lies in --content under the
                           torrent's name (default: in DIR, beside it)
All read-only. What no earlier run has looked at is hashed in the background,
behind everybody else at the disk, and what is right is served meanwhile. A
piece of a node's files is hashed before it is first sent, unless this run has
hashed it. Files that the node prunes are missed by their torrents, and the
rest goes on; with --keep they are linked or copied into the state folder. One
that can be neither is held open, and lost when this program ends. What a
catalogue names (--catalogue, or the one of an earlier run) is served at once. Torrents that no peer asks for cost next
to nothing: they are opened when one comes.`;

/** Of `--listen`. */
export const listenText =
  'where to listen for peers and the DHT, port 0 for any free one (default: 0.0.0.0:0; with --privacy: nowhere)';

/** Where the catalogue comes from; `remark` says what it is when nobody says. */
export function catalogueOption(remark = ' (default: rendezvous and known)'): Option {
  const kinds =
    'rendezvous, known, dht:KEY, a file, an infohash, https://…, datadir[:DIR]; may be given often';
  return new Option('--catalogue <source>', `${kinds}${remark}`).argParser(collect);
}

/** Gives a command the options of whoever meets peers. */
export function peerOptions(command: Command): Command {
  return command
    .option(
      '--peer <host:port>',
      'a peer to connect to; with i2p a name, without a port; may be given often',
      collect,
    )
    .option('--no-dht', 'do not use the DHT')
    .option('--tracker <url>', 'a tracker for all torrents that are not private; may be given often', collect)
    .option('--no-trackers', 'ask no tracker')
    .option('--no-pex', 'do not exchange addresses of peers with peers (BEP 11)')
    .option('--lsd', 'look for peers on the local network (BEP 14): the default, but on loopback')
    .option('--no-lsd', 'do not')
    .option('--no-port-mapping', 'do not ask the gateway for a port (PCP, NAT-PMP, UPnP-IGD)')
    .option(
      '--dht-bootstrap <host:port>',
      'a DHT node to start from; may be given often (default: public ones)',
      collect,
    )
    .option('--max-upload <rate>', 'bytes a second of all connections; KiB, MiB and GiB may follow', rate)
    .option('--max-download <rate>', 'likewise', rate)
    .option(
      '--schedule <spec>',
      "rates for certain times, such as 'mon-fri 08:00-18:00 up=1MiB down=5MiB'; may be given often, the first that fits holds",
      schedule,
    )
    .option(
      '--quota <size>',
      'send no more in a calendar month; counted for each folder that is fetched into or seeded',
      size,
    )
    .option('--limit-lan', 'hold peers of the local network to these rates and the quota, too')
    .option('--max-connections <n>', 'connections of all torrents (default: 4000)', wholeNumber(1, 100_000))
    .option(
      '--upload-slots <n>',
      'peers served at a time (default: as the upload allows)',
      wholeNumber(1, 10_000),
    )
    .addOption(
      new Option('--choker <name>', 'whom a seed serves (default: round-robin)').choices([
        'round-robin',
        'fastest-upload',
        'anti-leech',
      ]),
    )
    .addOption(
      new Option('--encryption <mode>', 'of connections with peers: MSE/PE (default: allowed)').choices([
        'off',
        'allowed',
        'preferred',
        'required',
      ]),
    )
    .option('--utp', 'meet peers over uTP, too, where TCP does not reach them (BEP 29; slower)')
    .addOption(
      new Option(
        '--privacy <mode>',
        'proxy: all through --proxy; tor: through Tor, without UDP; i2p: through I2P, to its own names only. Nothing goes another way (default: open)',
      ).choices(['open', 'proxy', 'tor', 'i2p']),
    )
    .addOption(
      new Option(
        '--proxy <url>',
        'socks5://[user:password@]host:port (for tor: socks5://127.0.0.1:9050)',
      ).env('BLOCKSWARM_PROXY'),
    )
    .option('--proxy-login <file>', 'a file with user:password for the proxy', loginFile)
    .option('--tor-control <host:port>', "Tor's control port: peers come in at an onion service")
    .addOption(
      new Option('--tor-password-file <file>', 'its password (default: its cookie file)').argParser(
        passwordFile,
      ),
    )
    .option('--sam <host:port>', "with i2p: the router's SAM bridge (default: 127.0.0.1:7656)")
    .option(
      '--i2p-keys <file>',
      'with i2p: keeps the keys of our name there; made when missing (default: another name each time)',
    )
    .option(
      '--blocklist <file>',
      'addresses that are not met: P2P, DAT or CIDR, gzip or not, read again when it changes; may be given often',
      collect,
    )
    .option('--allowlist <file>', 'addresses that are met all the same; likewise', collect)
    .option('--anonymous', 'tell peers and servers as little of this program as possible')
    .addOption(
      new Option('--log-addresses <how>', 'of peers, in what is reported: whole, by network, or not at all')
        .choices(['full', 'prefix', 'none'])
        .default('full'),
    );
}

/** Gives a command the options of whoever asks a node whether there is something new. */
export function hintOptions(command: Command): Command {
  return command
    .option(
      '--rpc <host:port>',
      "the node's RPC: a hint that there is a new block, and whether it is in its first sync",
    )
    .option('--rpc-cookie <file>', "its cookie file (default: .cookie in the network's folder of --datadir)")
    .option('--rpc-user <name>', 'a user of its rpcauth, instead of the cookie')
    .addOption(new Option('--rpc-password-file <file>', "that user's password").argParser(passwordFile))
    .option('--rest <host:port>', "the node's REST interface (-rest), likewise")
    .option(
      '--zmq <host:port>',
      "where the node's ZMQ publishes hashblock (-zmqpubhashblock): it says at once that there is a new block; one that it does not say is seen within a second all the same",
    );
}

/** `peers`: gives a command the options of whoever meets peers. */
export function addPeerCommands(
  program: Command,
  add: AddCommand,
  peers: (command: Command) => Command,
  networkOption: () => Option,
): void {
  add(
    peers(
      program
        .command('get')
        .description('fetch a torrent')
        .argument('<torrent|magnet|infohash>')
        .requiredOption('--out <dir>', 'the folder that it comes into')
        .option('--listen <host:port>', listenText)
        .option(
          '--timeout <seconds>',
          'give up after this long without a new piece',
          wholeNumber(1, maxTimeoutSeconds),
          1800,
        )
        .option('--select <glob>', 'fetch only files that match; may be given often', collect)
        .option('--web-seed <url>', 'an HTTP server with the content; may be given often', collect)
        .option('--no-web-seeds', 'ask no web seed')
        .option('--sequential', 'fetch pieces in their order')
        .option('--check', 'hash all that is on disk, also what was recorded as right')
        .option('--seed', 'serve peers after the end, until stopped')
        .addHelpText('after', getText),
    ),
    async () => (await import('./get-command.js')).getCommand,
  );
  add(
    hintOptions(
      peers(
        program
          .command('seed')
          .description('serve the blocks of a data directory, or any torrents, in place and read-only')
          .argument('[torrent=path...]')
          .option('--torrents <dir>', 'seed every .torrent file in a folder')
          .option('--content <dir>', 'with --torrents: where their content is')
          .option('--super-seed', 'as the only seed: give each piece to one peer, and see it spread (BEP 16)')
          .option('--datadir <dir>', "a node's data directory: what `bitcoind -datadir` takes")
          .option(
            '--publish <key>',
            'with --datadir: say in the DHT, under a key, which catalogue is the newest (`catalogue keygen`)',
          )
          .option('--blocks <dir>', 'where blk*.dat and rev*.dat lie, when not below the data directory')
          .option(
            '--rewrite-undo',
            'with --datadir: fill in what undo data of Core before 0.15 lacks, into the state folder (large: see doctor)',
          )
          .option('--segments <dir>', 'a folder of segment files')
          .option('--btcd <dir>', "btcd's data folder of the network: what holds blocks_ffldb")
          .option('--bootstrap <file>', 'a bootstrap.dat')
          .addOption(catalogueOption())
          .option(
            '--min-chain-work <hex>',
            "with --catalogue: the least total work of its headers (default: the network's)",
          )
          .addOption(networkOption())
          .option(
            '--hash-rate <rate>',
            'with --datadir: read no faster to hash segments (default: as fast as it goes)',
            rate,
          )
          .option(
            '--hash-threads <n>',
            'threads that hash segments (default: one a core)',
            wholeNumber(1, 1024),
          )
          .option(
            '--keep <size>',
            'with --datadir: keep block files that the node prunes, the newest of them, in the state folder',
            size,
          )
          .option(
            '--repair <size>',
            'with --datadir: fetch damaged pieces again, and keep at most so much of them in the state folder; 0: none (default: 4GiB)',
            sizeOrNone,
          )
          .option('--listen <host:port>', listenText)
          .addHelpText('after', seedText),
      ),
    ),
    async () => (await import('./seed-command.js')).seedCommand,
  );
}
