/** `blockswarm torrent show`: what a .torrent file or a magnet link says. */
import { formatMagnet, isMagnet, parseMagnet } from '../metainfo/magnet.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { TorrentFile } from '../metainfo/torrent-files.js';
import { readTorrentFile } from '../node/torrent-file.js';
import { formatBytes, toHex } from '../units.js';
import type { Output } from './output.js';
import type { CommandContext } from './program.js';

export async function torrentShowCommand({ env, output, args }: CommandContext<object>): Promise<void> {
  const subject = args[0] ?? '';
  if (isMagnet(subject)) showMagnet(output, subject);
  else showTorrent(output, await readTorrentFile(subject, env.signal));
}

function showMagnet(output: Output, link: string): void {
  const { infoHashV1, infoHashV2, ...magnet } = parseMagnet(link);
  const result = {
    ...magnet,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
  };
  output.result(result, () =>
    table(result.name ?? '(no name)', [
      ['v1', result.infoHashV1],
      ['v2', result.infoHashV2],
      ...rows('tracker', result.trackers),
      ...rows('web seed', result.webSeeds),
      ...rows('peer', result.peers),
      ['files', result.selectedFiles?.map(({ first, end }) => `${first}..${end}`).join(', ')],
    ]),
  );
}

function showTorrent(output: Output, metainfo: Metainfo): void {
  const result = torrentJson(metainfo);
  output.result(result, () =>
    table(result.name, [
      ['written as', result.rawName === result.name ? null : result.rawName],
      ['v1', result.infoHashV1],
      ['v2', result.infoHashV2],
      [
        'size',
        `${formatBytes(result.lengthBytes)} in ${result.pieces} pieces of ${formatBytes(result.pieceLengthBytes)}`,
      ],
      ['private', result.private ? 'yes' : 'no'],
      ['source', result.source],
      ['comment', result.comment],
      ['created by', result.createdBy],
      ['date', result.creationDate === null ? null : dateText(result.creationDate)],
      ...rows(
        'tracker',
        result.trackerTiers.map((tier) => tier.join(', ')),
      ),
      ...rows('web seed', result.webSeeds),
      ...rows(
        'DHT node',
        result.nodes.map(({ host, port }) => `${host}:${port}`),
      ),
      ['magnet', result.magnet],
      ...rows('file', result.files.map(fileText)),
      ...rows(
        'renamed',
        result.repairs.map(({ rawPath, path, reason }) => `${rawPath} to ${path}: ${reason}`),
      ),
    ]),
  );
}

function torrentJson(metainfo: Metainfo) {
  const { name, rawName, lengthBytes, pieceLengthBytes, pieceCount, infoHashV1, infoHashV2 } = metainfo;
  const { trackerTiers, webSeeds, nodes, source, comment, createdBy, creationDate } = metainfo;
  return {
    name,
    rawName,
    kind: infoHashV2 === null ? 'v1' : infoHashV1 === null ? 'v2' : 'hybrid',
    lengthBytes,
    pieceLengthBytes,
    pieces: pieceCount,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
    infoLengthBytes: metainfo.infoBytes.length,
    private: metainfo.private,
    source,
    comment,
    createdBy,
    creationDate,
    trackerTiers,
    webSeeds,
    nodes,
    magnet: formatMagnet({ ...metainfo, trackers: trackerTiers.flat() }),
    files: metainfo.files.filter((file) => !file.padding).map(fileJson),
    repairs: metainfo.repairs.map(({ rawPath, path, reason }) => ({
      rawPath: rawPath.join('/'),
      path: path.join('/'),
      reason,
    })),
  };
}

function fileJson({ path, lengthBytes, executable, hidden, symlinkTarget, piecesRoot }: TorrentFile) {
  return {
    path: path.join('/'),
    lengthBytes,
    ...(executable && { executable }),
    ...(hidden && { hidden }),
    ...(symlinkTarget && { symlinkTarget: symlinkTarget.join('/') }),
    ...(piecesRoot && { piecesRoot: toHex(piecesRoot) }),
  };
}

function fileText({ path, lengthBytes, executable, hidden, symlinkTarget }: ReturnType<typeof fileJson>) {
  if (symlinkTarget !== undefined) return `${path}  -> ${symlinkTarget}`;
  return `${path}  ${formatBytes(lengthBytes)}${executable ? '  executable' : ''}${hidden ? '  hidden' : ''}`;
}

function dateText(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  return Number.isNaN(date.getTime()) ? `${unixSeconds} s after 1970` : date.toISOString();
}

function rows(label: string, values: readonly string[]): [string, string][] {
  return values.map((value) => [label, value]);
}

/** A title and rows below it; those without a value are left out. */
function table(title: string, all: readonly (readonly [string, string | null | undefined])[]): string {
  const shown = all.filter(([, value]) => value);
  const width = Math.max(...shown.map(([label]) => label.length));
  return [title, ...shown.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join('\n');
}
