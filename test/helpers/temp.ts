/** Temporary folders that go away when their test ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** A new folder. Like `t.testdir()`, but outside the checkout: data directories are large. */
export function tempFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'blockswarm-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
