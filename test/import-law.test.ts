/**
 * The import law, enforced by reading import lines: which part of the program may know which.
 *
 *   cli -> node -> swarm | chain | bridge | discovery -> wire | metainfo
 *       -> bencode, connector, native -> errors, units -> bindings
 *
 * A row imports rows to its right, never a sibling nor anything to its left. `native.ts` is the door to what lies in
 * `native`, where alone the addon is called.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import ts from 'typescript';

const ROWS: readonly (readonly string[])[] = [
  ['cli', 'index'],
  ['node'],
  ['swarm', 'chain', 'bridge', 'discovery'],
  ['wire', 'metainfo'],
  ['bencode', 'connector', 'native'],
  ['errors', 'units'],
  ['bindings'],
];
/** The dashboard speaks to the API only. */
const ISLANDS = ['web'];

const CRATES: Readonly<Record<string, readonly string[]>> = {
  pieces: [],
  net: [],
  wire: ['net', 'pieces'],
  relay: ['net', 'pieces'],
  chain: ['pieces'],
};

const FORBIDDEN_NAMES = /^(?:utils?|common|types|services?)$/;
/** A program of its own: Core's engine runs in it. */
const PROGRAMS = ['src/bridge/engine/child.ts'];

/** What is wrong with a source file at a path like `src/swarm/picker.ts`, one line for each fault. */
function faultsOf(path: string, text: string): string[] {
  const faults: string[] = [];
  const unit = unitOf(path);
  const row = ROWS.findIndex((units) => units.includes(unit));
  if (row === -1 && !ISLANDS.includes(unit)) faults.push(`${path}: ${unit} has no row in the import law`);
  for (const { fileName } of ts.preProcessFile(text, true, true).importedFiles) {
    if (!fileName.startsWith('.')) {
      if (/^(?:node:)?(?:process|console)$/.test(fileName) && !mayUseProcess(path)) {
        faults.push(`${path}: imports ${fileName}`);
      }
      continue;
    }
    const target = join(dirname(path), fileName);
    const targetUnit = unitOf(target);
    if (targetUnit === unit) continue;
    const targetRow = ROWS.findIndex((units) => units.includes(targetUnit));
    const bindingsElsewhere = targetUnit === 'bindings' && !path.startsWith('src/native/');
    if (target.startsWith('src/native/')) faults.push(`${path}: passes by native.ts`);
    if (targetRow === -1 || targetRow <= row || row === -1 || bindingsElsewhere) {
      faults.push(`${path}: ${unit} may not import ${targetUnit}`);
    }
  }
  if (!mayUseProcess(path)) faults.push(...globalsOf(path, text));
  return faults;
}

/** The part a path belongs to: the folder or file below `src`, or `bindings`. */
function unitOf(path: string): string {
  const [top = '', below = ''] = path.split('/');
  return top === 'src' ? below.replace(/\.[a-z.]+$/, '') : top;
}

function mayUseProcess(path: string): boolean {
  return path.startsWith('src/cli/') || PROGRAMS.includes(path);
}

/** Uses of `process.x` and `console.x` where the terminal and the process are not to be known. */
function globalsOf(path: string, text: string): string[] {
  const faults: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) {
      const { expression } = node;
      if (ts.isIdentifier(expression) && /^(?:process|console)$/.test(expression.text)) {
        faults.push(`${path}: uses ${expression.text}`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2023));
  return faults;
}

/** What is wrong with a crate's Cargo.toml. `name` is the crate's folder, or `bindings`. */
function faultsOfCrate(name: string, toml: string): string[] {
  const faults: string[] = [];
  const allowed = name === 'bindings' ? Object.keys(CRATES) : CRATES[name];
  if (allowed === undefined) faults.push(`crates/${name} has no row in the import law`);
  for (const dependency of dependenciesOf(toml)) {
    const ours = /^blockswarm-(.+)$/.exec(dependency)?.[1];
    if (ours !== undefined && allowed?.includes(ours) !== true) faults.push(`${name} may not use ${ours}`);
    if (/^napi(?:-|$)/.test(dependency) && name !== 'bindings')
      faults.push(`${name} may not use ${dependency}`);
  }
  return faults;
}

/** Names in all dependency tables of a Cargo.toml: normal, dev, build and for a target. */
function dependenciesOf(toml: string): string[] {
  const names: string[] = [];
  let inTable = false;
  for (const line of toml.split('\n')) {
    const table = /^\s*\[+([^\]]+)\]+/.exec(line)?.[1];
    if (table !== undefined) {
      const [, alone] = /(?:^|\.)(?:dev-|build-)?dependencies(?:\.([\w-]+))?$/.exec(table) ?? [null];
      inTable = /(?:^|\.)(?:dev-|build-)?dependencies$/.test(table);
      if (alone) names.push(alone);
    } else if (inTable) {
      const name = /^\s*"?([\w-]+)"?\s*[.=]/.exec(line)?.[1];
      if (name !== undefined) names.push(name);
    }
  }
  return names;
}

/** Parts of a path that name no noun. */
function forbiddenNames(path: string): string[] {
  return path.split('/').filter((part) => FORBIDDEN_NAMES.test(part.replace(/\.[a-z.]+$/, '')));
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative('.', join(entry.parentPath, entry.name)))
    .filter((path) => !/(?:^|\/)(?:node_modules|target|dist|\.tap)\//.test(path));
}

t.test('TypeScript keeps the law', async (t) => {
  const sources = filesBelow('src').filter((path) => path.endsWith('.ts'));
  t.ok(sources.length > 10, `${sources.length} files`);
  t.same(
    sources.flatMap((path) => faultsOf(path, readFileSync(path, 'utf8'))),
    [],
  );
});

t.test('Rust keeps the law', async (t) => {
  const crates = readdirSync('crates').filter((name) => existsSync(`crates/${name}/Cargo.toml`));
  t.ok(crates.length >= 4);
  const faults = crates.flatMap((name) =>
    faultsOfCrate(name, readFileSync(`crates/${name}/Cargo.toml`, 'utf8')),
  );
  t.same([...faults, ...faultsOfCrate('bindings', readFileSync('bindings/Cargo.toml', 'utf8'))], []);
});

t.test('every file is named for a noun', async (t) => {
  const folders = ['src', 'test', 'benchmarks', 'scripts', 'bindings', 'crates'];
  t.same(
    folders.flatMap(filesBelow).filter((path) => forbiddenNames(path).length > 0),
    [],
  );
});

t.test('the law can be broken, and is noticed', async (t) => {
  const broken: [string, string, RegExp][] = [
    ['src/swarm/a.ts', "import { b } from '../chain/b.js';", /swarm may not import chain/],
    ['src/swarm/a.ts', "import type { B } from '../node/b.js';", /swarm may not import node/],
    ['src/wire/a.ts', "export { b } from '../metainfo/b.js';", /wire may not import metainfo/],
    ['src/wire/deep/a.ts', "import '../../swarm/b.js';", /wire may not import swarm/],
    ['src/chain/a.ts', "const b = await import('../cli/b.js');", /chain may not import cli/],
    ['src/bencode.ts', "import { b } from './native.js';", /bencode may not import native/],
    ['src/errors.ts', "import { b } from './bencode.js';", /errors may not import bencode/],
    ['src/swarm/a.ts', "import b from '../../bindings/index.js';", /swarm may not import bindings/],
    ['src/connector.ts', "import b from '../bindings/index.js';", /connector may not import bindings/],
    ['src/native.ts', "import b from '../bindings/index.js';", /native may not import bindings/],
    ['src/swarm/a.ts', "import { b } from '../native/b.js';", /passes by native.ts/],
    ['src/web/a.ts', "import { b } from '../errors.js';", /web may not import errors/],
    ['src/node/a.ts', "import { b } from '../../test/b.js';", /node may not import test/],
    ['src/wallet/a.ts', '', /wallet has no row/],
    ['src/node/a.ts', 'console.log(1);', /uses console/],
    ['src/node/a.ts', "const { b } = process['env'];", /uses process/],
    ['src/node/a.ts', "import { argv } from 'node:process';", /imports node:process/],
  ];
  for (const [path, text, fault] of broken) t.match(faultsOf(path, text), [fault], text);

  const kept: [string, string][] = [
    [
      'src/swarm/a.ts',
      "import { b } from './b.js';\nimport { c } from '../errors.js'; // import '../chain/c.js'",
    ],
    ['src/native/a.ts', "import b from '../../bindings/index.js';\nimport { c } from './c.js';"],
    ['src/native.ts', "export { b } from './native/b.js';"],
    ['src/cli/a.ts', "import { b } from '../swarm/b.js';\nconsole.log(process.argv);"],
    ['src/bridge/engine/child.ts', 'process.exit(0);'],
    ['src/node/a.ts', "const text = 'process.env'; // console.log"],
  ];
  for (const [path, text] of kept) t.same(faultsOf(path, text), [], text);

  t.match(faultsOfCrate('net', '[dependencies]\nblockswarm-pieces.workspace = true'), [
    /net may not use pieces/,
  ]);
  t.match(faultsOfCrate('wire', '[dev-dependencies]\nblockswarm-chain = { path = "x" }'), [
    /may not use chain/,
  ]);
  t.match(faultsOfCrate('chain', '[target.x.dependencies.napi]\nversion = "3"'), [/chain may not use napi/]);
  t.match(faultsOfCrate('pieces', '[build-dependencies]\nnapi-build = "2"'), [
    /pieces may not use napi-build/,
  ]);
  t.match(faultsOfCrate('odd', ''), [/odd has no row/]);
  t.same(faultsOfCrate('wire', '[dependencies]\nblockswarm-net.workspace = true\n[features]\nnapi = []'), []);

  t.same(forbiddenNames('src/common/a.ts'), ['common']);
  t.same(forbiddenNames('src/swarm/utils.ts'), ['utils.ts']);
  t.same(forbiddenNames('crates/net/src/types.rs'), ['types.rs']);
  t.same(forbiddenNames('src/swarm/common-pieces.ts'), []);
});
